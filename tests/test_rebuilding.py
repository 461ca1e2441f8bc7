"""Reading the ledger again: what differs is found, told and mended, whatever is said meanwhile."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import Entry
from consent import preferences, rebuilding, tasks
from consent.models import STOPS, Channel, ConsentEvent, ConsentState, Event, Purpose, Source
from customers.models import Notice
from privacy_office.models import Staff, StaffNotice
from tests.make import consent, current_policy, make_customer, make_staff, state_of, withdraw
from tests.test_consent import day, event, record, replay, states

WRONG = {
    "another state": "UPDATE consent_consentstate SET state = 'given'",
    "another time": "UPDATE consent_consentstate SET at = at + interval '1 second'",
    "another event": "UPDATE consent_consentstate SET event_id = (SELECT min(id) FROM consent_consentevent)",
    "another version": "UPDATE consent_consentstate SET policy_version_id = NULL",
    "none at all": "DELETE FROM consent_consentstate",
    "one too many": "INSERT INTO consent_consentstate (customer_id, purpose_id, channel, state)"
    " SELECT customer_id, purpose_id, 'phone', 'given' FROM consent_consentstate LIMIT 1",
}


def run(*arguments):
    out = StringIO()
    try:
        call_command("rebuild_consent_states", *arguments, stdout=out)
    finally:
        said = json.loads(out.getvalue())
    return said


@pytest.fixture
def people():
    ann, binh, chi = make_customer("ann"), make_customer("binh"), make_customer("chi")
    consent(ann, at=day(0))
    withdraw(ann, at=day(1))
    consent(ann, at=day(2))
    consent(binh, "surveys", at=day(0))
    record(event(binh, Event.GIVEN), event(binh, Event.REFUSED), event(binh, Event.EXPIRED, day(-1)))
    return ann, binh, chi


@pytest.mark.django_db
def test_what_the_ledger_says_is_found_right_and_nothing_is_written(people):
    before = list(ConsentState.objects.order_by("pk").values())
    assert rebuilding.compare() == rebuilding.rebuild(by=None) == (3, 0, [])
    assert list(ConsentState.objects.order_by("pk").values()) == before
    assert not Entry.objects.filter(action="consent.rebuild").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", WRONG)
def test_what_differs_is_found_and_mended(people, wrong):
    right = states()
    with connection.cursor() as cursor:
        cursor.execute(WRONG[wrong])
    found = rebuilding.compare()
    assert found.differences > 0
    assert len(found.named) == found.differences
    assert rebuilding.rebuild(by=None) == found
    assert states() == right == replay()
    assert rebuilding.compare().differences == 0
    assert Entry.objects.get(action="consent.rebuild").detail["states"] == found.differences


@pytest.mark.django_db
def test_at_one_instant_what_was_written_last_counts_as_it_does_in_the_ledger(people):
    first, again = current_policy(), event(people[2], Event.GIVEN)
    record(event(people[2], Event.GIVEN))
    again.policy_version = first
    record(again)
    assert state_of(people[2]).event == again
    assert rebuilding.compare().differences == 0


@pytest.mark.django_db
def test_customers_are_read_in_batches(people, monkeypatch):
    monkeypatch.setattr(rebuilding, "BATCH", 1)
    ConsentState.objects.all().delete()
    assert rebuilding.rebuild(by=None).differences == 3
    assert states() == replay()
    assert Entry.objects.filter(action="consent.rebuild").count() == 2


@pytest.mark.django_db
def test_the_command_says_what_it_found_and_ends_with_1_where_it_may_not_mend(people):
    assert run("--check") == {"customers": 3, "differences": 0, "named": [], "check": True}
    ConsentState.objects.update(state="given", policy_version=None)
    with pytest.raises(CommandError, match="not what the ledger says") as refused:
        run("--check")
    assert refused.value.returncode == 1
    assert ConsentState.objects.filter(state="given").count() == 3
    assert run()["differences"] == 2 + ConsentEvent.objects.filter(event="given", purpose__code="surveys").count()
    assert run("--check")["differences"] == 0


@pytest.mark.django_db
def test_a_difference_found_at_night_alarms_the_officers_once_and_leaves_an_entry(people, caplog):
    officer, _clerk = make_staff("officer"), make_staff("clerk")
    tasks.compare_states()
    assert not StaffNotice.objects.exists()
    ConsentState.objects.filter(customer=people[0]).update(state="withdrawn")
    tasks.compare_states()
    told = StaffNotice.objects.values_list("member__username", "kind")
    assert sorted(told) == sorted((member.username, "consent_differs") for member in Staff.objects.in_role("officer"))
    assert (officer.username, "consent_differs") in told
    told = Entry.objects.filter(action="consent.compare").order_by("pk")
    purpose = Purpose.objects.get(code="promotions")
    assert [entry.detail["differences"] for entry in told] == [0, 1]
    assert told[1].detail["named"] == [f"{people[0].pk}:{purpose.pk}:email"]
    assert "1 states of consent" in caplog.text


@pytest.mark.usefixtures("committed_db")
def test_who_speaks_while_the_ledger_is_read_again_is_heard():
    people = [make_customer() for _ in range(6)]
    current_policy()
    done = threading.Event()

    def speak():
        try:
            for turn in range(20):
                for customer in people:
                    (withdraw if turn % 2 else consent)(customer)
        finally:
            done.set()
            connection.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    while not done.is_set():
        assert rebuilding.rebuild(by=None).differences == 0
    speaker.join()
    assert states() == replay()


@pytest.mark.usefixtures("committed_db")
def test_a_hundred_changes_of_one_choice_at_once_leave_one_ledger_and_one_state():
    ann, policy = make_customer("ann"), current_policy()
    start = threading.Barrier(20)

    def change(number):
        try:
            start.wait(60)
            for turn in range(5):
                if (number + turn) % 2:
                    consent(ann, policy=policy, at=day(turn))
                else:
                    preferences.refuse_all(ann, by=ann, source=Source.PREFERENCE_PAGE, channels=[Channel.EMAIL])
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        for done in [threads.submit(change, number) for number in range(20)]:
            done.result()
    assert states() == replay()
    assert rebuilding.compare().differences == 0
    assert ConsentState.objects.filter(customer=ann, purpose__code="promotions", channel="email").count() == 1
    said = ConsentEvent.objects.filter(purpose__code="promotions").count()
    assert Entry.objects.filter(object__startswith="consent.consentevent:").count() == ConsentEvent.objects.count()
    assert said >= 50
    refusals = ConsentEvent.objects.filter(event__in=STOPS).values("at").distinct().count()
    assert Notice.objects.filter(kind="refused").count() == refusals
