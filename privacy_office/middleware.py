"""What holds for every request of staff. Refuses everything to who has not yet a password and a second factor of their own."""

import logging
import re
import time
from uuid import uuid4

import redis
import structlog
from django.conf import settings
from django.contrib.auth import logout
from django.shortcuts import redirect
from django.urls import reverse

from audit.unrecorded import Unrecorded
from privacy_office import accounts, errors
from privacy_office.logs import KEYED

KEY_IN_ADDRESS = tuple(f"/{name}/" for name in KEYED)
NUMBER = re.compile(r"[0-9a-f]{32}")
PROBES = {"healthz", "readyz", "metrics"}
log = logging.getLogger(__name__)


class RequestMiddleware:
    """Each request: a number that its answer and its lines in the log carry, and one line that names its route, never its address."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given, began = request.headers.get("X-Request-ID", ""), time.monotonic()
        number = given if NUMBER.fullmatch(given) else uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=number):
            response = self.get_response(request)
            route = request.resolver_match.route if request.resolver_match else ""  # what no route takes: a file that is there, or nothing
            if route not in PROBES and (route or response.status_code >= 400):
                taken = round((time.monotonic() - began) * 1000)
                told = {"method": request.method, "route": route, "status": response.status_code, "milliseconds": taken}
                log.info("request", extra=told)
        response["X-Request-ID"] = number
        return response


class AnswerMiddleware:
    """Every answer: kept by no cache, given no device, its address told to nobody where it is a key; polite where the trail is away."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store, private")
        response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        if request.path.startswith(KEY_IN_ADDRESS):
            # A form of such a page posts `Origin: null`, which Django's CSRF check refuses: its view is exempt, as the address is the key.
            response["Referrer-Policy"] = "no-referrer"
        return response

    def process_exception(self, request, exception):
        """Answer where no entry could be written, or Redis is away; the transaction of the request is rolled back by now."""
        if isinstance(exception, Unrecorded):
            return errors.unrecorded(request)
        return errors.away(request) if isinstance(exception, (redis.ConnectionError, redis.TimeoutError)) else None


class SessionEndMiddleware:
    """Ends a session some hours after its sign-in, however busy it is."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated:
            began = request.session.setdefault("began", time.time())
            if time.time() - began >= settings.SESSION_ENDS_AFTER:
                try:
                    accounts.record("sign_out", request, request.user, by=request.user, reason="time is up")
                except Unrecorded:
                    return errors.unrecorded(request)
                logout(request)
        return self.get_response(request)


class OneTimePasswordMiddleware:
    """Leads to the change of a password that was handed out."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if getattr(request.user, "one_time_password", False):
            change = reverse("admin:password_change")
            if request.path not in (change, reverse("admin:logout")):
                return redirect(change)
        return self.get_response(request)


class SecondFactorMiddleware:
    """Leads to the setting up of the authenticator app that everyone has."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated and not accounts.has_authenticator(request.user):
            enrol = reverse("mfa_activate_totp")
            if request.path not in (enrol, reverse("admin:password_change"), reverse("admin:logout")):
                return redirect(enrol)
        return self.get_response(request)
