"""Does what customers ask for of right. What only protects is done as it is asked; refuses to call done what another hand has to do."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from consent import preferences
from consent.models import ALLOWS, ConsentEvent, ConsentState, Source
from customers.models import Right, RightsRequest
from customers.models.requests import PROTECTIVE

SAID_BY = {
    RightsRequest.Source.MY: Source.PREFERENCE_PAGE,
    RightsRequest.Source.EMAIL: Source.REPLY,
    RightsRequest.Source.PHONE: Source.PHONE_CALL,
    RightsRequest.Source.PAPER: Source.PAPER,
    RightsRequest.Source.STAFF: Source.SUPPORT_TICKET,
}


def receive(customer, kind, *, by, source, **told):
    """Write down a request; what only protects is done in the same transaction, and the request is fulfilled.

    Advertising must stop at once and not within fifteen days; a restriction or an objection has its whole effect here, so a request that
    waited for somebody's click could only become late. If it was not the customer who asked, nothing is lost that staff cannot give back.
    """
    protects = kind in PROTECTIVE
    with transaction.atomic():
        request = RightsRequest.receive(customer, kind, by=by, source=source, tell=not protects, **told)
        if protects:
            fulfil(request, by=by)
    return request


def fulfil(request, *, by, outcome=""):
    """Do what was asked for and write it down, in one transaction; the customer is told."""
    if request.kind == Right.ERASURE:
        raise ValidationError(_("An erasure is fulfilled by erasing the customer."))
    with transaction.atomic():
        request.fulfil(by=by, outcome=outcome)
        if request.kind == Right.RESTRICTION:
            restrict(request, by=by)
        elif request.kind == Right.OBJECTION:
            object_to_all(request, by=by)
        elif request.kind == Right.WITHDRAWAL:
            withdraw_all(request, by=by)


def restrict(request, *, by):
    """Restrict use of the data; nothing where it is restricted already."""
    request.customer.refresh_from_db()
    if not request.customer.restricted_at:
        request.customer.restrict(by=by, reason=f"request {request.pk}")


def object_to_all(request, *, by):
    """Have a no stand for every purpose that rests on consent, by every channel, also where nothing was said yet."""
    preferences.refuse_all(request.customer, by=by, source=SAID_BY[request.source], evidence=f"request {request.pk}")


def withdraw_all(request, *, by):
    """Take back every consent that stands."""
    stand = ConsentState.objects.filter(customer=request.customer, state__in=ALLOWS).select_related("purpose")
    wishes = {(state.purpose, state.channel): False for state in stand}
    ConsentEvent.objects.say(request.customer, wishes, by=by, source=SAID_BY[request.source], evidence=f"request {request.pk}")
