"""Makes what tests speak of, through the models' own verbs, with invented defaults. Needs the rows that `setup` loads (see conftest)."""

import itertools
import secrets
import time
from datetime import date, timedelta

import pyrage
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import Group
from django.utils import timezone

from consent.models import Channel, ConsentState, PolicyVersion, Purpose, Source
from customers.models import Correction, Customer, EmailChange, EmailHold, InformationRequest, Reveal, RightsRequest, Service, SignUp
from disclosures.models import Breach, Commitment, DisclosureRequest, PermissionOffer, Seal, ThirdParty
from mailings.models import Campaign
from privacy_office import seeds
from privacy_office.models import Staff

numbers = itertools.count(1)
IDENTITY = pyrage.x25519.Identity.generate()  # of every third party here
PDF = b"%PDF-1.4\n%an invented document\n%%EOF\n"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every authenticator app here


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
    make_factor(member)
    return member


def make_factor(member, secret=SECRET):
    """Give a member an authenticator app, as everyone must have one before anything else is to be had."""
    Authenticator.objects.get_or_create(user=member, type="totp", defaults={"data": {"secret": seeds.seal(secret, member)}})


def code(secret=SECRET, step=0):
    """Return what an authenticator app shows now, or some periods of 30 seconds later: the office takes one before and one after."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


def prove(client, ago=0):
    """Have the client's session have given its second factor, some seconds ago."""
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "type": "totp", "at": time.time() - ago}]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()


def make_policy(number=1, severity="minor", changes=(), published=True, **texts):
    """Return a policy version; `changes` are codes of purposes."""
    policy, texts = PolicyVersion(number=number), texts or {"text_vi": f"Chính sách {number}", "text_en": f"Policy {number}"}
    policy.draft(by=make_staff("officer"), changes=Purpose.objects.filter(code__in=changes), severity=severity, **texts)
    if published:
        policy.publish(by=make_staff("officer", "publisher"))
    return policy


def current_policy():
    return PolicyVersion.objects.published().first() or make_policy()


def state_of(customer, purpose="promotions", channel="email"):
    return ConsentState.of(customer, Purpose.objects.get(code=purpose), Channel(channel))


def consent(customer, purpose="promotions", channel="email", at=None, policy=None, source=Source.PREFERENCE_PAGE, by=None):
    """Have the customer say yes, on the latest policy version unless another is given."""
    said = state_of(customer, purpose, channel)
    return said.give(by=by or customer, source=source, policy=policy or current_policy(), at=at or timezone.now())


def withdraw(customer, purpose="promotions", channel="email", at=None, source=Source.PREFERENCE_PAGE, by=None, evidence=""):
    """Have the customer say no."""
    return state_of(customer, purpose, channel).withdraw(by=by or customer, source=source, at=at or timezone.now(), evidence=evidence)


def propose(customer, field="phone", value="+84909999999", by=None, **how):
    """Return a correction that the customer proposes, unless another does."""
    return Correction.propose(customer, field, value, by=by or customer, **how)


def ask_information(customer, by=None, wanted=("order",), ticket="SUP-12", **how):
    return InformationRequest.ask(customer, by=by or make_staff("clerk"), wanted=wanted, ticket=ticket, **how)


def make_hold(customer, by=None, reason="too many failed sign-ins"):
    return EmailHold.place(customer, by=by, reason=reason)


def make_email_change(customer, email="new@example.org", at=None):
    """Return a change of the address to which both mailboxes agreed."""
    change = EmailChange.ask(customer, email, by=customer, at=at)
    change.approve(by=customer, at=at)
    change.confirm(by=customer, at=at)
    return change


def make_sign_up(customer=None, email=None, purposes=("promotions",), asked=True, **told):
    """Return a sign-up with a customer's address, or another one, whose owner was asked; on the policy in force."""
    given = {"request": secrets.token_bytes(32), "network": secrets.token_bytes(16), "locale": "en", **told}
    row = SignUp.receive(email or customer.email, purposes=set(purposes), policy_number=current_policy().number, **given)
    if asked:
        SignUp.objects.ask(at=told.get("at"))
        row.refresh_from_db()
    return row


def make_request(customer=None, kind="access", source="phone", by=None, **told):
    """Return a request of a customer's right, written down and not acted upon."""
    return RightsRequest.receive(customer or make_customer(), kind, source=source, by=by or make_staff("clerk"), **told)


