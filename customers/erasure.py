"""What erasing a customer takes away, and what it leaves: the record that there was one, by random identifier alone.

Step by step, each in a transaction of its own and each harmless when it is done twice: whatever ends the process, the next one goes on.
A line in a journal outside the database comes before the first value goes, so that a restored backup does not bring anybody back.
"""

import fcntl
import json
import os
from collections import deque
from datetime import UTC, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalChanges
from simple_history.utils import bulk_update_with_history

from audit import models as audit
from audit.history import Salted
from customers.models import AccessRequest, Customer, Erasure, Right, RightsRequest, SignUp, SupportRequest
from customers.models.erasures import CLAUSE
from privacy_office.fields import Blind, BlindWordsField, is_encrypted

Step = Erasure.Step

# What goes beside the encrypted columns and their indexes: {app.model: {column: what stands there then}}.
ALSO = {
    "customers.attachment": {"digest": None},
    "customers.customer": {"password": ""},
    "customers.signup": {"request": None, "indexes": [], "network": b""},
}
# Why a record stays that names the customer by number alone; what is not named here stays as `skeleton`.
GROUNDS = {
    "proof": _("proof of what was consented to and refused, and when: a duty of the controller"),
    "refusal": _("so that a refusal counts for good, also when the address comes back: known by a keyed digest alone"),
    "post": _("that mail was sent and why, without address and words; kept for the time of its purpose"),
    "register": _("the register of what was handed over, which the law asks for: names of fields, no values"),
    "trail": _("the account of what was done, append-only, by random identifiers"),
    "conduct": _("who of the staff saw or did what: the account of how data was protected"),
    "skeleton": _("an empty record, without personal data, so that the rest can still be verified"),
}
STAYS = {
    "consent.consentevent": "proof",
    "consent.consentstate": "proof",
    "customers.signup": "proof",
    "mailings.message": "post",
    "disclosures.disclosure": "register",
    "disclosures.disclosurerequest": "register",
    "customers.reveal": "conduct",
    "customers.erasure": "trail",
    "customers.legalhold": "trail",
}
NAMELESS = {"consent.suppression": "refusal", "audit.entry": "trail"}  # what no key ties to the customer


# What is personal


@cache
def path_to_customer(model):
    """Return by which lookup a model's rows belong to a customer ('customer', 'correction__customer'), '' for Customer, None where none."""
    waiting, seen = deque([(model, [])]), {model}
    while waiting:
        here, path = waiting.popleft()
        if here is Customer:
            return "__".join(path)
        for field in here._meta.concrete_fields:
            if field.is_relation and field.related_model not in seen:
                seen.add(field.related_model)
                waiting.append((field.related_model, [*path, field.name]))
    return None


@cache
def blanks(model):
    """Return {column: what stands there once the customer is erased}: every encrypted one, every index, and what `ALSO` names."""
    fields = model._meta.concrete_fields
    encrypted = {field.name: None for field in fields if is_encrypted(field)}
    indexes = {field.name: [] if isinstance(field, BlindWordsField) else None for field in fields if isinstance(field, Blind)}
    return {**encrypted, **indexes, **ALSO.get(model._meta.label_lower, {})}


def personal_models():
    """Return the models of this app whose rows hold something of a customer, the customer last: their values are the erasure's end."""
    models = [model for model in apps.get_app_config("customers").get_models() if not issubclass(model, HistoricalChanges)]
    return sorted((m for m in models if blanks(m) and path_to_customer(m) is not None), key=lambda m: (m is Customer, m._meta.label_lower))


# The steps


def carry_on(erasure, *, at=None):
    """Do what can be done of an erasure now, and return whether it is done; what it has to wait for, and a legal hold, stop it."""
    while step := NEXT.get(erasure.step):
        with transaction.atomic():
            erasure.lock()
            if NEXT.get(erasure.step) is not step:
                continue  # somebody else was quicker
            if not step(erasure, at or timezone.now()):
                return False
    return erasure.step == Step.DONE


def erase(customer, *, by, reason):
    """Erase a customer without telling and waiting; ValidationError when that was done before."""
    erasure = Erasure.at_once(customer, by=by, reason=reason)
    carry_on(erasure)
    return erasure


def _close(erasure, at):
    """End what is under way for the customer, once they were told, or were not reached for a day."""
    if erasure.notice and (erasure.held or not _told(erasure, at)):
        return False
    customer = erasure.customer
    told = {
        "messages": customer.messages.cancel("erased", CLAUSE),
        "sessions": customer.sessions.filter(ended_at=None).update(ended_at=at),
        "links": customer.links.filter(used_at=None).update(used_at=at),
        "support_requests": _close_support(customer, erasure, at),
    }
    audit.record("erasure.end", by=None, obj=erasure, subject=customer.public_id, clause=CLAUSE, **told)
    erasure.change("erasure.close", by=None, step=Step.CLOSED)
    return True


def _close_support(customer, erasure, at):
    """Close the mails that nobody answered yet; return how many."""
    left = list(customer.support_requests.open())
    for request in left:
        request.close(by=None, reason=str(erasure), at=at)
    return len(left)


def _told(erasure, at):
    message = getattr(erasure.notice, "message", None)
    return at >= erasure.approved_at + Erasure.WAITS or (message is not None and message.settled)


def _journal(erasure, at):
    write_journal(erasure.customer.public_id, at)
    erasure.change("erasure.journal", by=None, step=Step.JOURNALED)
    return True


