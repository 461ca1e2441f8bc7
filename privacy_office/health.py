"""Whether the office is alive and able to work; says what is wrong in a word, never more."""

import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from privacy_office.models import Canary


@require_safe
def front(request):
    """The front door: who this is, and where staff go in."""
    return render(request, "front.html", {"company": settings.COMPANY, "demo": settings.DEMO})


@never_cache
@require_safe
@transaction.non_atomic_requests
def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def _database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker():
    redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2).ping()


CHECKS = {"database": _database, "broker": _broker, "keys": Canary.check_keys}


@never_cache
@require_safe
@transaction.non_atomic_requests
def readyz(request):
    """Each part's state as JSON; 503 where one is not ready."""
    states = {}
    for name, check in CHECKS.items():
        try:
            check()
            states[name] = "ok"
        except (DatabaseError, redis.RedisError, ImproperlyConfigured) as error:
            states[name] = type(error).__name__
    return JsonResponse(states, status=200 if set(states.values()) == {"ok"} else 503)
