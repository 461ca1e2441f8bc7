"""The workers' way in, and the whole timetable. Tasks carry no data: they say 'look at the table'."""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")

app = Celery("privacy_office")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.task_routes = {"mailings.tasks.drain": {"queue": "drain"}}  # so that no campaign keeps the timetable waiting
app.conf.beat_schedule = {
    "sweep": {"task": "mailings.tasks.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "send_renewals": {"task": "mailings.tasks.send_renewals", "schedule": crontab(hour=8, minute=0)},
}
