"""How many customers agree, over time, for the first page, and policy versions that wait. Counts that were kept, and nobody."""

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consent.models import Channel, ConsentCount, PolicyVersion, Purpose
from privacy_office.dashboard import Panel, Task, list_of

DAYS = 90  # that the chart shows
AGO = (0, 7, 30, DAYS)  # days ago, of which the table says the numbers
HEIGHT = 100  # of the chart, for 100 %


class Trend(NamedTuple):
    """The share of yes to one purpose over some days: `line` and `area` are the points of a drawing `DAYS` wide and `HEIGHT` high."""

    purpose: Purpose
    now: ConsentCount
    change: float | None  # since 30 days ago
    line: str
    area: str
    table: list  # (days ago, count or None)


def tasks(user, now):
    if user.has_perm("consent.change_policyversion"):
        drafts = PolicyVersion.objects.filter(published_at=None).exclude(drafted_by=user)
        yield Task(_("Policy versions to read and publish"), drafts.count(), list_of(PolicyVersion))
        if not PolicyVersion.objects.published().exists():
            yield Task(_("No policy is published: nobody can agree to anything yet"), 1, list_of(PolicyVersion), late=True)


def deadlines(user, now):
    return []


def panels(user, now):
    if user.has_perm("consent.view_purpose"):
        told = {"trends": trends(timezone.localdate(now)), "days": DAYS, "ago": AGO}
        yield Panel(_("Who agrees to mail, by purpose"), "admin/dashboard/trends.html", told, list_of(Purpose), wide=True)


def trends(today):
    """Return the Trends of the purposes that were counted, for mail."""
    first, by_purpose = today - timedelta(days=DAYS), {}
    for count in ConsentCount.objects.filter(channel=Channel.EMAIL, day__gt=first - timedelta(days=1), day__lte=today).order_by("day"):
        by_purpose.setdefault(count.purpose_id, []).append(count)
    purposes = Purpose.objects.in_bulk(by_purpose)
    return [trend(purposes[pk], by_purpose[pk], today) for pk in sorted(by_purpose)]


def trend(purpose, counts, today):
    points = [(DAYS - (today - c.day).days, round(HEIGHT * (1 - c.rate))) for c in counts if c.rate is not None]
    line = " ".join(f"{x},{y}" for x, y in points)
    area = f"{points[0][0]},{HEIGHT} {line} {points[-1][0]},{HEIGHT}" if points else ""
    table = [(ago, next((c for c in reversed(counts) if (today - c.day).days >= ago), None)) for ago in AGO]
    month = dict(table)[30]
    known = month is not None and None not in (counts[-1].rate, month.rate)
    return Trend(purpose, counts[-1], counts[-1].rate - month.rate if known else None, line, area, table)
