"""The ledger of consent: whatever order events arrive in, the state is what was said last, and a no outlives the row."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Entry
from consent.models import ALLOWS, STOPS, ConsentEvent, ConsentState, Event, Purpose, Source, Suppression
from customers.models import Customer, Evidence
from tests.make import consent, current_policy, make_customer, make_policy, make_staff, state_of, withdraw

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
SAID = [Event.REQUESTED, Event.GIVEN, Event.RENEWED, Event.REFUSED, Event.WITHDRAWN, Event.EXPIRED]


def day(number):
    return START + timedelta(days=number)


def event(customer, said=Event.GIVEN, at=START, purpose="promotions", channel="email"):
    """Return an unsaved event, as an import would make it."""
    return ConsentEvent(
        customer=customer, purpose=Purpose.objects.get(code=purpose), channel=channel, event=said, at=at, source=Source.IMPORT, by="system"
    )  # fmt: skip


def record(*events):
    ConsentEvent.objects.record(list(events), by=None)


def kind(said):
    return "yes" if said in ALLOWS else "no" if said in STOPS else said


def replay():
    """Return the states as a plain reading of the ledger gives them: the last one said, a no before a yes at one instant."""
    states = {}
    for said in sorted(ConsentEvent.objects.all(), key=lambda e: (e.at, e.event in STOPS)):
        states[said.key] = (kind(said.event), said.at)
    return states


def states():
    return {s.key: (kind(s.state), s.at) for s in ConsentState.objects.exclude(state="unknown")}


def suppressed(purpose="promotions"):
    return Suppression.objects.filter(purpose__code=purpose, lifted_at=None).count()


# What one customer says


@pytest.mark.django_db
def test_nothing_said_is_unknown_and_leaves_no_row():
    assert state_of(make_customer("chi")).state == "unknown"
    assert not ConsentState.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "events"),
    [
        ("yes", ["given"]),
        ("yes yes", ["given", "renewed"]),
        ("yes yes yes", ["given", "renewed", "renewed"]),
        ("no", ["refused"]),
        ("no no", ["refused"]),
        ("yes no", ["given", "withdrawn"]),
        ("yes yes no", ["given", "renewed", "withdrawn"]),
        ("yes no no", ["given", "withdrawn"]),
        ("yes no yes", ["given", "withdrawn", "given"]),
        ("no yes no", ["refused", "given", "withdrawn"]),
    ],
)
def test_what_is_said_becomes_events(said, events):
    ann = make_customer("ann")
    for number, word in enumerate(said.split()):
        (consent if word == "yes" else withdraw)(ann, at=day(number))
    assert list(ConsentEvent.objects.order_by("id").values_list("event", flat=True)) == events
    assert state_of(ann).state == events[-1]
    assert suppressed() == (events[-1] in STOPS)


@pytest.mark.django_db
def test_an_event_keeps_what_was_shown_by_whom_and_how():
    ann, clerk, policy = make_customer("ann", locale="en"), make_staff("clerk"), make_policy(3)
    state_of(ann).give(by=clerk, source=Source.PHONE_CALL, policy=policy, evidence="call 17 at 9:00", at=START)
    said = ConsentEvent.objects.get()
    assert (said.at, said.source, said.policy_version, said.by) == (START, "phone_call", policy, f"staff:{clerk.pk}")
    assert said.shown_digest == policy.shown_digest("en")
    assert (said.evidence.text, said.evidence.customer) == ("call 17 at 9:00", ann)
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor, entry.subject, entry.clause) == ("consent.given", f"staff:{clerk.pk}", ann.public_id, "§2.4")
    assert entry.detail == {"purpose": "promotions", "channel": "email", "source": "phone_call", "latest": True}


@pytest.mark.django_db
def test_a_no_that_stands_leaves_nothing_new():
    binh = make_customer("binh")
    withdraw(binh)
    before = ConsentEvent.objects.count(), Entry.objects.count(), Evidence.objects.count()
    assert withdraw(binh) is None
    assert (ConsentEvent.objects.count(), Entry.objects.count(), Evidence.objects.count()) == before


@pytest.mark.django_db
def test_a_purpose_and_a_channel_stand_alone():
    ann = make_customer("ann")
    for purpose, channel in (("promotions", "email"), ("promotions", "sms"), ("surveys", "email")):
        consent(ann, purpose, channel)
    withdraw(ann, "promotions", "sms")
    assert state_of(ann, "promotions", "email").state == state_of(ann, "surveys", "email").state == "given"
    assert state_of(ann, "promotions", "sms").state == "withdrawn"
    assert state_of(ann, "product_news", "email").state == "unknown"


# Any order

moments = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(SAID)), min_size=1, max_size=6, unique=True)


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments, st.randoms(use_true_random=False), st.booleans())
def test_events_in_any_order_leave_the_same_state(said, random, at_once):
    ann, binh = make_customer(), make_customer()
    shuffled = random.sample(said, len(said))
    record(*(event(ann, what, day(when)) for when, what in sorted(said)))
    late = [event(binh, what, day(when)) for when, what in shuffled]
    if at_once:
        record(*late)
    else:
        for one in late:
            record(one)
    one, other = state_of(ann), state_of(binh)
    assert (one.state, one.at) == (other.state, other.at)
    if {what for _, what in said} <= STOPS | ALLOWS:
        there = [Suppression.objects.filter(digest=c.email_index, lifted_at=None).exists() for c in (ann, binh)]
        assert there == [one.state in STOPS] * 2


@pytest.mark.django_db
@pytest.mark.parametrize("yes", sorted(ALLOWS))
@pytest.mark.parametrize("no", sorted(STOPS))
@pytest.mark.parametrize("no_first", [True, False])
def test_at_one_instant_a_no_beats_a_yes(yes, no, no_first):
    ann = make_customer("ann")
    for said in (no, yes) if no_first else (yes, no):
        record(event(ann, said))
    assert state_of(ann).state == no
    assert suppressed() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("other", [Event.REQUESTED, Event.EXPIRED, Event.INVALIDATED])
def test_at_one_instant_the_order_of_arrival_does_not_matter(other):
    ann, binh = make_customer(), make_customer()
    record(event(ann, Event.GIVEN), event(ann, other))
    record(event(binh, other), event(binh, Event.GIVEN))
    assert state_of(ann).state == state_of(binh).state


@pytest.mark.django_db
def test_an_old_event_is_kept_and_changes_nothing():
    binh = make_customer("binh")
    withdraw(binh, at=day(2))
    record(event(binh, Event.GIVEN, day(1)))
    assert state_of(binh).state == "refused"
    assert suppressed() == 1
    assert ConsentEvent.objects.count() == 2
    assert Entry.objects.latest("id").detail["latest"] is False


answers = st.tuples(st.integers(0, 2), st.integers(0, 9), st.sampled_from(SAID[1:5]), st.sampled_from(["email", "sms"]))
ledgers = st.lists(answers, max_size=25, unique_by=lambda answer: answer[:2])


@pytest.mark.django_db
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ledgers)
def test_the_states_are_a_plain_replay_of_the_ledger(said):
    people = [make_customer() for _ in range(3)]
    record(*(event(people[who], what, day(when), channel=channel) for who, when, what, channel in said[::2]))
    for who, when, what, channel in said[1::2]:
        record(event(people[who], what, day(when), channel=channel))
    ours = {p.pk for p in people}
    assert {k: v for k, v in states().items() if k[0] in ours} == {k: v for k, v in replay().items() if k[0] in ours}


# Suppression


@pytest.mark.django_db
def test_a_no_outlives_the_customers_row():
    binh = make_customer("binh", email="binh@example.org")
    withdraw(binh, at=day(2))
    binh.correct(by=None, reason="erased", email=None)
    again = make_customer("again", email=" Binh@EXAMPLE.org")
    record(event(again, Event.GIVEN, day(1)))
    assert state_of(again).state == "given"
    assert suppressed() == 1
    consent(again, at=day(2))  # at the instant of the no
    assert suppressed() == 1
    consent(again, at=day(3))
    assert suppressed() == 0


@pytest.mark.django_db
def test_a_no_to_a_number_holds_for_everyone_who_has_it():
    ann, binh = make_customer("ann", phone="+84901234567"), make_customer("binh", phone="0901 234 567")
    consent(ann, channel="sms", at=day(1))
    withdraw(binh, channel="sms", at=day(2))
    assert Suppression.objects.get().digest == ann.phone_index
    consent(ann, channel="sms", at=day(3))
    assert suppressed() == 0


@pytest.mark.django_db
def test_a_no_after_a_lifted_one_stands_again():
    ann = make_customer("ann")
    for number, say in enumerate([withdraw, consent, withdraw]):
        say(ann, at=day(number))
    row = Suppression.objects.get()
    assert (row.since, row.lifted_at) == (day(2), None)


@pytest.mark.django_db
@pytest.mark.parametrize("said", [Event.REQUESTED, Event.EXPIRED, Event.INVALIDATED])
def test_what_the_customer_did_not_say_suppresses_and_lifts_nothing(said):
    ann, binh = make_customer("ann"), make_customer("binh")
    withdraw(binh, at=day(0))
    record(event(ann, said, day(1)), event(binh, said, day(1)))
    assert suppressed() == 1


@pytest.mark.django_db
def test_a_customer_without_an_address_can_say_no():
    chi = make_customer("chi", email=None)
    withdraw(chi)
    assert state_of(chi).state == "refused"
    assert not Suppression.objects.exists()


# Cost and company


@pytest.mark.django_db
def test_a_hundred_events_cost_as_many_statements_as_two():
    people, counts = Customer.objects.enrol([Customer(ref=f"N{n}", email=f"n{n}@example.org") for n in range(102)], by=None, source="x"), []
    for some in (people[:2], people[2:]):
        events = [event(p, Event.WITHDRAWN) for p in some]
        with CaptureQueriesContext(connection) as captured:
            record(*events)
        counts.append(len(captured))
    assert counts[0] == counts[1]
    assert suppressed() == 102


@pytest.mark.usefixtures("committed_db")
def test_two_who_write_at_once_leave_what_the_ledger_says():
    people, policy = [make_customer() for _ in range(2)], current_policy()
    start = threading.Barrier(4)

    def say(worker):
        try:
            start.wait()
            for turn in range(8):
                at = day(turn * 4 + worker)
                for customer in people if worker % 2 else people[::-1]:
                    (withdraw if (worker + turn) % 3 else consent)(customer, at=at)
                record(*(event(p, SAID[1 + (worker + turn) % 4], at) for p in people))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(say, worker) for worker in range(4)]:
            done.result()
    assert policy.pk
    assert states() == replay()
    assert suppressed() == sum(said == "no" for said, _ in states().values())
    assert Customer.objects.count() == 2
