"""A customer's own register: who got what, and which third party may have what. What is sealed is not there, in no word and no count."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from customers import my
from disclosures.models import Disclosure, PermissionEvent, PermissionOffer

LATEST = 200


@require_safe
@my.signed_in
def mine(request):
    """Show the register's rows about the customer, and what they permit or may permit."""
    said = PermissionEvent.objects.filter(customer=request.customer).order_by("offer_id", "-id").distinct("offer_id")
    said = {event.offer_id: event for event in said}
    offers = [
        (offer, said.get(offer.pk), given(said.get(offer.pk)))
        for offer in PermissionOffer.objects.select_related("third_party")
        if offer.active or given(said.get(offer.pk))
    ]
    rows = Disclosure.objects.shown_to(request.customer).select_related("third_party")[:LATEST]
    return render(request, "disclosures/mine.html", {"rows": rows, "offers": offers})


def given(event):
    return bool(event) and event.event == PermissionEvent.Event.GIVEN


@require_POST
@my.signed_in
def permit(request, offer):
    """Write down the customer's yes or no to one permission; nothing is ever chosen beforehand."""
    offer = get_object_or_404(PermissionOffer, pk=offer)
    verb = offer.give if request.POST.get("say") == "yes" else offer.withdraw
    try:
        verb(request.customer, by=request.customer, source=PermissionEvent.Source.PAGE)
    except ValidationError as refusal:
        messages.error(request, " ".join(refusal.messages))
    else:
        messages.success(request, _("We have written it down. It holds from now on."))
    return redirect("disclosures:mine")
