"""What Celery's processes do by themselves: refuse keys that do not fit the database, say that they live, send the mail to staff."""

import logging
import smtplib
import sys
from contextlib import suppress

import redis
from celery.signals import beat_init, heartbeat_sent, worker_init
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction

from privacy_office import health, letters
from privacy_office.celery import app
from privacy_office.models import Canary, StaffNotice

log = logging.getLogger(__name__)


@worker_init.connect
@beat_init.connect
def check_keys(**kwargs):
    # Any other exception Celery writes down and goes on.
    try:
        Canary.check_keys()
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
    except DatabaseError as problem:
        sys.exit(f"The keys cannot be checked: the database does not answer ({type(problem).__name__}).")
    finally:
        connection.close()  # a worker with -B forks its beat after this: of an inherited session it could ask nothing


@heartbeat_sent.connect
def live(sender, **kwargs):
    """Say that this worker lives, as Celery has it say every other second; where the broker is away it is told by that."""
    with suppress(redis.RedisError):
        health.worker_lives(sender.eventer.hostname)


@app.task
def tell_staff():
    """Send every notice that is not sent yet, each at least once; what is not taken now is tried again at the next call."""
    last = 0
    while last := tell_next(last):
        pass


@transaction.atomic
def tell_next(after):
    """Send the first unsent notice after row `after` that nobody else is sending; return its number, None when there is none."""
    unsent = StaffNotice.objects.unsent().filter(pk__gt=after).select_related("member")
    notice = unsent.select_for_update(of=["self"], skip_locked=True).first()
    if notice is None:
        return None
    try:
        if notice.member.email:
            letters.build(notice).send()
    except smtplib.SMTPRecipientsRefused as refused:
        codes = [code for code, _reply in refused.recipients.values()]
        log.warning("Notice %s to staff was refused: %s", notice.pk, codes)
        if max(codes) < 500:
            return notice.pk  # greylisted, or a full mailbox: the next one may do better
        # An address that does not exist will not exist in 30 seconds either.
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        log.warning("Notice %s to staff was not taken: %s", notice.pk, refused.smtp_code)
        return notice.pk
    except OSError as problem:  # smtplib's exceptions are some of these
        log.warning("The mail server is away (%s): notices to staff wait.", type(problem).__name__)
        return None
    notice.sent()
    return notice.pk
