"""What customers wait for, for the first page: requests, corrections, holds, mails. Names rows by their number, and no customer."""

from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from customers.models import (
    AnomalyKind,
    Correction,
    EmailHold,
    Erasure,
    LegalHold,
    Reveal,
    RightsRequest,
    SupportRequest,
)
from customers.models.reveals import ASKED_LASTS
from privacy_office.dashboard import MOST_ROWS, Asked, Deadline, Panel, Task, bars, counted_together, list_of, row_of
from privacy_office.metrics import MOST, counted

WEEK = 7
AGES = [(0, 2), (2, 5), (5, 10), (10, None)]  # days since a correction was proposed, from and to


def numbered(what, row):
    return gettext("%(what)s no. %(number)s") % {"what": capfirst(what), "number": row.pk}


# What waits for who may deal with it


def tasks(user, now):
    today = timezone.localdate(now)
    late = Q(due_on__lt=today), {"due": "late"}, True
    if user.has_perm("customers.change_rightsrequest"):
        soon = Q(due_on__range=(today, today + timedelta(days=WEEK))), {"due": "week"}
        asked = [Asked(_("Requests of customers that are late"), *late), Asked(_("Requests of customers due within 7 days"), *soon)]
        yield from counted_together(RightsRequest.objects.open(), asked)
    if user.has_perm("customers.change_correction"):
        waiting = Q(state=Correction.State.OPEN, due_on__gte=today), {"state__exact": Correction.State.OPEN}
        asked = [Asked(_("Corrections that are late"), *late), Asked(_("Corrections to decide"), *waiting)]
        yield from counted_together(Correction.objects.undecided(), asked)
    if user.has_perm("customers.change_supportrequest"):
        unread = SupportRequest.objects.open().exclude(state=SupportRequest.State.WAITING)
        yield Task(_("Mails of customers to answer"), counted(unread), list_of(SupportRequest))
    if user.has_perm("customers.change_emailhold"):
        yield Task(_("Addresses on hold"), counted(EmailHold.objects.open()), list_of(EmailHold, released_at__isempty=1))
    if user.has_perm("customers.approve_reveal"):
        yield Task(_("Access data that a colleague needs your yes for"), counted(to_approve(user, now)), list_of(Reveal))
    if user.has_perm("customers.approve_erasure"):
        waits = Erasure.objects.filter(step=Erasure.Step.ASKED).exclude(asked_by=user)
        yield Task(_("Erasures to approve"), counted(waits), list_of(Erasure, step__exact=Erasure.Step.ASKED))


def to_approve(user, now):
    """Return the access data that others ask for and nobody approved yet."""
    return Reveal.objects.waiting(now).filter(approved_by=None).exclude(by=user)


# By when


def deadlines(user, now):
    if user.has_perm("customers.view_rightsrequest"):
        for row in RightsRequest.objects.open().order_by("due_on", "pk").only("kind", "due_on", "state")[:MOST_ROWS]:
            yield Deadline(numbered(_("request"), row), row_of(row), row.due_on, note=row.get_kind_display())
    if user.has_perm("customers.view_correction"):
        for row in Correction.objects.undecided().order_by("due_on", "pk").only("field", "due_on")[:MOST_ROWS]:
            yield Deadline(numbered(_("correction"), row), row_of(row), row.due_on, note=row.get_field_display())
    if user.has_perm("customers.approve_reveal"):
        for row in to_approve(user, now).order_by("asked_at", "pk").only("asked_at", "field")[:MOST_ROWS]:
            lapses = row.asked_at + ASKED_LASTS
            yield Deadline(numbered(_("access data"), row), row_of(row), lapses, note=gettext("a colleague needs your yes"))
    if user.has_perm("customers.view_supportrequest"):
        for row in SupportRequest.objects.open().order_by("received_at", "pk").only("received_at", "state")[:MOST_ROWS]:
            yield Deadline(numbered(_("mail"), row), row_of(row), since=row.received_at, note=row.get_state_display())
    if user.has_perm("customers.view_emailhold"):
        for row in EmailHold.objects.open().order_by("placed_at", "pk").only("placed_at", "rule")[:MOST_ROWS]:
            yield Deadline(numbered(_("hold"), row), row_of(row), since=row.placed_at, note=placed_by(row.rule))


def placed_by(rule):
    """Return the rule that placed a hold, in words."""
    return str(AnomalyKind(rule).label) if rule in AnomalyKind else gettext("placed by a person")


# Numbers


def panels(user, now):
    if user.has_perm("customers.view_correction"):
        yield Panel(_("Corrections by age"), "admin/dashboard/bars.html", corrections(now), list_of(Correction))
    if user.has_perm("customers.view_emailhold"):
        yield Panel(_("Holds"), "admin/dashboard/bars.html", holds(user), list_of(EmailHold))


def corrections(now):
    """Return the bars of what nobody decided yet, by the days since it was proposed."""
    waiting = Correction.objects.undecided().order_by()[:MOST]
    number = waiting.aggregate(**{f"from_{low}": Count("pk", filter=aged(now, low, high)) for low, high in AGES})
    rows = [(age(low, high), number[f"from_{low}"], "late" if high is None else "") for low, high in AGES]
    nothing = _("No correction waits: what customers propose stands here until it is decided.")
    return {"bars": bars(rows) if any(number.values()) else [], "head": _("age"), "nothing": nothing}


def aged(now, low, high):
    """Return the filter of what was proposed so many days ago; what comes from a clock that is ahead is of today."""
    since = Q() if high is None else Q(proposed_at__gt=now - timedelta(days=high))
    return since & Q(proposed_at__lte=now - timedelta(days=low)) if low else since


def age(low, high):
    if high is None:
        return gettext("%(n)s days and more") % {"n": low}
    if low == 0:
        return ngettext("less than %(n)s day", "less than %(n)s days", high) % {"n": high}
    return gettext("%(low)s to %(high)s days") % {"low": low, "high": high - 1}


def holds(user):
    """Return the bars of the open holds, by what placed them."""
    by_rule = EmailHold.objects.open().order_by("rule").values_list("rule").annotate(Count("pk"), Min("placed_at"))
    found = list(by_rule)
    rows = [(placed_by(rule), number) for rule, number, _first in found]
    if user.has_perm("customers.view_legalhold"):
        url = list_of(LegalHold)
        rows += [(capfirst(LegalHold._meta.verbose_name_plural), n, "", url) for n in [counted(LegalHold.objects.open())] if n]
    oldest = min((first for _rule, _number, first in found), default=None)
    nothing = _("No address is on hold: a rule or a colleague places one on signs of fraud.")
    return {"bars": bars(rows), "head": _("placed by"), "oldest": oldest, "nothing": nothing}
