"""Beats and workers that come at the same moment, over connections of their own."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from audit.models import Entry
from mailings import tasks
from mailings.models import Campaign, DryRun, Message, RenewalItem, queue_renewals
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff

pytestmark = pytest.mark.fault


def at_once(call, times=4):
    start, failed = threading.Barrier(times), []

    def run():
        start.wait()
        try:
            call()
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_two_beats_begin_a_scheduled_campaign_once_and_count_a_dry_run_once(committed_db):
    make_policy()
    for number in range(20):
        consent(make_customer(f"C{number}"))
    approver = make_staff("approver")
    campaign = make_campaign(approved_by=approver)
    campaign.schedule(timezone.now() + timedelta(hours=1), by=approver)
    QuerySet(Campaign).update(starts_at=timezone.now() - timedelta(seconds=1))
    tasks.start_campaigns.app.finalize()
    at_once(tasks.start_campaigns)
    assert Message.objects.count() == 20 and Entry.objects.filter(action="campaign.launch").count() == 1
    asked = make_campaign().ask_dry_run(by=make_staff("marketer"))
    counted = Entry.objects.filter(action="campaign.dry_run")
    before = counted.count()
    at_once(tasks.count_dry_runs)
    assert DryRun.objects.get(pk=asked.pk).allowed == 20 and counted.count() == before + 1


def test_beats_that_queue_renewal_notices_at_once_tell_once(committed_db):
    today = timezone.localdate()
    for _ in range(20):
        make_service(make_customer(), expires_on=today + timedelta(days=7))
    queued = []
    at_once(lambda: queued.append(len(queue_renewals(today, by=None))))
    assert sorted(queued) == [0, 0, 0, 20] and Message.objects.count() == RenewalItem.objects.count() == 20
