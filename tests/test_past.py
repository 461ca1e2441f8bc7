"""What could we do at a past moment: by what is kept of it, and where that is not enough the answer says so."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from consent import gate, past
from consent.models import AdvertisingContacts, ChannelRule, ConsentEvent, Event, PolicyVersion, Purpose, Source
from customers.erasure import erase
from customers.models import Customer, EmailHold
from tests.make import consent, make_customer, make_hold, make_policy, make_staff, state_of, withdraw

START = datetime(2026, 3, 3, 5, tzinfo=UTC)  # 12:00 in Hà Nội
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


def day(number):
    return START + timedelta(days=number)


def since_ever():
    """Have everything that is written so far be written long before START."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model in (Customer, Purpose, ChannelRule):
            cursor.execute(f"UPDATE {model.history.model._meta.db_table} SET history_date = %s", [day(-100)])
        cursor.execute(f"UPDATE {ConsentEvent._meta.db_table} SET recorded_at = at")
        cursor.execute(f"UPDATE {PolicyVersion._meta.db_table} SET published_at = %s WHERE number = 1", [day(-90)])
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def backdate(row, at, model=Customer):
    """Have the newest history row of a customer be of `at`."""
    table = model.history.model._meta.db_table
    newest = f"(SELECT max(history_id) FROM {table} WHERE id = %s)"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET history_date = %s WHERE history_id = {newest}", [at, row.pk])


@pytest.fixture
def ann():
    """Who said yes ten days before START, and has been a customer for long."""
    make_policy()
    customer = make_customer("ann")
    consent(customer, at=day(-10))
    since_ever()
    return customer


def then(customer, at=START, purpose="promotions", channel="email", **told):
    return past.look_back(customer.pk, purpose, channel, at, **told)


def reason(customer, at=START, **asked):
    return then(customer, at, **asked).decision().reason


def test_what_holds_now_held_then_as_the_gate_itself_answers(ann):
    looked = then(ann)
    assert (looked.decision().reason, looked.unknown, looked.notes) == ("allowed", {}, [])
    terms = gate.load_terms("promotions", "email", START)
    assert looked.facts == gate.load_facts([ann.pk], terms)[ann.pk]
    assert looked.decision() == gate.judge(looked.facts, terms)


def test_a_consent_counts_from_when_it_was_given_to_when_it_was_withdrawn(ann):
    withdraw(ann, at=day(5))
    assert [reason(ann, day(n)) for n in (-11, -10, 0, 5, 6)] == [
        "consent_unknown", "allowed", "allowed", "suppressed", "suppressed",
    ]  # fmt: skip
    consent(ann, at=day(8))
    assert [reason(ann, day(n)) for n in (4, 6, 8)] == ["allowed", "suppressed", "allowed"]


def test_a_no_that_was_written_down_late_counts_from_when_it_was_said(ann):
    state_of(ann).withdraw(by=make_staff("clerk"), source=Source.PHONE_CALL, at=day(-1))
    looked = then(ann)
    assert looked.decision().reason == "suppressed"
    assert any("did not know it yet" in note for note in looked.notes)


def test_what_was_restricted_ended_or_bouncing_then_was_so_then(ann):
    ann.set_email_state(Customer.EmailState.BOUNCING, by=None, reason="bounced")
    backdate(ann, day(1))
    ann.set_email_state(Customer.EmailState.VERIFIED, by=None, reason="verified")
    backdate(ann, day(2))
    ann.restrict(by=None, reason="asked")
    backdate(ann, day(3))
    ann.lift_restriction(by=None, reason="asked")
    backdate(ann, day(4))
    ann.end_association(on=day(5).date(), by=None, reason="left")
    backdate(ann, day(5))
    answers = [reason(ann, day(n) + timedelta(hours=1)) for n in range(6)]
    assert answers == ["allowed", "address_bouncing", "allowed", "restricted", "allowed", "association_ended"]


def test_a_hold_counts_from_when_it_was_placed_to_when_it_was_released(ann):
    hold = make_hold(ann)
    hold.release(by=make_staff("clerk"), channel="phone", note="knows the plan")
    EmailHold.objects.filter(pk=hold.pk)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_emailhold SET placed_at = %s, released_at = %s", [day(-1), day(1)])
    assert [reason(ann, day(n)) for n in (-2, -1, 0, 1)] == ["allowed", "address_on_hold", "address_on_hold", "allowed"]


def test_a_version_outdates_consents_from_its_publication(ann):
    make_policy(2, severity="major", changes=["promotions"])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE consent_policyversion SET published_at = %s WHERE number = 2", [day(2)])
    assert [reason(ann, day(n)) for n in (0, 1, 2, 3)] == ["allowed", "allowed", "consent_outdated", "consent_outdated"]


