"""What the admin's first page is made of: tasks, deadlines and panels of numbers. Each app gives its own; nobody is named in any.

An app's `dashboard.py` has three functions of the member who looks and the moment, `tasks`, `deadlines` and `panels`. Each gives only
what that member may see in the lists too, in a number of queries that no row adds to, and counts no further than `metrics.MOST`.
"""

from datetime import date, datetime, time
from typing import NamedTuple

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.http import urlencode

from privacy_office.metrics import MOST

MOST_ROWS = 10  # of a kind that stand on the page, late ones first: the lists have the rest


class Task(NamedTuple):
    """Something that waits for who looks: how many there are, and the list in which they stand."""

    what: Promise
    number: int
    url: str
    late: bool = False


class Asked(NamedTuple):
    """A Task yet to be counted: what its rows have in common, and the filter that shows them in their list."""

    what: Promise
    rows: Q
    shown: dict
    late: bool = False


def with_status(what, status, more=Q(), late=False):  # noqa: B008 - a Q is never changed
    """Return what is Asked of rows of one status, of which `more` may be true."""
    return Asked(what, Q(status=status) & more, {"status__exact": status}, late)


def counted_together(rows, asked):
    """Yield the Tasks of what is Asked of some rows, in one query."""
    number = rows.order_by()[:MOST].aggregate(**{f"n{place}": Count("pk", filter=each.rows) for place, each in enumerate(asked)})
    for place, each in enumerate(asked):
        yield Task(each.what, number[f"n{place}"], list_of(rows.model, **each.shown), each.late)


class Deadline(NamedTuple):
    """One row that has to be done, by a moment or a day; without either, it is as old as it is."""

    what: str
    url: str
    due: date | datetime | None = None
    since: datetime | None = None
    note: str = ""

    @property
    def at(self):
        """The moment at which its time is over: of a day, its end."""
        by_day = self.due and not isinstance(self.due, datetime)
        return timezone.make_aware(datetime.combine(self.due, time.max)) if by_day else self.due

    @property
    def ticks(self):
        return isinstance(self.due, datetime)

    def days(self, now):
        """Return how many days are left; negative when it is late."""
        return (timezone.localdate(self.at) - timezone.localdate(now)).days


class Panel(NamedTuple):
    """Numbers of one kind, with the template that draws them."""

    title: Promise
    template: str
    told: dict
    url: str = ""  # where the numbers come from
    wide: bool = False
    alarm: bool = False


class Bar(NamedTuple):
    """One number of a bar chart; `width` is its part of the longest, of 100."""

    label: str
    number: int
    width: int
    look: str = ""
    url: str = ""


def bars(rows):
    """Return the Bars of (label, number, look, address)."""
    most = max([number for _label, number, *_rest in rows], default=0) or 1
    return [Bar(label, number, -(-number * 100 // most), *rest) for label, number, *rest in rows]


def list_of(model, **filters):
    """Return the address of a model's list in the admin, filtered."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def row_of(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
