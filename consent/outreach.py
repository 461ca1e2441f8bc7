"""Asks the gate for staff who mean to send an SMS or to call, and counts the contact. Refuses mail, which the office sends itself."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from consent import gate
from consent.models import Approach, Channel, ChannelRule

ANSWER_LASTS = timedelta(minutes=15)  # within which who asked makes the contact, or asks again


def ask(customer, purpose, channel, *, by, off_register=False, at=None):
    """Return an Approach with what the gate answers now; `off_register` says that the number is not in the Do-Not-Call register."""
    at, channel = at or timezone.now(), Channel(channel)
    if channel == Channel.EMAIL:
        raise ValidationError(_("Mail is sent by the office itself."))
    with transaction.atomic():
        approach = Approach(customer=customer, purpose=purpose, channel=channel, asked_by=by, off_register=off_register)
        approach.answer(_looked_up(gate.decide([customer.pk], purpose.code, channel, at)[customer.pk], approach), at)
        approach.save()
        _record("approach.ask", approach, by)
    return approach


def make(approach, *, by, at=None):
    """Count the contact, as it is being made: the gate is asked once more, in the same transaction. What it says now is kept."""
    at = at or timezone.now()
    with transaction.atomic():
        approach.refresh_from_db(from_queryset=Approach.objects.select_for_update())
        if at - approach.asked_at > ANSWER_LASTS:
            raise ValidationError(_("The answer is too old: please ask again."))
        decision, _fields = gate.release([approach.customer_id], approach.purpose.code, approach.channel, at)[approach.customer_id]
        approach.make(decision, at)
        approach.save()
        _record("approach.make" if approach.made_at else "approach.refuse", approach, by)
    return approach


def _looked_up(decision, approach):
    """Return the decision, or a refusal where the law wants a look into the Do-Not-Call register that nobody took."""
    advertising = approach.purpose.kind == approach.purpose.Kind.ADVERTISING
    rule = advertising and ChannelRule.objects.filter(channel=approach.channel, register=True).first()
    if decision.allowed and rule and not approach.off_register:
        return gate.Decision(False, "register_not_checked", approach.purpose.clause, rule.source)
    return decision


def _record(action, approach, by):
    audit.record(
        action, by=by, obj=approach, subject=approach.customer.public_id, clause=approach.clause, purpose=approach.purpose.code,
        channel=approach.channel, allowed=approach.allowed, reason=approach.reason,
    )  # fmt: skip
