"""Renewal notices: caught up after days on which nothing ran, never twice for one (service, expiry, days), never two at once."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from audit.models import Entry
from mailings.models import Message, RenewalItem, RenewalRun, queue_renewals
from tests.make import consent, make_customer, make_policy, make_service, make_staff
from tests.post import sent, text

TODAY = date(2026, 11, 2)
pytestmark = pytest.mark.django_db


def day(days):
    return TODAY + timedelta(days=days)


def run(days):
    """Return the steps that are told of when it runs so many days from now, as (days before, service's number)."""
    messages = queue_renewals(day(days), by=None)
    return sorted((item.days_before, item.service_id) for message in messages for item in message.items.all())


def expiring(days, customer=None):
    return make_service(customer or make_customer(), expires_on=day(days)).pk


def test_each_step_is_told_on_its_day_and_once_however_often_it_runs():
    number = expiring(30)
    told = {days: run(days) + run(days) for days in range(35)}
    assert {days: steps for days, steps in told.items() if steps} == {0: [(30, number)], 23: [(7, number)], 29: [(1, number)]}


def test_days_on_which_nothing_ran_are_caught_up_with_the_latest_step_alone():
    month, week, tomorrow = expiring(31), expiring(10), expiring(3)
    assert run(0) == []
    # For a month: of the one that passed both its steps meanwhile, the later one; of what has expired, nothing.
    assert run(5) == [(7, week), (30, month)]
    assert tomorrow and run(5) == run(6) == []
    assert run(28) == [(7, month)]
    assert run(29) == [] and run(30) == [(1, month)]


def test_of_two_steps_that_were_missed_the_later_one_goes_out_and_the_earlier_never():
    number = expiring(31)
    run(0)
    assert run(30) == [(1, number)]
    assert run(24) == run(30) == run(31) == [], "nor when the clock goes back"


def test_on_its_last_day_a_service_is_still_told_of_and_after_it_no_more():
    last, gone = expiring(20), expiring(19)
    run(0)
    assert run(20) == [(1, last)] and gone


def test_the_first_run_of_an_office_catches_nothing_up():
    expiring(25)
    assert run(0) == []


@pytest.mark.parametrize("clock", [(0, 1, 0, 1, 2), (1, 0, 1), (0, -1, 0), (0, 365, 0, 1)])
def test_a_clock_that_is_moved_by_a_day_or_a_year_tells_nothing_twice(clock):
    for days in (-1, 0, 1, 2, 6, 7, 8, 29, 30, 31, 32):
        expiring(days)
    told = [step for days in clock for step in run(days)]
    assert len(told) == len(set(told)) == RenewalItem.objects.count()
    assert Message.objects.count() == len({item.message_id for item in RenewalItem.objects.all()})


def test_several_services_of_a_customer_are_one_mail_also_when_they_are_caught_up(sink):
    make_policy()
    ann = make_customer("ANN", locale="en")
    consent(ann, "service_renewal")
    today = timezone.localdate()
    RenewalRun.objects.create(day=today - timedelta(days=4))
    for days in (28, 5, 1):
        make_service(ann, product=f"P{days}", expires_on=today + timedelta(days=days))
    assert len(queue_renewals(today, by=None)) == 1
    sent()
    (mail,) = sink.mails
    assert all(f"days left: {days}" in text(mail) for days in (28, 5, 1))


def test_who_was_told_of_an_expiry_is_told_again_of_the_next():
    number = expiring(7)
    assert run(0) == [(7, number)]
    service = RenewalItem.objects.get().service
    service.expires_on = day(8)
    service.save()
    assert run(1) == [(7, number)]


def test_a_run_leaves_one_entry_where_it_queued_something():
    expiring(7)
    make_staff("officer")
    run(0), run(0), run(1)
    assert Entry.objects.filter(action="renewals.queue").count() == 1
    assert RenewalRun.objects.count() == 2
