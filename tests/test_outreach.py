"""Contacts by SMS and phone: staff ask first, are told why, and what they do counts."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from audit.models import Entry
from consent import gate, outreach
from consent.models import AdvertisingContacts, Approach, ChannelRule, Purpose
from tests.make import consent, make_customer, make_policy, make_staff, prove, withdraw
from tests.walk import page

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 25, 5, tzinfo=UTC)  # 12:00 in Hà Nội


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.fixture
def ann():
    make_policy()
    customer = make_customer("ann")
    for channel in ("sms", "phone"):
        consent(customer, channel=channel, at=NOON - timedelta(days=1))
    return customer


def ask(customer, channel="phone", purpose="promotions", at=NOON, off_register=True):
    found = Purpose.objects.get(code=purpose)
    return outreach.ask(customer, found, channel, by=make_staff("clerk"), at=at, off_register=off_register)


def make(approach, at=NOON):
    return outreach.make(approach, by=make_staff("clerk"), at=at)


def counted(customer, channel="phone"):
    return [len(row.times) for row in AdvertisingContacts.objects.filter(customer=customer, channel=channel)]


def test_asking_is_written_down_with_the_answer_and_counts_nothing(ann):
    approach = ask(ann)
    assert (approach.allowed, approach.reason, approach.clause, approach.made_at) == (True, "allowed", "§2.4", None)
    entry = Entry.objects.first()
    assert (entry.action, entry.subject, entry.detail["reason"]) == ("approach.ask", ann.public_id, "allowed")
    assert counted(ann) == []


def test_a_contact_that_is_made_counts_for_everybody(ann):
    assert make(ask(ann)).made_at == NOON
    assert counted(ann) == [1]
    assert gate.decide([ann.pk], "product_news", "phone", NOON)[ann.pk].reason == "consent_unknown"
    again = ask(ann, at=NOON + timedelta(hours=1))
    assert (again.allowed, again.reason, again.not_before) == (False, "cap_reached", NOON + timedelta(hours=24))
    with pytest.raises(ValidationError, match="said no"):
        make(again, NOON + timedelta(hours=1))
    assert counted(ann) == [1]


def test_of_two_who_were_allowed_one_makes_the_contact(ann):
    first, second = ask(ann), ask(ann)
    assert make(first).made_at
    made = make(second)
    assert (made.made_at, made.allowed, made.reason) == (None, False, "cap_reached")
    assert [e.action for e in Entry.objects.all()[:2]] == ["approach.refuse", "approach.make"]


def test_who_refused_meanwhile_is_not_contacted(ann):
    approach = ask(ann, "sms")
    withdraw(ann, channel="sms")
    made = make(approach)
    assert (made.made_at, made.reason) == (None, "suppressed")
    assert counted(ann, "sms") == []


def test_a_contact_is_written_down_once_and_not_on_an_old_answer(ann):
    approach = make(ask(ann, "sms"))
    with pytest.raises(ValidationError, match="already"):
        make(approach)
    with pytest.raises(ValidationError, match="too old"):
        make(ask(ann, "sms"), NOON + timedelta(minutes=16))
    assert counted(ann, "sms") == [1]


@pytest.mark.parametrize(
    ("channel", "hour", "reason"),
    [
        ("phone", 7, "outside_hours"), ("phone", 8, "allowed"), ("phone", 17, "outside_hours"),
        ("sms", 21, "allowed"), ("sms", 22, "outside_hours"),
    ],
)  # fmt: skip
def test_the_hours_of_the_law_count(ann, channel, hour, reason):
    assert ask(ann, channel, at=NOON + timedelta(hours=hour - 12)).reason == reason


def test_advertising_wants_a_look_into_the_register_where_the_rule_says_so(ann):
    refused = ask(ann, off_register=False)
    assert (refused.allowed, refused.reason, refused.evidence) == (False, "register_not_checked", "Decree 91/2020/NĐ-CP")
    assert ask(ann, purpose="service_support", off_register=False).allowed
    rule = ChannelRule.objects.get(channel="phone")
    rule.register = False
    rule.save()
    assert ask(ann, off_register=False).allowed


def test_support_calls_are_not_counted(ann):
    assert make(ask(ann, purpose="service_support")).made_at
    assert counted(ann) == []
    assert Approach.objects.contacts(ann.pk, "phone", NOON) == []


def test_mail_is_not_asked_about(ann):
    with pytest.raises(ValidationError):
        ask(ann, "email")


def test_a_clerk_asks_sees_why_and_writes_the_contact_down(client, ann):
    client.force_login(make_staff("clerk"))
    prove(client)
    customer = type(ann)
    support, promotions = (Purpose.objects.get(code=code).pk for code in ("service_support", "promotions"))
    answer = client.post(page(customer, "act", ann.pk, "ask-contact"), {"purpose": support, "channel": "phone"}, follow=True)
    approach = Approach.objects.get()
    assert answer.redirect_chain[-1][0] == page(Approach, "change", approach.pk)
    assert client.post(page(Approach, "act", approach.pk, "make"), follow=True).status_code == 200
    approach.refresh_from_db()
    assert approach.made_at
    withdraw(ann, channel="sms")
    answer = client.post(page(customer, "act", ann.pk, "ask-contact"), {"purpose": promotions, "channel": "sms"}, follow=True)
    assert "suppressed" in answer.text
    assert page(Approach, "act", Approach.objects.first().pk, "make") not in answer.text