def test_the_law_of_then_counts(ann):
    rule = ChannelRule.objects.get(channel="email")
    rule.cap = 0
    rule.save()
    backdate(rule, day(1), ChannelRule)
    assert [reason(ann, day(n)) for n in (0, 2)] == ["allowed", "cap_reached"]
    assert reason(ann, START.replace(hour=20), purpose="promotions", channel="phone") == "consent_unknown"


def test_the_address_of_then_counts(ann):
    old, clerk = ann.email, make_staff("clerk")
    ann.correct(by=clerk, reason="moved", email="ann.new@example.org")
    backdate(ann, day(1))
    binh = make_customer("binh", email=old)
    withdraw(binh, at=day(2))
    assert [reason(ann, day(n)) for n in (0, 3)] == ["allowed", "address_unverified"]


def test_another_who_had_the_number_and_said_no_counts():
    make_policy()
    ann, binh, chi = (make_customer(ref, phone="+84901234567") for ref in ("ann", "binh", "chi"))
    consent(ann, channel="sms", at=day(-10))
    withdraw(binh, channel="sms", at=day(-5))
    consent(ann, channel="sms", at=day(-3))
    withdraw(chi, channel="sms", at=day(-2))
    withdraw(ann, channel="sms", at=day(9))  # the row of the number keeps this one alone
    since_ever()
    assert [reason(ann, day(n), channel="sms") for n in (-6, -4, -3, -1)] == ["allowed", "suppressed", "allowed", "suppressed"]


def test_of_who_was_erased_since_it_says_what_cannot_be_known(ann):
    erase(ann, by=make_staff("officer"), reason="asked")
    looked = then(ann)
    assert set(looked.unknown) == {"reachable", "unsuppressed"}
    assert (looked.decision().allowed, looked.decision().reason) == (False, "cannot_be_known")
    assert {a.rule for a in looked.answers() if not a.refusal and not a.unknown} >= {"known", "consented", "up_to_date"}
    assert reason(ann, datetime.now(UTC)) == "erased"


def test_the_cap_of_then_counts_as_far_as_it_is_kept(ann):
    hours = [START - timedelta(hours=n) for n in (1, 2, 3)]
    AdvertisingContacts.objects.create(customer=ann, channel="email", times=hours)
    assert reason(ann) == "cap_reached"
    assert reason(ann, START - timedelta(hours=2, minutes=30)) == "cannot_be_known"  # what came before the three is not kept
    assert then(ann, START - timedelta(hours=2, minutes=30)).unknown.keys() == {"under_the_cap"}
    assert reason(ann, START - timedelta(hours=2, minutes=30), sent=[]) == "allowed"
    assert reason(ann, START - timedelta(days=2), sent=[START - timedelta(days=2, hours=n) for n in (1, 2, 3)]) == "cap_reached"
    assert reason(ann, day(2)) == "allowed"


def test_who_came_later_was_unknown_unless_something_was_said(ann):
    chi, dung = make_customer("chi"), make_customer("dung")
    consent(dung, at=day(-1))
    assert (reason(chi), reason(dung)) == ("unknown", "allowed")
    assert any("first written down" in note for note in then(chi).notes)
    assert any("first written down" in note for note in then(dung).notes)
    assert past.look_back(None, "promotions", "email", START).decision().reason == "unknown"


@pytest.mark.parametrize("event", [Event.EXPIRED, Event.INVALIDATED, Event.REQUESTED])
def test_every_kind_of_event_counts(ann, event):
    ConsentEvent.objects.record(
        [ConsentEvent(customer=ann, purpose=Purpose.objects.get(code="promotions"), channel="email", event=event, at=day(-1),
                      source=Source.IMPORT, by="system")], by=None,
    )  # fmt: skip
    assert [reason(ann, day(n)) for n in (-2, 0)] == ["allowed", f"consent_{event}"]


def test_looking_back_is_a_few_statements(ann):
    withdraw(ann, at=day(5))
    with CaptureQueriesContext(connection) as captured:
        assert reason(ann) == "allowed"
    assert len(captured) == 3


def test_decide_answers_for_a_past_moment(ann):
    def decide(*asked):
        out = StringIO()
        call_command("decide", "ann", "promotions", *asked, stdout=out)
        return out.getvalue()

    withdraw(ann, at=day(5))
    said = json.loads(decide("--at=2026-03-03", "--json"))
    assert (said["allowed"], said["reason"], said["past"], said["notes"]) == (True, "allowed", True, [])
    assert [(a["rule"], a["answer"]) for a in said["answers"]] == [(rule.__name__, "passes") for rule in gate.RULES]
    consented = next(a for a in said["answers"] if a["rule"] == "consented")
    assert consented == {"rule": "consented", "answer": "passes", "clause": "§2.4", "evidence": f"event:{ConsentEvent.objects.first().pk}"}
    assert json.loads(decide("--at=2026-03-09T09:00+07:00", "--json"))["reason"] == "suppressed"
    erase(ann, by=make_staff("officer"), reason="asked")
    words = decide("--at=2026-03-03")
    assert words.startswith("refused: cannot_be_known")
    assert "! The customer was erased since" in words
