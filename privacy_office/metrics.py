"""Numbers for Prometheus, read when it asks: so they are the same from every process. Refuses to count far, and to name anybody."""

import hmac
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from audit.models import Unsealed, Verification
from customers.models import Correction, EmailHold, RightsRequest
from disclosures.models import Breach, DisclosureRequest
from mailings.models import Message
from privacy_office import health

MOST = 50_000  # rows that are counted of a kind: no scrape reads a million
QUEUES = ("celery", "notices", "drain")


NUMBERS = {  # what each says; those of what is late should be 0
    "message_oldest_due_seconds": "How long the message waits that is due longest",
    "entry_oldest_unsealed_seconds": "How long the entry waits that is to be sealed next",
    "verification_age_seconds": "Since the last verification of the trail; before there is one, since its first entry",
    "verification_problems": "Problems that the last verification found",
    "requests_late": "Requests of customers whose date has passed",
    "corrections_waiting": "Corrections that nobody decided yet",
    "corrections_late": "Corrections whose date has passed",
    "disclosures_late": "Requests of third parties whose time has passed",
    "breaches_late": "Breaches that are not reported in time",
    "holds_open": "Addresses that are on hold",
}


def numbers(now):
    """Return {name: number} of `NUMBERS`."""
    today, last = timezone.localdate(now), Verification.objects.first()
    due = Message.objects.due(now).order_by("not_before").values_list("not_before", flat=True).first()
    return {
        "message_oldest_due_seconds": seconds(due, now),
        "entry_oldest_unsealed_seconds": seconds(Unsealed.objects.order_by("pk").values_list("entry__at", flat=True).first(), now),
        "verification_age_seconds": seconds(Verification.since(), now),
        "verification_problems": len(last.problems) if last else 0,
        "requests_late": counted(RightsRequest.objects.late(today)),
        "corrections_waiting": counted(Correction.objects.undecided()),
        "corrections_late": counted(Correction.objects.late(today)),
        "disclosures_late": counted(DisclosureRequest.objects.on_the_clock().filter(due_at__lt=now)),
        "breaches_late": counted(Breach.objects.unreported().filter(due_at__lt=now)),
        "holds_open": counted(EmailHold.objects.open()),
    }


def seconds(since, now):
    return max(now - since, timedelta()).total_seconds() if since else 0


def counted(rows):
    return rows.order_by()[:MOST].count()


def open_messages():
    """Yield (state, how many messages are in it) of the states that are not settled."""
    for state in (Message.State.QUEUED, Message.State.CLAIMED):
        yield state, counted(Message.objects.filter(state=state))


def queues():
    """Return (queue, how many tasks wait in it)."""
    with health.broker() as broker:
        return [(queue, broker.llen(queue)) for queue in QUEUES]


def waiting():
    """Yield (kind, how many messages of it wait), each by an index that has little else in it."""
    queued = Message.objects.filter(state=Message.State.QUEUED)
    yield "notice", counted(queued.filter(campaign=None, renewal=None))
    yield "renewal", counted(queued.filter(campaign=None, notice=None))
    yield "campaign", counted(queued.filter(campaign__isnull=False))


class Office:
    """What is open, late and old in the office, as Prometheus collects it."""

    def collect(self):
        now, parts = timezone.now(), health.states()
        yield labelled("part_ok", "Whether a part works, as /readyz says", "part", [(part, word == "ok") for part, word in parts.items()])
        if parts["database"] == "ok":
            yield labelled("messages_open", f"Messages that are not settled, counted up to {MOST}", "state", open_messages())
            yield labelled("messages_waiting", f"Messages that wait to leave, by kind, counted up to {MOST} each", "kind", waiting())
            for name, value in numbers(now).items():
                yield GaugeMetricFamily(f"office_{name}", NUMBERS[name], value)
        if parts["broker"] == "ok":
            yield labelled("queue_length", "Tasks that wait in the broker", "queue", queues())
            yield GaugeMetricFamily("office_workers", "Workers that live", health.workers())


def labelled(name, says, label, values):
    family = GaugeMetricFamily(f"office_{name}", says, labels=[label])
    for word, value in values:
        family.add_metric([word], value)
    return family


@never_cache
@require_safe
@transaction.non_atomic_requests
def metrics(request):
    """The numbers, for whoever has the token; without one in the settings there is no such page."""
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"}, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Office())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
