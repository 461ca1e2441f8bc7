"""What Celery's processes do at their start: refuse keys that do not fit the database."""

import sys

from celery.signals import beat_init, worker_init
from django.core.exceptions import ImproperlyConfigured

from privacy_office.models import Canary


@worker_init.connect
@beat_init.connect
def check_keys(**kwargs):
    try:
        Canary.check_keys()
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))  # any other exception Celery writes down and goes on
