"""What Celery's processes do at their start: refuse keys that do not fit the database."""

from celery.signals import beat_init, worker_init

from privacy_office.models import Canary


@worker_init.connect
@beat_init.connect
def check_keys(**kwargs):
    Canary.check_keys()
