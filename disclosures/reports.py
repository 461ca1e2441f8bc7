"""What is told of disclosures as a whole: the register as CSV for staff, and a year in numbers for everybody. The latter names nobody."""

from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from audit import models as audit
from disclosures.models import Disclosure, DisclosureRequest, Field, Ground, Seal, ThirdParty
from privacy_office.spreadsheets import as_csv

WITHIN = [("3 h", timedelta(hours=3)), ("24 h", timedelta(hours=24)), ("72 h", timedelta(hours=72)), ("> 72 h", timedelta.max)]


HEAD = [
    "number", "at", "customer", "third_party", "kind", "ground", "clause", "evidence", "document_number", "legal_article", "fields",
    "period_from", "period_until", "received_at", "verified_by", "approved_by", "by", "digest", "sealed_until",
]  # fmt: skip


def register(*, since, until, ground="", by):
    """Return the register's rows of these days as CSV; that it was exported is an entry."""
    start, end = (timezone.make_aware(datetime.combine(day, datetime.min.time())) for day in (since, until + timedelta(days=1)))
    rows = Disclosure.objects.filter(at__gte=start, at__lt=end).order_by("id")
    rows = rows.filter(ground=ground) if ground else rows
    rows = rows.select_related("customer", "third_party", "request__verified_by", "approved_by", "by").prefetch_related("request__seals")
    with transaction.atomic():
        lines = [HEAD, *map(line, rows)]
        told = {"since": since.isoformat(), "until": until.isoformat(), "rows": len(lines) - 1, "ground": ground}
        audit.record("register.export", by=by, clause="§1.4", **told)
    return as_csv(lines)


def line(row):
    request = row.request
    sealed = max((seal.until for seal in request.seals.all()), default=None)
    return [
        row.pk, row.at.isoformat(), row.customer, row.third_party, row.third_party.kind, row.ground, row.clause, row.evidence,
        request.document_number, request.legal_article, " ".join(row.fields), row.period_from, row.period_until,
        request.received_at.isoformat(), request.verified_by, row.approved_by, row.by, row.digest, sealed,
    ]  # fmt: skip


# The year


def requests(year, at=None):
    """Return the requests that came in that year; what is sealed is left out until its day, without a trace."""
    sealed = Seal.objects.holding(at).filter(request=OuterRef("pk"))
    start, end = (timezone.make_aware(datetime(each, 1, 1)) for each in (year, year + 1))
    return DisclosureRequest.objects.filter(received_at__gte=start, received_at__lt=end).exclude(Exists(sealed))


def within(request):
    return next(name for name, limit in WITHIN if request.answered_at - request.received_at <= limit)


def transparency(year, at=None):
    """Return [(code, [(label, number)])] for one year: counts alone, nothing that points at a person or at who asked."""
    rows = list(requests(year, at).select_related("third_party").defer("assessment"))
    disclosed = [row for row in rows if row.status == DisclosureRequest.Status.DISCLOSED]
    answered = [row for row in rows if row.answered_at]
    fields = Counter(name for row in disclosed for name in row.fields)
    outcomes = Counter("narrowed" if row in disclosed and row.narrowed else "open" if row.is_open else row.status for row in rows)
    grounds, kinds = Counter(row.ground for row in rows), Counter(row.third_party.kind for row in rows)
    times = Counter(map(within, answered))
    return {
        "ground": [(Ground(code).label, grounds[code]) for code in Ground.values],
        "kind": [(ThirdParty.Kind(code).label, kinds[code]) for code in ThirdParty.Kind.values],
        "outcome": [(code, outcomes[code]) for code in ("disclosed", "narrowed", "refused", "open")],
        "fields": [(Field(code).label, fields[code]) for code in Field.values],
        "time": [(name, times[name]) for name, _limit in WITHIN],
        "clock": [("in time", sum(1 for r in answered if r.due_at and not r.late)), ("late", sum(1 for r in answered if r.late))],
    }


def years():
    """Return the years that have requests, the newest first, this one always."""
    found = {at.year for at in DisclosureRequest.objects.datetimes("received_at", "year")}
    return sorted(found | {timezone.localdate().year}, reverse=True)
