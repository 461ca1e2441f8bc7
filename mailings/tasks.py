"""What the workers do. Tasks carry nothing: the table says what there is to send, so a lost or repeated task is harmless."""

import logging
import subprocess
import sys
import time
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from kombu.exceptions import OperationalError
from tqdm import tqdm

from mailings import postman
from mailings.models import Campaign, Message, queue_renewals
from privacy_office.celery import app

log = logging.getLogger(__name__)
SLICE = 3  # seconds of work in one task, so that a worker that is asked to end does so soon
QUEUES = ["--queues", "celery,drain"]
WAKE = 4  # workers woken at once; those that find nothing end at once


@app.task
def drain():
    if postman.drain(SLICE):
        wake(1)


@app.task
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
def send_renewals():
    if queue_renewals(timezone.localdate(), by=None):
        wake(WAKE)


def wake(workers):
    """Tell workers to look; where the broker is away, the next sweep tells them."""
    try:
        for _ in range(workers):
            drain.apply_async(expires=15)  # seconds; by then others are at work, or the next sweep wakes more
    except OperationalError:
        log.warning("The broker cannot be reached: the next sweep wakes the workers.")


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
    """Wait until no message of the queryset is open, with a bar; workers are woken again where nothing moves."""
    total, pause, swept = messages.count(), 0.1, time.monotonic()
    with worker_at_hand() as check, tqdm(total=total, desc=name, unit="mail", file=sys.stderr, mininterval=0.5) as bar:
        wake(WAKE)
        while left := messages.open().count():
            bar.update(total - left - bar.n)
            time.sleep(pause)
            pause = min(pause * 1.5, 1)
            if time.monotonic() - swept > 5:
                check()
                sweep()
                swept = time.monotonic()
        bar.update(total - bar.n)
    sweep()
