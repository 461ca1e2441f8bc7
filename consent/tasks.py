"""What the workers do for consent: they count and compare its states, and tell customers of a new policy."""

import logging

from consent import announcements, rebuilding
from consent.models import ConsentCount
from privacy_office.celery import app

log = logging.getLogger(__name__)


@app.task
def announce():
    while announcements.announce():
        pass


@app.task
def compare_states():
    found = rebuilding.compare_and_tell(by=None)
    if found.differences:
        log.error("%s states of consent are not what the ledger says, first of all %s.", found.differences, found.named[0])


@app.task
def count_states():
    ConsentCount.objects.keep()
