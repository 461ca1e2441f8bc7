"""Whether the office is alive and able to work. Says what is wrong in a word of its own: no host, no exception's words."""

import functools
import smtplib
import ssl
import threading
import time

import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import DNS_NAME
from django.db import Error, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit.models import Verification
from consent.models import PolicyVersion
from privacy_office.models import Canary

PATIENCE = 2  # seconds that the broker and the mail server have for each answer
ALIVE = 30  # seconds that a worker's last word counts: it says one every other second
WORKERS = "office.workers"  # in the broker: {worker: when it spoke last}, by the broker's clock
MAIL_COUNTS = 10  # seconds that an answer of the mail server counts, whoever asks
asking = threading.Lock()


@require_safe
def front(request):
    """The front door: who this is, and where staff go in."""
    policy = PolicyVersion.objects.published().exists()
    return render(request, "front.html", {"demo": settings.DEMO, "policy": policy})


@never_cache
@require_safe
@transaction.non_atomic_requests
def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def _database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


@functools.cache
def _migrations_here():
    return frozenset(MigrationLoader(None).disk_migrations)


def _migrations():
    # More than these may be applied: while hosts are upgraded one by one, the others still work.
    return "ok" if _migrations_here() <= MigrationRecorder(connection).applied_migrations().keys() else "behind"


def _keys():
    try:
        Canary.check_keys()
    except ImproperlyConfigured:
        return "wrong"
    return "ok"


def _audit():
    return "broken" if Verification.latest_failed() else "overdue" if Verification.overdue() else "ok"


def broker():
    """Return a client of the broker that waits no longer than a person would."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)


def worker_lives(name):
    """Write down that a worker lives, and forget those that have not spoken for long."""
    with broker() as there:
        now = there.time()[0]
        there.zadd(WORKERS, {name: now})
        there.zremrangebyscore(WORKERS, "-inf", now - ALIVE)


def workers():
    """Return how many workers have spoken lately; RedisError where the broker is away."""
    with broker() as there:
        return there.zcount(WORKERS, there.time()[0] - ALIVE, "+inf")


def _broker():
    try:
        with broker() as there:
            there.ping()
    except redis.RedisError:
        return "away"
    return "ok"


def _mail():
    return mail_in(time.monotonic() // MAIL_COUNTS)


def mail_in(period):
    """Return the mail server's word in a period of some seconds: it is asked once, however many probes come at once."""
    with asking:
        return mail(period)


@functools.lru_cache(1)
def mail(period):
    try:
        _greet_mail_server()
    except (smtplib.SMTPException, OSError):
        return "away"
    return "ok"


def _greet_mail_server():
    secure = {"context": ssl.create_default_context()}
    connect, options = (smtplib.SMTP_SSL, secure) if settings.EMAIL_USE_SSL else (smtplib.SMTP, {})
    with connect(settings.EMAIL_HOST, settings.EMAIL_PORT, DNS_NAME.get_fqdn(), timeout=PATIENCE, **options) as server:
        if settings.EMAIL_USE_TLS:
            server.starttls(**secure)
        server.ehlo_or_helo_if_needed()
        server.noop()


CHECKS = {"database": _database, "migrations": _migrations, "keys": _keys, "audit": _audit, "broker": _broker, "mail": _mail}
# What is told of and keeps nobody out: mail waits in the outbox, and a verification can be made up.
GOES_ON = {("mail", "away"), ("audit", "overdue")}


def states():
    """Return each part's word; 'unknown' is what the database alone could tell, and does not."""
    found = {}
    for part, check in CHECKS.items():
        try:
            found[part] = check()
        except Error:
            found[part] = "away" if part == "database" else "unknown"
    return found


@never_cache
@require_safe
@transaction.non_atomic_requests
def readyz(request):
    """Each part's state as JSON; 503 where the office must not take traffic."""
    found = states()
    return JsonResponse(found, status=200 if all(word == "ok" or (part, word) in GOES_ON for part, word in found.items()) else 503)
