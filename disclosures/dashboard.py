"""What third parties wait for and what they got, for the first page: the clocks of authorities and of breaches, and a year by ground."""

from datetime import datetime

from django.db.models import Count, F, Func, IntegerField, Q, Sum
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from disclosures.models import Breach, Commitment, DisclosureRequest, Ground, RecipientTask, TermRule, ThirdParty
from privacy_office.dashboard import MOST_ROWS, Asked, Deadline, Panel, Task, bars, counted_together, list_of, row_of, with_status
from privacy_office.metrics import counted

Status = DisclosureRequest.Status


# What waits for who may deal with it


def tasks(user, now):
    yield from of_requests(user, now)
    if user.has_perm("disclosures.approve_disclosurerequest"):
        keys = ThirdParty.objects.filter(active=True, key_checked_at=None).exclude(age_key="").exclude(key_set_by=user)
        yield Task(_("Keys of third parties to check"), counted(keys), list_of(ThirdParty, key_checked_at__isempty=1))
    if user.has_perm("disclosures.report_breach"):
        yield Task(_("Breaches to report"), counted(Breach.objects.unreported()), list_of(Breach, reported_at__isempty=1), late=True)
    if user.has_perm("disclosures.change_recipienttask"):
        untold = counted(RecipientTask.objects.open())
        yield Task(_("Recipients to be told of a correction or an erasure"), untold, list_of(RecipientTask, done_at__isempty=1))


def of_requests(user, now):
    """Yield the tasks of requests for data, in one query."""
    asked = []
    if user.has_perm("disclosures.change_disclosurerequest"):
        asked.append(Asked(_("Requests for data that are late"), Q(due_at__lt=now), {"due": "late"}, late=True))
        asked.append(with_status(_("Requests for data to verify and assess"), Status.RECEIVED))
        asked.append(with_status(_("Requests for data to hand over"), Status.APPROVED))
    if user.has_perm("disclosures.approve_disclosurerequest"):
        asked.append(with_status(_("Requests for data to approve"), Status.ASSESSED, ~Q(assessed_by=user)))
    yield from counted_together(DisclosureRequest.objects.open(), asked)


# By when


def deadlines(user, now):
    if user.has_perm("disclosures.view_disclosurerequest"):
        rows = DisclosureRequest.objects.open().order_by(F("due_at").asc(nulls_last=True), "received_at").select_related("third_party")
        for row in rows.only("due_at", "received_at", "urgent", "status", "third_party__name")[:MOST_ROWS]:
            urgent = f" ({gettext('urgent')})" if row.urgent else ""
            yield Deadline(f"{row.third_party}{urgent}", row_of(row), row.due_at, row.received_at, row.get_status_display())
    if user.has_perm("disclosures.view_breach"):
        for row in Breach.objects.unreported().only("due_at", "place")[:MOST_ROWS]:
            yield Deadline(gettext("Report to the ministry"), row_of(row), row.due_at, note=row.place)
    if user.has_perm("disclosures.view_recipienttask"):
        for row in RecipientTask.objects.open().select_related("third_party").only("due_at", "what", "third_party__name")[:MOST_ROWS]:
            yield Deadline(gettext("Tell %(party)s") % {"party": row.third_party}, row_of(row), row.due_at, note=row.get_what_display())
    if user.has_perm("disclosures.view_commitment"):
        for row in ending(now):
            note = gettext("the commitment ends")
            yield Deadline(str(row.third_party), row_of(row), row.valid_until, note=note)


def ending(now):
    """Return the commitments that end within the time in which the officers are reminded."""
    today = timezone.localdate(now)
    rows = Commitment.objects.in_force(today).filter(valid_until__lte=today + TermRule.objects.term(TermRule.Code.COMMITMENT))
    return rows.select_related("third_party").only("valid_until", "third_party__name").order_by("valid_until", "pk")[:MOST_ROWS]


# Numbers


def panels(user, now):
    if user.has_perm("disclosures.view_disclosurerequest"):
        url = list_of(DisclosureRequest)
        yield Panel(_("Disclosures by ground this year"), "admin/dashboard/grounds.html", by_ground(timezone.localdate(now).year), url)


def by_ground(year):
    """Return what came in this year, by ground: requests, those handed over and refused, and how many customers it was about."""
    since = timezone.make_aware(datetime(year, 1, 1))
    got = Q(status=Status.DISCLOSED)
    about = Func("customers", function="cardinality", output_field=IntegerField())
    asked = DisclosureRequest.objects.filter(received_at__gte=since).order_by().values_list("ground")
    counts = {"asked": Count("pk"), "got": Count("pk", filter=got), "no": Count("pk", filter=Q(status=Status.REFUSED))}
    found = {ground: rest for ground, *rest in asked.annotate(**counts, about=Sum(about, filter=got))}
    rows = [(capfirst(ground.label), *found.get(ground.value, (0, 0, 0, None))) for ground in Ground]
    drawn = bars([(label, asked) for label, asked, *_rest in rows])
    lines = [(bar, got, no, about or 0) for bar, (_label, _asked, got, no, about) in zip(drawn, rows, strict=True)]
    return {"grounds": lines if found else [], "year": year}
