"""Makes what tests speak of, through the models' own verbs, with invented defaults. Needs the rows that `setup` loads (see conftest)."""

import itertools
from datetime import date

from django.contrib.auth.models import Group
from django.utils import timezone

from consent.models import Channel, ConsentState, PolicyVersion, Purpose, Source
from customers.models import Customer, EmailHold, Service
from mailings.models import Campaign
from privacy_office.models import Staff

numbers = itertools.count(1)


def make_customer(ref=None, **fields):
    """Return a customer whom nobody asked for anything: an address that works, no hold, associated."""
    number = next(numbers)
    ref = ref or f"KH{number:05}"
    defaults = {
        "full_name": f"Nguyễn Thị {ref.title()}",
        "email": f"{ref.lower()}@example.org",
        "phone": f"+8490{1000000 + number}",
        "address": f"{number} Phố Ví Dụ, Hà Nội",
        "email_state": Customer.EmailState.VERIFIED,
    }
    (customer,) = Customer.objects.enrol([Customer(ref=ref, **{**defaults, **fields})], by=None, source="test")
    return customer


def make_service(customer, **fields):
    defaults = {
        "product": "Máy chủ ảo",
        "plan": f"VPS-{next(numbers)}",
        "started_on": date(2026, 1, 1),
        "expires_on": date(2026, 12, 31),
        "access_username": "root",
        "access_secret": "an invented secret",
    }
    service = Service(customer=customer, **{**defaults, **fields})
    service.identity = service.identify()
    (service,) = Service.objects.enrol([service], by=None, source="test")
    return service


def make_staff(role, username=None):
    """Return the staff member of that name (the role's own where none is given), who cannot sign in with a password."""
    member, _ = Staff.objects.get_or_create(username=username or role, defaults={"is_staff": True, "password": "!"})
    member.groups.add(Group.objects.get(name=role))
    return member


def make_policy(number=1, severity="minor", changes=(), published=True, **texts):
    """Return a policy version; `changes` are codes of purposes."""
    policy, texts = PolicyVersion(number=number), texts or {"text_vi": f"Chính sách {number}", "text_en": f"Policy {number}"}
    policy.draft(by=make_staff("officer"), changes=Purpose.objects.filter(code__in=changes), severity=severity, **texts)
    if published:
        policy.publish(by=make_staff("officer"))
    return policy


def current_policy():
    return PolicyVersion.objects.published().first() or make_policy()


def state_of(customer, purpose="promotions", channel="email"):
    return ConsentState.of(customer, Purpose.objects.get(code=purpose), Channel(channel))


def consent(customer, purpose="promotions", channel="email", at=None, policy=None, source=Source.PREFERENCE_PAGE, by=None):
    """Have the customer say yes, on the latest policy version unless another is given."""
    said = state_of(customer, purpose, channel)
    return said.give(by=by or customer, source=source, policy=policy or current_policy(), at=at or timezone.now())


def withdraw(customer, purpose="promotions", channel="email", at=None, source=Source.PREFERENCE_PAGE, by=None):
    """Have the customer say no."""
    return state_of(customer, purpose, channel).withdraw(by=by or customer, source=source, at=at or timezone.now())


def make_hold(customer, by=None, reason="too many failed sign-ins"):
    return EmailHold.place(customer, by=by, reason=reason)


def make_campaign(purpose="promotions", by=None, approved_by=None, **fields):
    """Return a campaign, approved where `approved_by` says by whom; no two have the same letter."""
    defaults = {"subject": f"Khuyến mãi {next(numbers)}", "body": "Kính gửi {full_name},\n\nGiảm giá 10 %.\n\n{company}"}
    campaign = Campaign(purpose=Purpose.objects.get(code=purpose), **{**defaults, **fields})
    campaign.draft(by=by or make_staff("marketer"))
    if approved_by:
        campaign.approve(by=approved_by)
    return campaign
