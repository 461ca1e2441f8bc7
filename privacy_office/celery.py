"""The workers' way in, and the whole timetable. Tasks carry no data: they say 'look at the table'."""

import logging.config
import os
from logging import getLogger

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings
from kombu.exceptions import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")

app = Celery("privacy_office")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.task_routes = {
    "mailings.tasks.drain": {"queue": "drain"},  # so that no campaign keeps the timetable waiting
    "customers.tasks.answer_access_requests": {"queue": "notices"},
    "customers.tasks.ask_signups": {"queue": "notices"},
    "mailings.tasks.read_mail": {"queue": "notices"},
    "mailings.tasks.tell": {"queue": "notices"},  # nor a campaign what somebody waits for
}
app.conf.beat_schedule = {
    "sweep": {"task": "mailings.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "answer_access_requests": {"task": "customers.tasks.answer_access_requests", "schedule": 30.0, "options": {"expires": 30}},
    "ask_signups": {"task": "customers.tasks.ask_signups", "schedule": 30.0, "options": {"expires": 30}},
    "announce": {"task": "consent.tasks.announce", "schedule": 60.0, "options": {"expires": 60}},
    "forget_email_changes": {"task": "customers.tasks.forget_email_changes", "schedule": crontab(minute=20)},
    "continue_erasures": {"task": "customers.tasks.continue_erasures", "schedule": 60.0, "options": {"expires": 60}},
    "apply_retention": {"task": "customers.tasks.apply_retention", "schedule": crontab(hour=2, minute=0)},
    "start_campaigns": {"task": "mailings.tasks.start_campaigns", "schedule": 30.0, "options": {"expires": 30}},
    "count_dry_runs": {"task": "mailings.tasks.count_dry_runs", "schedule": 30.0, "options": {"expires": 30}},
    "read_mail": {"task": "mailings.tasks.read_mail", "schedule": 60.0, "options": {"expires": 60}},
    "tell": {"task": "mailings.tasks.tell", "schedule": 30.0, "options": {"expires": 30}},
    "seal": {"task": "audit.tasks.seal", "schedule": 30.0, "options": {"expires": 30}},
    "verify": {"task": "audit.tasks.verify", "schedule": crontab(hour=3, minute=0)},
    "compare_states": {"task": "consent.tasks.compare_states", "schedule": crontab(hour=3, minute=30)},
    "count_states": {"task": "consent.tasks.count_states", "schedule": crontab(hour="5-23/6", minute=50)},  # last, as the day ends
    "count_messages": {"task": "mailings.tasks.count_messages", "schedule": 60.0, "options": {"expires": 60}},
    "tell_staff": {"task": "privacy_office.tasks.tell_staff", "schedule": 30.0, "options": {"expires": 30}},
    "remind": {"task": "customers.tasks.remind", "schedule": crontab(hour="7-17", minute=15)},
    "tend_disclosures": {"task": "disclosures.tasks.tend", "schedule": 300.0, "options": {"expires": 300}},
    # All day, as nobody is told twice: what failed at eight is made up.
    "send_renewals": {"task": "mailings.tasks.send_renewals", "schedule": crontab(hour="8-17", minute=0)},
}


def wake(task, times=1):
    """Have workers look at the table behind `task`; where the broker is away, the timetable does it later."""
    try:
        for _ in range(times):
            app.send_task(task, expires=15)  # seconds; by then others are at work, or the timetable wakes more
    except OperationalError:
        getLogger(__name__).warning("The broker cannot be reached: the next sweep wakes the workers.")


@setup_logging.connect
def log_as_the_web_does(loglevel=None, **kwargs):
    """Keep Celery from handlers of its own, which would write words that the office's leave out."""
    logging.config.dictConfig(settings.LOGGING)
    if loglevel:
        logging.getLogger().setLevel(loglevel)
