"""What the workers do for the trail: seal it, and verify it every night. A trail that does not verify alarms the officers."""

import logging

from audit import sealing, trail
from privacy_office.celery import app

log = logging.getLogger(__name__)


@app.task
def seal():
    try:
        sealing.seal()
    except OSError as problem:
        log.error("The anchor file cannot be written (%s): checkpoints wait for it.", problem.strerror)


@app.task
def verify():
    found = trail.verify_and_keep(by=None)
    if found.problems:
        log.error("The audit trail did not verify: %s problems, kept as verification %s.", len(found.problems), found.pk)
