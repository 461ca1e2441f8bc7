"""What the workers do for disclosures: lift seals, void packages, remind of commitments, find recipients who must be told."""

from audit.unrecorded import Unrecorded
from disclosures import handover
from disclosures.models import Commitment, RecipientTask, Seal
from privacy_office.celery import app


@app.task
def tend():
    """Do all that time alone brings about; what the trail cannot tell of now is left to the next call."""
    for work in (handover.void_expired, Seal.objects.lift, Commitment.objects.remind, RecipientTask.objects.find):
        try:
            work()
        except Unrecorded:
            continue
