"""Who of the customers is there: a cookie of their own, which only begins with a link or a password. Refuses to show without an entry."""

from functools import wraps

from django.conf import settings
from django.shortcuts import redirect
from django.utils import translation
from django.views.decorators.cache import never_cache

from audit import models as audit
from customers.models import Session
from privacy_office import accounts
from privacy_office.fields import digest

COOKIE = "__Host-my" if settings.HTTPS else "my"


def current(request):
    """Return the live session that the request's cookie stands for, or None."""
    token = request.COOKIES.get(COOKIE, "")
    return Session.find(token) if token else None


def signed_in(view):
    """Let in who is signed in as a customer, as `request.customer`, in their language; others are led to the door.

    Every page leaves an entry before it shows anything: without one there is no page.
    """

    @wraps(view)
    @never_cache
    def guarded(request, *args, **kwargs):
        session = current(request)
        if session is None:
            return redirect("customers:sign_in")
        request.customer, request.customer_session = session.customer, session
        page = request.resolver_match.url_name
        audit.record("customer.look", by=session.customer, subject=session.customer.public_id, clause="§1.2", page=page)
        with translation.override(language(request, session.customer.locale)):
            return view(request, *args, **kwargs)

    return guarded


def language(request, locale):
    """Return the language that was chosen on a page, else the one that we write to the customer in."""
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return chosen if chosen in dict(settings.LANGUAGES) else locale


def begin(request, customer, *, how):
    """Sign a customer in and lead to their first page."""
    _session, token = Session.begin(customer, how=how, source=accounts.source(request))
    response = redirect("customers:overview")
    lasts = {"max_age": settings.SESSION_ENDS_AFTER, "httponly": True, "samesite": "Lax", "secure": settings.HTTPS}
    response.set_cookie(COOKIE, token, **lasts)
    return response


def forget(response):
    response.delete_cookie(COOKIE, samesite="Lax")
    return response


def network(request):
    """Return a keyed digest of the network that a request came from, for limits alone."""
    return digest("network", accounts.network(accounts.source(request)["address"]))
