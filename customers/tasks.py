"""What workers do for customers. Tasks carry nothing: the tables say what there is to do."""

import logging

from django.utils import timezone

from customers import erasure, retention
from customers.models import AccessRequest, EmailChange, Erasure, RightsRequest, SignUp
from privacy_office.celery import app

log = logging.getLogger(__name__)


@app.task
def answer_access_requests():
    while AccessRequest.objects.answer():
        pass


@app.task
def ask_signups():
    while SignUp.objects.ask():
        pass


@app.task
def remind():
    """Tell staff of dates that come near or passed; all day, as no date is told twice: what failed in the morning is made up."""
    RightsRequest.objects.remind(timezone.localdate())


@app.task
def forget_email_changes():
    EmailChange.objects.forget()


@app.task
def continue_erasures():
    for under_way in Erasure.objects.under_way():
        try:
            erasure.carry_on(under_way)
        except OSError as problem:
            log.error("The journal of erasures cannot be written (%s): erasure %s waits for it.", problem.strerror, under_way.pk)


@app.task
def apply_retention():
    retention.apply()