def ask_reveal(row, field="phone", by=None, **case):
    """Return a reveal, open where it needs nobody's approval, by the clerk unless another is given."""
    case = {"reason": "caller", "case_kind": "ticket", "case_reference": "SUP-12", **case}
    return Reveal.ask(row, field, by=by or make_staff("clerk"), **case)


def ask_credential(service, field="access_secret", **how):
    return ask_reveal(service, field, **how)


def make_third_party(kind="authority", checked_by="approver", **fields):
    """Return a third party whose key the officer entered and another member of the staff checked."""
    defaults = {"name": f"Cơ quan {next(numbers)}", "contact": "Trang web chính thức", "age_key": str(IDENTITY.to_public())}
    party = ThirdParty(kind=kind, **{**defaults, **fields})
    party.keep(by=make_staff("officer"))
    if party.age_key and checked_by:
        party.check_key(by=make_staff(checked_by))
    return party


def make_commitment(third_party, **fields):
    """Return a commitment in force, from last year to next."""
    today = timezone.localdate()
    dates = {"valid_from": today - timedelta(days=365), "valid_until": today + timedelta(days=365)}
    commitment = Commitment(third_party=third_party, **{**dates, **fields})
    commitment.sign(PDF, by=make_staff("officer"))
    return commitment


def make_offer(third_party, fields=("full_name", "email"), **values):
    offer = PermissionOffer(
        third_party=third_party, fields=list(fields), **{"purpose_vi": "Đăng ký tên miền", "purpose_en": "Domains", **values}
    )
    offer.keep(by=make_staff("officer"))
    return offer


def make_data_request(*customers, third_party=None, ground="legal_obligation", document=PDF, fields=("full_name", "phone"), **values):
    """Return a request taken in by the officer: by an authority, with its law, unless told otherwise."""
    today = timezone.localdate()
    law = {"document_number": "12/CV-PA05", "document_dated_on": today, "legal_article": "Điều 16"} if ground == "legal_obligation" else {}
    period = {"asked_from": today - timedelta(days=365), "asked_until": today}
    third_party = third_party or make_third_party()
    request = DisclosureRequest(third_party=third_party, ground=ground, fields_asked=list(fields), **{**law, **period, **values})
    request.receive(by=make_staff("officer"), refs=[customer.ref for customer in customers], document=document)
    return request


def assess(request, by=None, **less):
    """Have the officer verify the requester and assess the request: all that is asked for, unless told otherwise."""
    if request.ground == "legal_obligation" and not request.verified_at:
        request.verify(by=by or make_staff("officer"), how="call_back", reference="CALL-7")
    refs = list(Customer.objects.filter(pk__in=request.customers_asked).values_list("ref", flat=True))
    scope = {"fields": request.fields_asked, "refs": refs, "period_from": request.asked_from, "period_until": request.asked_until}
    request.assess(by=by or make_staff("officer"), **{**scope, "assessment": "needed", **less})
    return request


def make_approved(*customers, **values):
    """Return a request that the officer assessed and the approver approved."""
    request = assess(make_data_request(*customers, **values))
    request.approve(by=make_staff("approver"))
    return request


def make_seal(request, days=30, at=None, **values):
    today = timezone.localdate(at)
    statement = {"statement_number": "13/CV-PA05", "statement_dated_on": today, "until": today + timedelta(days=days)}
    seal = Seal(request=request, **{**statement, **values})
    seal.place(PDF, by=make_staff("officer"), at=at)
    return seal


def make_breach(**values):
    """Return a breach that touched every customer there is."""
    now = timezone.now()
    told = {"what": "A copy was left open", "place": "the file server", "began_at": now - timedelta(days=1), "discovered_at": now}
    breach = Breach(**{"kinds": ["full_name", "email"], "scope": "everyone", **told, **values})
    breach.keep(by=make_staff("officer"))
    return breach


def make_campaign(purpose="promotions", by=None, approved_by=None, **fields):
    """Return a campaign that was tried out, approved where `approved_by` says by whom; no two have the same letter."""
    defaults = {"subject": f"Khuyến mãi {next(numbers)}", "body": "Kính gửi {full_name},\n\nGiảm giá 10 %.\n\n{company}"}
    campaign = Campaign(purpose=Purpose.objects.get(code=purpose), **{**defaults, **fields})
    campaign.draft(by=by or make_staff("marketer"))
    campaign.ask_dry_run(by=campaign.created_by).count()
    if approved_by:
        campaign.approve(by=approved_by)
    return campaign
