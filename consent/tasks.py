"""What the workers do for consent: every night they compare the states with the ledger, and they tell customers of a new policy."""

import logging

from consent import announcements, rebuilding
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
