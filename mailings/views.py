"""The page that ends mail to one address. GET shows, POST acts; the address of the page alone says who and what (RFC 8058)."""

from uuid import UUID

from django.core.signing import BadSignature
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from consent.models import Channel, ConsentState, Purpose, Source
from mailings import letters
from mailings.models import Message


@csrf_exempt  # a mail program posts here without cookie or token (RFC 8058 section 3.2)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request, token):
    """Refuse the message's purpose, or with `scope=all` everything that rests on consent. No redirect, no sign-in; may be repeated."""
    try:
        public_id = UUID(letters.signer.unsign(token))
        message = Message.objects.select_related("customer", "purpose").get(public_id=public_id)
    except (BadSignature, ValueError, Message.DoesNotExist):
        return page(request, "mailings/unsubscribe_unknown.html", {}, status=404)
    with translation.override(message.customer.locale):
        if request.method != "POST":
            return page(request, "mailings/unsubscribe.html", {"purpose": message.purpose})
        everything = request.POST.get("scope") == "all"
        purposes = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT) if everything else [message.purpose]
        one_click = request.POST.get("List-Unsubscribe") == "One-Click"
        for purpose in purposes:
            ConsentState.of(message.customer, purpose, Channel.EMAIL).withdraw(
                by=message.customer, source=Source.ONE_CLICK if one_click else Source.PREFERENCE_PAGE, evidence=f"message {message.pk}"
            )
        return page(request, "mailings/unsubscribed.html", {"purpose": message.purpose, "everything": everything})


def page(request, template, context, **kwargs):
    """Render a page reached by a token: no other site is to learn its address."""
    response = render(request, template, context, **kwargs)
    response["Referrer-Policy"] = "no-referrer"
    return response
