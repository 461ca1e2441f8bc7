"""Contacts by SMS and phone, which staff make themselves after asking. Refuses to count one that the gate did not allow."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from consent.models.purposes import Channel, Purpose
from customers.models import Customer
from privacy_office.querysets import CopyQuerySet


class ApproachQuerySet(CopyQuerySet):
    def contacts(self, customer, channel, at):
        """Return when the advertising contacts of the day before `at` were made."""
        made = self.filter(customer=customer, channel=channel, purpose__kind=Purpose.Kind.ADVERTISING)
        return list(made.filter(made_at__gt=at - timedelta(days=1), made_at__lte=at).values_list("made_at", flat=True))


class Approach(models.Model):
    """One contact by SMS or phone: what the gate answered who asked before it, and whether it was made. What was said stands elsewhere."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="approaches", verbose_name=_("customer"), help_text=_("Whom it is about.")
    )
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What the customer is contacted for.")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, help_text=_("By which channel."))
    off_register = models.BooleanField(
        _("not on the register"), default=False, help_text=_("Whether who asked looked the number up in the Do-Not-Call register.")
    )
    asked_at = models.DateTimeField(_("asked at"), help_text=_("When the gate was asked last."))
    asked_by = models.ForeignKey(
        "privacy_office.Staff", on_delete=models.PROTECT, related_name="+", verbose_name=_("asked by"), help_text=_("Who asked.")
    )
    allowed = models.BooleanField(_("allowed"), help_text=_("What the gate answered."))
    reason = models.CharField(_("reason"), max_length=40, help_text=_("The gate's reason."))
    clause = models.CharField(_("clause"), max_length=10, help_text=_("The clause that the decision rests on."))
    evidence = models.CharField(_("evidence"), max_length=100, blank=True, help_text=_("The row that shows it."))
    not_before = models.DateTimeField(_("not before"), null=True, help_text=_("From when the answer may be another one."))
    made_at = models.DateTimeField(_("made at"), null=True, help_text=_("When the contact was made and counted; empty: it was not."))
    objects = ApproachQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("contact by SMS or phone"), _("contacts by SMS and phone")
        ordering = ["-id"]
        indexes = [models.Index(fields=["customer", "channel", "made_at"])]
        constraints = [
            models.CheckConstraint(condition=models.Q(made_at=None) | models.Q(allowed=True), name="approach_made_only_if_allowed")
        ]

    def __str__(self):
        return f"{self.channel} {self.pk}"

    def answer(self, decision, at):
        """Keep what the gate answered; unsaved."""
        self.allowed, self.reason, self.clause = decision.allowed, decision.reason, decision.clause
        self.evidence, self.not_before, self.asked_at = decision.evidence, decision.not_before, at

    def make(self, decision, at):
        """Keep that it is made now, or that it may not be made any more; unsaved."""
        if self.made_at:
            raise ValidationError(_("This contact is written down already."))
        if not self.allowed:
            raise ValidationError(_("The gate said no to this contact."))
        self.answer(decision, at)
        self.made_at = at if decision.allowed else None
