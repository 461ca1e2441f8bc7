"""What is counted by day is what is there, however often it is counted, and takes the same statements for one row and for many."""

from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent.models import ConsentCount, ConsentState
from consent.tasks import count_states
from customers.erasure import erase
from mailings.models import Message, MessageCount
from mailings.tasks import count_messages
from privacy_office.celery import app
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff, withdraw

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def days_ago(number):
    return NOW - timedelta(days=number)


def counted(purpose="promotions", channel="email"):
    """Return {days ago: (allowed, refused)} of what is kept."""
    rows = ConsentCount.objects.filter(purpose__code=purpose, channel=channel)
    return {(timezone.localdate(NOW) - row.day).days: (row.allowed, row.refused) for row in rows}


@pytest.fixture
def life():
    """Five customers: ann said yes 5 days ago; binh too, and no 2 days ago; chi never; dung yes and no on one day; em is erased today."""
    make_policy()
    ann, binh, _chi, dung, em = map(make_customer, ("ann", "binh", "chi", "dung", "em"))
    consent(ann, at=days_ago(5))
    consent(binh, at=days_ago(5))
    withdraw(binh, at=days_ago(2))
    consent(dung, at=days_ago(3))
    withdraw(dung, at=days_ago(3))
    consent(em, at=days_ago(4))
    erase(em, by=None, reason="asked")
    return ann


def test_past_days_are_counted_by_what_was_said_until_then(life):
    ConsentCount.objects.back_fill()
    assert counted() == {5: (2, 0), 4: (3, 0), 3: (3, 1), 2: (2, 2), 1: (2, 2), 0: (1, 2)}
    assert set(counted("surveys").values()) == {(0, 0)}, "a purpose of which nobody spoke"
    assert not ConsentCount.objects.filter(purpose__code="service_support"), "it needs no consent"


def test_today_is_counted_by_the_states_and_says_what_the_ledger_says(life):
    ConsentCount.objects.back_fill()
    ledger = counted()
    ConsentCount.objects.all().delete()
    ConsentCount.objects.keep(NOW)
    assert counted() == ledger


def test_counting_again_changes_nothing_and_follows_what_was_said_since(life):
    count_states()
    before = list(ConsentCount.objects.order_by("pk").values())
    count_states()
    assert list(ConsentCount.objects.order_by("pk").values()) == before
    withdraw(life)
    count_states()
    assert counted()[0] == (0, 3) and counted()[1] == (2, 2)


def test_a_day_on_which_nobody_counted_is_made_up_by_the_next_count(life):
    ConsentCount.objects.keep(NOW)
    ConsentCount.objects.filter(day__gte=timezone.localdate(NOW) - timedelta(days=3)).delete()
    ConsentCount.objects.filter(day=timezone.localdate(NOW) - timedelta(days=4)).update(allowed=77)
    ConsentCount.objects.keep(NOW)
    assert counted() == {5: (2, 0), 4: (77, 0), 3: (3, 1), 2: (2, 2), 1: (2, 2), 0: (1, 2)}, "and what was counted stays"


def test_the_share_of_yes_is_of_those_who_said_yes_or_no():
    assert ConsentCount(allowed=1, refused=3).rate == 0.25
    assert ConsentCount(allowed=0, refused=0).rate is None


def test_an_office_without_a_consent_counts_nothing_in_the_past():
    assert ConsentCount.objects.back_fill() == 0
    ConsentCount.objects.keep()
    assert set(counted().values()) == {(0, 0)}


def statements(work):
    with CaptureQueriesContext(connection) as caught:
        work()
    return len(caught)


def test_the_day_is_counted_in_as_many_statements_for_many_rows_as_for_one(life):
    count_states()
    few = statements(count_states)
    for number in range(5):
        consent(make_customer(f"c{number}"))
    assert statements(count_states) == few == 2 + 2, "a look at what is kept, the count itself, and its transaction"


def test_the_timetable_counts_both():
    tasks = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {"consent.tasks.count_states", "mailings.tasks.count_messages"} <= tasks


# Messages


def make_messages(*settled, at=NOW):
    """Make messages of one campaign, each (state, reason), that were decided at one moment."""
    campaign = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    for state, reason in settled:
        decided = None if state == "queued" else at
        Message.objects.create(
            campaign=campaign, customer=make_customer(), purpose=campaign.purpose, state=state, reason=reason, decided_at=decided
        )


def mail(days=0):
    rows = MessageCount.objects.filter(day=timezone.localdate(NOW) - timedelta(days=days))
    return {(row.state, row.reason): row.messages for row in rows}


def test_the_mail_of_a_day_is_counted_by_what_became_of_it():
    make_messages(("sent", ""), ("sent", ""), ("blocked", "suppressed"), ("blocked", "cap_reached"), ("failed", "550"), ("queued", ""))
    make_messages(("unknown", "worker_lost"), ("sent", ""), at=days_ago(3))
    count_messages()
    assert mail() == {("sent", ""): 2, ("blocked", "suppressed"): 1, ("blocked", "cap_reached"): 1, ("failed", ""): 1}
    assert mail(3) == {("unknown", ""): 1, ("sent", ""): 1}
    assert MessageCount.objects.get(day=timezone.localdate(NOW), state="sent").last_at == NOW


def test_the_mail_is_counted_again_as_long_as_it_goes_on_and_no_longer():
    make_messages(("sent", ""))
    count_messages()
    make_messages(("sent", ""), at=NOW - timedelta(minutes=5))
    assert MessageCount.objects.keep(NOW + timedelta(minutes=30)) == 1 and mail() == {("sent", ""): 2}, "written down later than the first"
    assert MessageCount.objects.keep(NOW + timedelta(days=1)) == 0
    make_messages(("sent", ""), at=NOW + timedelta(hours=20))
    assert MessageCount.objects.keep(NOW + timedelta(days=1)) >= 1


def test_a_day_begins_where_the_office_is(settings):
    assert settings.TIME_ZONE == "Asia/Ho_Chi_Minh"
    make_messages(("sent", ""), at=datetime.fromisoformat("2026-03-01T00:30+07:00"))
    make_messages(("sent", ""), at=datetime.fromisoformat("2026-03-01T23:30+07:00"))
    count_messages()
    assert MessageCount.objects.get().day == date(2026, 3, 1) and MessageCount.objects.get().messages == 2
    make_policy()
    consent(make_customer(), at=datetime.fromisoformat("2026-11-01T00:30+07:00"), policy=None)
    ConsentCount.objects.back_fill(until=date(2026, 11, 1))
    assert [row.allowed for row in ConsentCount.objects.filter(purpose__code="promotions", channel="email")] == [1]
    assert ConsentState.objects.get().state == "given"


def test_counting_the_mail_takes_as_many_statements_for_many_messages_as_for_one():
    make_messages(("sent", ""))
    count_messages()
    few = statements(count_messages)
    make_messages(*[("sent", ""), ("blocked", "suppressed")] * 5)
    assert statements(count_messages) == few
