"""What a customer lets one third party have, for one purpose. Refuses to change what was said."""

import hashlib

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models import Customer
from disclosures.models.parties import Field, ThirdParty
from privacy_office.querysets import CopyQuerySet, TrackedQuerySet


class PermissionOffer(models.Model):
    """What customers may permit: that one third party gets these fields for one purpose. Its words are what they say yes to."""

    third_party = models.ForeignKey(
        ThirdParty, on_delete=models.PROTECT, related_name="offers", verbose_name=_("third party"), help_text=_("Who would get the data.")
    )
    purpose_vi = models.CharField(_("purpose in Vietnamese"), max_length=200, help_text=_("What customers read."))
    purpose_en = models.CharField(_("purpose in English"), max_length=200, help_text=_("What customers read."))
    fields = ArrayField(
        models.CharField(max_length=20, choices=Field), verbose_name=_("fields"), help_text=_("What the third party would get, no more.")
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Whether customers are still asked. What was permitted stays."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("offered permission"), _("offered permissions")
        ordering = ["id"]

    def __str__(self):
        return f"{self.third_party_id}/{self.pk}"

    @property
    def purpose(self):
        return self.purpose_en if get_language() == "en" else self.purpose_vi

    @property
    def fields_shown(self):
        return [Field(name).label for name in self.fields]

    @property
    def digest(self):
        """SHA-256 of all that a customer says yes to, in hex."""
        said = "\0".join([self.third_party.name, self.purpose_vi, self.purpose_en, *sorted(self.fields)])
        return hashlib.sha256(said.encode()).hexdigest()

    def clean(self):
        if self.pk and PermissionEvent.objects.filter(offer=self).exists():
            before = PermissionOffer.objects.get(pk=self.pk)
            if before.digest != self.digest:
                raise ValidationError(_("Customers have answered this already: end it and offer another one."))

    def keep(self, *, by):
        """Write the offer down, new or changed; what customers have answered keeps its words."""
        with transaction.atomic():
            if self.pk:
                PermissionOffer.objects.select_for_update().get(pk=self.pk)
            self.full_clean()
            self._history_user, self._change_reason = audit.staff(by), "permissionoffer.keep"
            self.save()
            audit.record("permissionoffer.keep", by=by, obj=self, clause="§1.4", fields=sorted(self.fields), active=self.active)

    def said_by(self, customer):
        """Return the customer's latest word on it, or None."""
        return PermissionEvent.objects.filter(offer=self, customer=customer).order_by("-id").first()

    def give(self, customer, *, by, source):
        """Write down that the customer permits it; ValidationError when it is not offered any more."""
        return self._say(customer, PermissionEvent.Event.GIVEN, by=by, source=source)

    def withdraw(self, customer, *, by, source):
        """Write down that the customer permits it no longer: what is asked from then on is refused."""
        return self._say(customer, PermissionEvent.Event.WITHDRAWN, by=by, source=source)

    def _say(self, customer, event, *, by, source, at=None):
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)  # a handing-over waits for it, or it for that
            self.refresh_from_db(from_queryset=PermissionOffer.objects.select_for_update(no_key=True))
            if customer.erased_at:
                raise ValidationError(_("This customer was erased."))
            if event == PermissionEvent.Event.GIVEN and not self.active:
                raise ValidationError(_("This is not offered any more."))
            last = self.said_by(customer)
            if event == (last.event if last else PermissionEvent.Event.WITHDRAWN):
                return None  # it stands already
            said = PermissionEvent.objects.create(
                customer=customer, offer=self, event=event, at=at or timezone.now(), source=source, shown_digest=self.digest,
                by=audit.actor(by),
            )  # fmt: skip
            audit.record(
                f"permission.{event}", by=by, obj=said, subject=customer.public_id, clause="§1.4", offer=self.pk, source=str(source)
            )
        return said


class PermissionEvent(models.Model):
    """One thing a customer said about one offered permission. Append-only; the latest counts."""

    class Event(models.TextChoices):
        GIVEN = "given", _("given")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Source(models.TextChoices):
        PAGE = "page", _("the customer's own page")
        PAPER = "paper", _("paper")
        SUPPORT_TICKET = "support_ticket", _("support ticket")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"), help_text=_("Who said it.")
    )
    offer = models.ForeignKey(
        PermissionOffer,
        on_delete=models.PROTECT,
        related_name="events",
        verbose_name=_("offered permission"),
        help_text=_("What it was about."),
    )
    event = models.CharField(_("event"), max_length=10, choices=Event, help_text=_("What was said."))
    at = models.DateTimeField(_("at"), help_text=_("When the customer said it."))
    recorded_at = models.DateTimeField(
        _("recorded at"), db_default=Now(), editable=False, help_text=_("Set by the database when it was written down.")
    )
    source = models.CharField(_("source"), max_length=20, choices=Source, help_text=_("How it reached us."))
    shown_digest = models.CharField(_("digest of the text shown"), max_length=64, help_text=_("SHA-256 of what was said yes or no to."))
    by = models.CharField(_("by"), max_length=60, help_text=_("Who wrote it down: see the audit's actor."))
    objects = CopyQuerySet.as_manager()
    kept_whole = True  # its entry vouches for the row itself

    class Meta:
        verbose_name, verbose_name_plural = _("permission of a customer"), _("permissions of customers")
        indexes = [models.Index(fields=["customer", "offer", "-id"], name="permission_latest")]

    def __str__(self):
        return f"{self.event} {self.pk}"
