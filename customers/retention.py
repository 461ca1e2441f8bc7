"""Takes away what is kept longer than its rule allows. Refuses to touch the data of whoever a legal hold protects."""

import time
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.apps import apps
from django.db import transaction
from django.db.models import DateField, DateTimeField, DurationField, ExpressionWrapper, F, OuterRef, Q, Subquery, Value
from django.utils import timezone

from audit import models as audit
from customers.erasure import CLAUSE, blank_tracked, blanks, path_to_customer
from customers.models import Customer, Erasure, LegalHold, RetentionRule, RetentionRun
from privacy_office.fields import is_encrypted

Of = RetentionRule.Of
BATCH = 500  # rows in one transaction
DAY = Value(timedelta(days=1), output_field=DurationField())


def purpose_ends():
    kept = ExpressionWrapper(F("purpose__retention_days") * DAY, output_field=DurationField())
    return ExpressionWrapper(F("created_at") + kept, output_field=DateTimeField())


def first_seen():
    return Subquery(Customer.history.filter(id=OuterRef("pk")).order_by("history_id").values("history_date")[:1])


class Sort(NamedTuple):
    """Which rows a rule is about, from when its days count, and what is done: delete, forget, blank or erase."""

    model: str
    since: Any
    do: str
    only: Q = Q()


SORTS = {
    Of.ACCESS_REQUESTS: Sort("customers.accessrequest", "at", "delete"),
    Of.LINKS: Sort("customers.link", "expires_at", "delete"),
    Of.SESSIONS: Sort("customers.session", "began_at", "delete"),
    Of.SIGN_UPS: Sort("customers.signup", "received_at", "forget", Q(confirmed_at=None)),
    Of.NOTICE_ADDRESSES: Sort("customers.notice", "at", "blank", Q(posted_at__isnull=False)),
    Of.CONTACT_NOTES: Sort("customers.contact", "at", "blank"),
    Of.ATTACHMENTS: Sort("customers.attachment", "added_at", "blank", Q(evidence=None)),
    Of.REQUEST_WORDS: Sort("customers.rightsrequest", "closed_at", "blank"),
    Of.ANSWERS: Sort("customers.informationrequest", "answered_at", "blank"),
    Of.SUPPORT_MAILS: Sort("customers.supportrequest", "closed_at", "blank"),
    Of.INCOMING: Sort("mailings.incomingmail", "at", "delete"),
    Of.MESSAGES: Sort("mailings.message", purpose_ends, "delete", ~Q(state__in=["queued", "claimed"])),
    Of.UNCONFIRMED: Sort("customers.customer", first_seen, "erase", Q(association="prospect", email_state="unverified", erased_at=None)),
    Of.ENDED: Sort("customers.customer", "association_ended_on", "erase", Q(association="ended", erased_at=None)),
}


def overdue(rule, at):
    """Return the rows that are kept longer than a rule allows, and that no legal hold protects."""
    sort = SORTS[Of(rule.of)]
    model = apps.get_model(sort.model)
    rows = model._base_manager.filter(sort.only)
    before = at - timedelta(days=rule.days or 0)
    if callable(sort.since):
        rows = rows.annotate(since=sort.since()).filter(since__lte=before)
    else:
        date = type(model._meta.get_field(sort.since)) is DateField
        rows = rows.filter(**{f"{sort.since}__lte": timezone.localdate(before) if date else before})
    path = path_to_customer(model)
    if path is not None:
        rows = rows.exclude(**{f"{path or 'pk'}__in": LegalHold.objects.open().values("customer")})
    if sort.do == "blank":
        rows = rows.filter(reduce(or_, (Q(**{f"{field.name}__isnull": False}) for field in model._meta.fields if is_encrypted(field))))
    if sort.do == "erase":
        rows = rows.exclude(pk__in=Erasure.objects.open().values("customer"))
    return rows.order_by("pk")


def dry_run(at=None):
    """Return {class of data: how many rows the rule in force would take now}; changes nothing."""
    return {rule.of: overdue(rule, at or timezone.now()).count() for rule in RetentionRule.objects.active()}


def apply(at=None):
    """Apply every rule in force, in short transactions; return the RetentionRun that tells of it. Harmless when it is done twice."""
    at, started = at or timezone.now(), time.monotonic()
    counts = {rule.of: _apply(rule, at) for rule in RetentionRule.objects.active()}
    with transaction.atomic():
        run = RetentionRun.objects.create(counts=counts, seconds=round(time.monotonic() - started, 3))
        audit.record("retention.run", by=None, obj=run, clause=CLAUSE, **counts)
    return run


def _apply(rule, at):
    total = 0
    while count := _batch(rule, at):
        total += count
    return total


def _batch(rule, at):
    """Take some rows of one rule, with the entry that tells how many."""
    sort = SORTS[Of(rule.of)]
    with transaction.atomic():
        numbers = list(overdue(rule, at).values_list("pk", flat=True)[:BATCH])
        if numbers:
            DO[sort.do](apps.get_model(sort.model), numbers, rule)
            audit.record(f"retention.{sort.do}", by=None, obj=rule, clause=CLAUSE, of=rule.of, rows=len(numbers))
    return len(numbers)


def _delete(model, numbers, rule):
    rows = model._base_manager.filter(pk__in=numbers)
    for relation in model._meta.related_objects:  # what only tells more of these rows goes with them
        if relation.related_model._meta.label_lower in TOLD_MORE:
            relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": numbers}).delete()
    rows.delete()


TOLD_MORE = {"mailings.renewalitem"}


def _blank(model, numbers, rule):
    rows = model._base_manager.filter(pk__in=numbers)
    if not hasattr(model, "history"):
        rows.update(**blanks(model))
        return
    owner = path_to_customer(model)
    owners = dict(rows.values_list("pk", f"{owner}__public_id"))
    blank_tracked(model, rows, action="retention.blank", subject=lambda row: owners[row.pk])


def _forget(model, numbers, rule):
    """Delete sign-ups, and erase whom they alone brought: untold, as the address is perhaps of somebody who never heard of us."""
    rows = model._base_manager.filter(pk__in=numbers)
    brought = set(rows.filter(newcomer=True).values_list("customer", flat=True))
    rows.delete()
    prospects = Customer.objects.living().filter(pk__in=brought, association="prospect", email_state="unverified", signups=None)
    prospects = prospects.filter(consent_events=None, services=None)
    for customer in prospects.exclude(pk__in=Erasure.objects.open().values("customer")).order_by("pk"):
        Erasure.at_once(customer, by=None, reason=f"retention: {rule.of}")


def _erase(model, numbers, rule):
    for customer in Customer.objects.filter(pk__in=numbers).order_by("pk"):
        Erasure.by_rule(customer, reason=f"retention: {rule.of}", about=rule)


DO = {"delete": _delete, "forget": _forget, "blank": _blank, "erase": _erase}
