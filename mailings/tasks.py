"""What the workers do. Tasks carry nothing: the table says what there is to send, so a lost or repeated task is harmless."""

import logging
import subprocess
import sys
import time
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils import timezone
from kombu.exceptions import OperationalError
from tqdm import tqdm

from audit import models as audit
from audit.unrecorded import Unrecorded
from mailings import inbox, postman
from mailings.models import Campaign, DryRun, Message, MessageCount, queue_renewals
from privacy_office import celery
from privacy_office.celery import app

log = logging.getLogger(__name__)
SLICE = 3  # seconds of work in one task, so that a worker that is asked to end does so soon
QUEUES = ["--queues", "celery,notices,drain"]
WAKE = 4  # workers woken at once; those that find nothing end at once


@contextmanager
def patient():
    """Leave undone, with a line in the log, what the audit trail cannot tell of: the next sweep tries again."""
    try:
        yield
    except Unrecorded as trouble:
        log.error(str(trouble))


@app.task
@patient()
def drain():
    if postman.drain(SLICE):
        wake(1)


@app.task
@patient()
def tell():
    """Make a message of each notice that waits, and send what is due, notices first."""
    if Message.objects.queue_notices():
        postman.drain(SLICE)


@app.task
@patient()
def sweep():
    """Free what the dead held, close what is finished, and wake workers for what is due: nothing depends on the broker's memory."""
    Message.objects.recover()
    for campaign in Campaign.objects.finished():
        try:
            campaign.finish()
        except ValidationError:
            continue  # another sweep, or a stop, was quicker
    if Message.objects.due(timezone.now()).exists():
        wake(WAKE)


@app.task
@patient()
def start_campaigns():
    """Begin with what was scheduled; of two who begin at once the second finds it begun."""
    for campaign in Campaign.objects.to_start(timezone.now()):
        try:
            campaign.launch(by=None)
        except ValidationError:
            continue
        except ImproperlyConfigured as gap:
            log.error("Campaign %s cannot begin: %s", campaign.pk, gap)
            continue
        wake(WAKE)


@app.task
@patient()
def count_dry_runs():
    """Count for each dry run that waits."""
    while DryRun.objects.count_next():
        pass


@app.task
def count_messages():
    MessageCount.objects.keep()


def wake_counting():
    celery.wake(count_dry_runs.name)


@app.task
@patient()
def send_renewals():
    if queue_renewals(timezone.localdate(), by=None):
        wake(WAKE)


@app.task
@patient()
def read_mail():
    """Read what came in; where more waits than fits, a worker is woken to go on."""
    _counts, more = inbox.read(SLICE)
    if more:
        celery.wake(read_mail.name)


def wake(workers):
    """Tell workers to look; where the broker is away, the next sweep tells them."""
    celery.wake(drain.name, workers)


def answers():
    """Return whether a worker answers."""
    try:
        return bool(app.control.ping(timeout=1, limit=1))
    except (OperationalError, OSError):
        return False


@contextmanager
def worker_at_hand():
    """Have a worker: one that answers, else one of our own for as long as it takes. Yield a check that raises when ours has died."""
    if answers():
        yield lambda: None
        return
    command = [sys.executable, "-m", "celery", "-A", "privacy_office", "worker", *QUEUES, "--concurrency", "2", "--loglevel", "WARNING"]
    own = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=sys.stderr, start_new_session=True)

    def check():
        if own.poll() is not None:
            raise RuntimeError(f"The worker ended with {own.returncode}; what is open is sent when one runs again.")

    try:
        yield check
    finally:
        own.terminate()
        try:
            own.wait(30)
        except subprocess.TimeoutExpired:
            own.kill()


def see_through(messages, name):
    """Wait until no message of the queryset is open, with a bar; workers are woken again where nothing moves.

    Unrecorded where nothing could move, as no entry can be written: what is open stays so, for when it can.
    """
    total, pause, swept = messages.count(), 0.1, time.monotonic()
    with worker_at_hand() as check, tqdm(total=total, desc=name, unit="mail", file=sys.stderr, mininterval=0.5) as bar:
        wake(WAKE)
        while left := messages.open().count():
            bar.update(total - left - bar.n)
            time.sleep(pause)
            pause = min(pause * 1.5, 1)
            if time.monotonic() - swept > 5:
                check()
                audit.require()
                sweep()
                swept = time.monotonic()
        bar.update(total - bar.n)
    sweep()