def _blank(erasure, at):
    """Blank one model's rows, the next time another's; the customer's own come last."""
    left = [model for model in personal_models() if model._meta.label_lower not in erasure.blanked]
    if left and left[0] is not Customer:
        count = blank_rows(left[0], erasure)
        erasure.change("erasure.blank", by=None, blanked={**erasure.blanked, left[0]._meta.label_lower: count})
        return True
    customer = Customer.objects.select_for_update().get(pk=erasure.customer_id)
    known_as = [bytes(i) for i in (customer.email_index, *(customer.email_others or ())) if i]
    AccessRequest.objects.filter(indexes__overlap=known_as).delete()
    SignUp.objects.filter(customer=None, indexes__overlap=known_as).delete()
    customer.messages.cancel("erased", CLAUSE)  # what came since the first time
    for correction in customer.corrections.undecided():
        correction.refuse(by=None, reason=str(erasure), tell=False, at=at)
    for question in customer.information_requests.open(at):
        question.withdraw(by=None)
    if _close_support(customer, erasure, at):  # what came since the first time
        blank_rows(SupportRequest, erasure)
    blank_history(Customer, [customer.pk])
    customer._change("customer.erase", CLAUSE, by=None, **blanks(Customer), erased_at=at)
    erasure.change("erasure.blank", by=None, step=Step.BLANKED, blanked={**erasure.blanked, Customer._meta.label_lower: 1})
    return True


def _finish(erasure, at):
    # Nobody is left to write to: that it would be done was told before.
    for request in erasure.customer.rights_requests.open().filter(kind=Right.ERASURE, identity_at__isnull=False).order_by("pk"):
        if request.state != RightsRequest.State.WAITING:
            request.fulfil(by=None, outcome=str(erasure), tell=False, at=at)
    erasure.change("erasure.finish", by=None, step=Step.DONE, finished_at=at, certificate=certificate(erasure, at))
    return True


NEXT = {Step.APPROVED: _close, Step.CLOSED: _journal, Step.JOURNALED: _blank, Step.BLANKED: _finish}


# Blanking


def blank_rows(model, erasure):
    """Take the personal values from a model's rows of the erasure's customer, and from their history; return how many rows there were."""
    rows = model._base_manager.filter(**{path_to_customer(model): erasure.customer_id})
    public_id = erasure.customer.public_id
    if not hasattr(model, "history"):
        return rows.update(**blanks(model))
    return blank_tracked(model, rows, action=f"{model._meta.model_name}.erase", subject=lambda row: public_id)


def blank_tracked(model, rows, *, action, subject):
    """Blank rows that have a history, with it, and leave an entry for each; `subject(row)` is the customer's random identifier."""
    rows = list(rows.select_for_update(of=["self"]).order_by("pk"))
    blank_history(model, [row.pk for row in rows])
    for row in rows:
        for name, value in blanks(model).items():
            setattr(row, name, value)
    bulk_update_with_history(rows, model, list(blanks(model)), default_change_reason=action)
    audit.record_all(audit.entry(action, by=None, obj=row, subject=subject(row), clause=CLAUSE) for row in rows)
    return len(rows)


def blank_history(model, numbers):
    """Take the personal values and the salts from the history of rows."""
    history = model.history.model
    if not issubclass(history, Salted):
        return
    old = list(history.objects.filter(id__in=numbers, salt__isnull=False))
    for row in old:
        row.blank()
    personal = [field.name for field in history._meta.concrete_fields if is_encrypted(field)]
    history.objects.bulk_update(old, [*personal, "salt", "personal_digest"], batch_size=500)


# What stays


def certificate(erasure, at):
    """Return what went and what stays, on what ground and until when: names of models and numbers, nobody's data."""
    customer = erasure.customer
    kept = []
    for model in apps.get_models():
        if issubclass(model, HistoricalChanges) or model is Customer or not model._meta.managed:
            continue
        keys = [f.name for f in model._meta.concrete_fields if f.is_relation and f.related_model is Customer]
        if keys and (count := model._base_manager.filter(**{keys[0]: customer}).count()):
            label = model._meta.label_lower
            kept.append({"what": label, "rows": count, "ground": STAYS.get(label, "skeleton"), "until": _until(customer, label)})
    kept += [{"what": label, "rows": None, "ground": ground, "until": None} for label, ground in NAMELESS.items()]
    return {
        "identifier": str(customer.public_id),
        "finished_at": at.astimezone(UTC).isoformat(),
        "gone": erasure.blanked,
        "kept": kept,
    }


def _until(customer, label):
    """Return the day until which messages are kept; None: for good."""
    if label != "mailings.message":
        return None
    ends = [m.created_at + timedelta(days=m.purpose.retention_days) for m in customer.messages.select_related("purpose")]
    return timezone.localdate(max(ends)).isoformat()


# The journal


def write_journal(public_id, at):
    """Write down, once and for good, that a customer is erased: OSError where that cannot be done, and then nothing is blanked."""
    path = Path(settings.ERASURE_JOURNAL)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        file.truncate(len(whole))  # a crash may have left half a line
        if str(public_id) not in whole.decode():
            file.write(json.dumps({"customer": str(public_id), "at": at.astimezone(UTC).isoformat()}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_journal():
    """Return {identifier: when} of everyone who was erased; a line that a crash left half is left out, as nothing was blanked then."""
    path = Path(settings.ERASURE_JOURNAL)
    text = path.read_text() if path.exists() else ""
    lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return {UUID(line["customer"]): line["at"] for line in lines}


def replay():
    """Erase again, at once, those of the journal whom the database has and has not erased; return how many, and how many it has not."""
    journal = read_journal()
    back = list(Customer.objects.living().filter(public_id__in=journal).order_by("pk"))
    for customer in back:
        erase(customer, by=None, reason="replay_erasures")
    known = Customer.objects.filter(public_id__in=journal).count()
    pending = [erasure for erasure in Erasure.objects.going() if not carry_on(erasure)]
    return {"journal": len(journal), "erased_again": len(back), "unknown": len(journal) - known, "pending": len(pending)}
