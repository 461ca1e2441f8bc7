"""The pages that mail leads to: one ends mail to one address, one tells who leaves. The address of the page alone says who and what."""

from uuid import UUID

from django.core.signing import BadSignature
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from consent.models import Channel, ConsentEvent, Purpose, Source
from customers import my
from mailings import letters, links
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
    with translation.override(my.language(request, message.customer.locale)):
        if request.method != "POST":
            return page(request, "mailings/unsubscribe.html", {"purpose": message.purpose})
        everything = request.POST.get("scope") == "all"
        purposes = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT) if everything else [message.purpose]
        source = Source.ONE_CLICK if request.POST.get("List-Unsubscribe") == "One-Click" else Source.PREFERENCE_PAGE
        wishes = {(purpose, Channel.EMAIL): False for purpose in purposes}
        ConsentEvent.objects.say(message.customer, wishes, by=message.customer, source=source, evidence=f"message {message.pk}")
        return page(request, "mailings/unsubscribed.html", {"purpose": message.purpose, "everything": everything})


@never_cache
@require_safe
def leave(request, token):
    """Name where a link leads and that the company does not answer for it (§5). Never leads there itself, and never looks there."""
    try:
        destination = links.opened(token)
    except ValueError:
        response = page(request, "mailings/leave_unknown.html", {}, status=404)
    else:
        with translation.override(my.language(request, destination.language)):
            response = page(request, "mailings/leave.html", {"destination": destination})
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def page(request, template, context, **kwargs):
    """Render a page reached by a token: no other site is to learn its address."""
    response = render(request, template, context, **kwargs)
    response["Referrer-Policy"] = "no-referrer"
    return response
