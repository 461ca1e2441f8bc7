"""What is kept longer than its rule allows goes at night: counted first, told of afterwards, and never what a legal hold protects."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import sealing, trail
from audit.models import Entry
from customers import retention
from customers.models import (
    AccessRequest,
    Attachment,
    Customer,
    Erasure,
    LegalHold,
    Link,
    Notice,
    RetentionRule,
    RetentionRun,
    Session,
    SignUp,
)
from mailings.models import Message
from privacy_office.fields import digest
from tests.make import make_campaign, make_customer, make_hold, make_request, make_sign_up, make_staff
from tests.scans import png

pytestmark = pytest.mark.django_db
NOW = timezone.now()
Of = RetentionRule.Of


def after(days):
    return NOW + timedelta(days=days, hours=1)


def in_force(of):
    rule = RetentionRule.objects.get(of=of)
    rule.active = True
    rule.save()
    return rule


def make_traces():
    """Return a customer who left a trace of every kind that a rule is about."""
    ann = make_customer(association="prospect", email_state="unverified")
    make_hold(ann, by=make_staff("clerk")).release(by=make_staff("officer"), channel="phone", note="knew the plan")
    Notice.tell(ann, Notice.Kind.SIGN_IN, address="old@example.org")
    Message.objects.queue_notices()
    ann.messages.cancel("test", "")
    Link.issue(ann, Link.Use.SIGN_IN)
    Session.begin(ann, how="link", source={})
    request = make_request(ann, words="please tell me all", source="my")
    request.fulfil(by=make_staff("officer"), tell=False)
    Attachment.keep(ann, png(), by=ann)
    make_sign_up(ann)
    AccessRequest.ask("ann@example.org", digest("network", "127.0.0.1"))
    return ann


KEPT = {  # class of data: days that it is kept, and how many there are of what goes then
    Of.ACCESS_REQUESTS: (1, lambda ann: AccessRequest.objects.count()),
    Of.LINKS: (30, lambda ann: ann.links.count()),
    Of.SESSIONS: (90, lambda ann: ann.sessions.count()),
    Of.SIGN_UPS: (3, lambda ann: SignUp.objects.count()),
    Of.NOTICE_ADDRESSES: (90, lambda ann: ann.notices.filter(address__isnull=False).count()),
    Of.CONTACT_NOTES: (730, lambda ann: ann.contacts.filter(note__isnull=False).count()),
    Of.ATTACHMENTS: (365, lambda ann: ann.attachments.filter(content__isnull=False).count()),
    Of.REQUEST_WORDS: (730, lambda ann: ann.rights_requests.filter(words__isnull=False).count()),
    Of.MESSAGES: (730, lambda ann: ann.messages.count()),
    Of.UNCONFIRMED: (90, lambda ann: 1 - ann.erasures.count()),
}


@pytest.mark.parametrize("of", KEPT)
def test_each_class_of_data_goes_when_its_days_are_over_and_no_day_before(of):
    days, left = KEPT[of]
    ann, rule = make_traces(), in_force(of)
    RetentionRule._base_manager.exclude(pk=rule.pk).update(active=False)
    assert left(ann) == 1
    retention.apply(at=after(days - 1))
    assert left(ann) == 1
    assert retention.dry_run(at=after(days)) == {of: 1}
    assert left(ann) == 1
    assert retention.apply(at=after(days)).counts == {of: 1}
    assert left(ann) == 0
    assert retention.apply(at=after(days)).counts == {of: 0}


def test_a_customer_who_left_is_erased_after_the_days_and_told_first():
    rule, ann = in_force(Of.ENDED), make_customer()
    ann.end_association(on=NOW.date(), by=make_staff("clerk"), reason="left")
    retention.apply(at=after(rule.days))
    erasure = ann.erasures.get()
    assert (erasure.step, erasure.asked_by) == (Erasure.Step.APPROVED, None)
    assert ann.notices.filter(kind=Notice.Kind.ERASURE).exists()
    assert Customer.objects.living().filter(pk=ann.pk).exists()


def test_who_confirmed_or_became_a_customer_stays():
    in_force(Of.UNCONFIRMED)
    make_customer(association="prospect", email_state="verified")
    make_customer(association="active", email_state="unverified")
    retention.apply(at=after(9999))
    assert not Erasure.objects.exists()


def test_what_a_legal_hold_protects_stays():
    ann = make_traces()
    for of in KEPT:
        in_force(of)
    hold = LegalHold.place(ann, by=make_staff("officer"), reason="case 12")
    retention.apply(at=after(9999))
    assert {of: left(ann) for of, (_days, left) in KEPT.items()} == {of: of != Of.ACCESS_REQUESTS for of in KEPT}  # that is nobody's
    hold.lift(by=make_staff("clerk"))
    retention.apply(at=after(9999))
    assert {left(ann) for _days, left in list(KEPT.values())[:7]} == {0}
    assert ann.erasures.exists()


def test_mail_that_has_not_left_is_not_forgotten():
    ann = make_customer()
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    Message.objects.queue_notices()
    retention.apply(at=after(9999))
    assert ann.messages.count() == 1


def test_a_run_leaves_its_entries_and_its_report_and_the_trail_verifies():
    make_traces()
    run = retention.apply(at=after(800))
    assert RetentionRun.objects.get() == run
    assert run.counts[Of.CONTACT_NOTES] == 1
    told = Entry.objects.get(action="retention.run")
    assert told.detail == run.counts
    assert Entry.objects.filter(action="retention.blank").exists()
    sealing.seal()
    assert trail.verify().problems == []


def test_the_dry_run_says_what_would_go_and_changes_nothing(capsys):
    ann = make_traces()
    Session.objects.filter(customer=ann).update(began_at=NOW - timedelta(days=100))
    call_command("apply_retention", "--dry-run")
    counts = json.loads(capsys.readouterr().out)
    assert counts["sessions"] == 1 and counts["links"] == 0 and "ended" not in counts
    assert ann.sessions.exists() and not RetentionRun.objects.exists()
    call_command("apply_retention")
    assert json.loads(capsys.readouterr().out) == counts
    assert not ann.sessions.exists()


def test_what_erases_people_is_off_until_an_officer_switches_it_on():
    assert set(RetentionRule.objects.filter(active=False).values_list("of", flat=True)) == {Of.UNCONFIRMED, Of.ENDED}


def test_a_rule_without_days_is_refused_by_the_database():
    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionRule._base_manager.filter(of=Of.LINKS).update(days=0)


def test_a_campaign_keeps_its_letter_when_its_messages_are_forgotten():
    make_customer()
    campaign = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    retention.apply(at=after(9999))
    campaign.refresh_from_db()
    assert campaign.subject
