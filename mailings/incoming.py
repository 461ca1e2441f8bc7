"""Does what a mail that came in asks for, once: bounces, complaints, refusals, requests (§3.2). Refuses to answer what it does not know."""

import hashlib

from django.db import transaction
from django.utils import timezone

from audit import models as audit
from consent import preferences
from customers.models import Customer, SupportRequest
from customers.models.notices import name_of
from mailings import reports
from mailings.models import IncomingMail, Message
from mailings.returns import Use
from privacy_office.fields import blinds

Kind = IncomingMail.Kind
CLAUSE = "§3.2"


def take(raw, *, at=None):
    """Do what a mail asks for, in one transaction with its mark; return what it is taken for, and whether that is new."""
    return _once(raw, lambda mark, at: _act(reports.read(raw), mark, at), at)


def set_aside(raw, *, at=None):
    """Mark a mail as one that is kept for people to look at."""
    return _once(raw, lambda mark, at: Kind.ASIDE, at)


def _once(raw, act, at):
    at = at or timezone.now()
    with transaction.atomic():
        mark, new = IncomingMail.objects.get_or_create(digest=hashlib.sha256(raw).digest(), defaults={"kind": Kind.UNKNOWN, "at": at})
        if not new:
            return Kind(mark.kind), False
        mark.kind = act(mark, at)
        mark.save(update_fields=["kind"])
        audit.record("mail.read", by=None, obj=mark, clause=CLAUSE, kind=mark.kind)
    return mark.kind, True


def _act(mail, mark, at):
    if mail.complaint or mail.report is not None:
        return _report(mail, mark, at)
    asked = _message(mail.to[Use.REFUSE])
    if asked and (reports.is_refusal(mail.subject) or (mail.refuses and not mail.automatic)):
        return _refuse(asked.customer, mail, mark, asked, at)  # a mail program may have written it: the address was made for that alone
    if mail.automatic:
        return Kind.AUTOMATIC
    customer, answered = _customer(mail.sender), _message(mail.answers[Use.ID])
    if mail.refuses and (customer or answered):  # from an address that we do not know it is who got the message
        return _refuse(customer or answered.customer, mail, mark, answered, at)
    if customer is None:
        return Kind.UNKNOWN
    _receive(customer, mail, answered, at)
    return Kind.SUPPORT


def _evidence(customer, mark, message):
    """Return what a refusal is found by: the mail that came, and before it the customer's message that it answers."""
    theirs = message and message.customer_id == customer.pk
    return f"message {message.pk}, mail {mark.pk}" if theirs else f"mail {mark.pk}"


def _report(mail, mark, at):
    message = _message(mail.to[Use.RETURN] | mail.returned[Use.RETURN] | mail.returned[Use.ID])
    if message is None:
        return Kind.UNSIGNED
    if mail.complaint:
        message.complain()
        preferences.refuse_by_complaint(message.customer, mail=_evidence(message.customer, mark, message), purpose=message.purpose)
        return Kind.COMPLAINT
    if not mail.report.startswith("5"):
        return Kind.DELAY
    message.come_back(mail.report, at)
    return Kind.BOUNCE


def _refuse(customer, mail, mark, answered, at):
    preferences.refuse_by_reply(customer, mail=_evidence(customer, mark, answered), purpose=answered and answered.purpose)
    if mail.says_more and (writer := _customer(mail.sender)):
        _receive(writer, mail, answered, at)  # a person reads the rest
    return Kind.REFUSAL


def _receive(customer, mail, answered, at):
    about = name_of(answered) if answered and answered.customer_id == customer.pk else ""
    SupportRequest.receive(customer, f"{mail.subject}\n\n{mail.text}".strip() or "—", about=about, at=at)


def _message(identifiers):
    """Return the newest message that one of the identifiers names, None where its customer is erased."""
    found = Message.objects.filter(public_id__in=identifiers, customer__erased_at=None)
    return found.select_related("customer", "purpose").order_by("pk").last()


def _customer(address):
    """Return the living customer whose address it is."""
    try:
        return Customer.objects.living().filter(email_index__in=blinds("email", address)).first()
    except ValueError:
        return None
