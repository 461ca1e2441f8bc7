"""Conversations, evidence, and the suspension of an address until the customer was reached (§3.3)."""

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models.attachments import Attachment
from customers.models.customer import Customer
from customers.models.requests import RightsRequest
from customers.models.support import SupportRequest
from privacy_office.fields import (
    EncryptedTextField,
)
from privacy_office.querysets import CopyQuerySet, TrackedQuerySet


class Contact(models.Model):
    """A conversation with a customer through a channel other than the one in doubt (§3.3)."""

    class Channel(models.TextChoices):
        PHONE = "phone", _("phone call")
        VISIT = "visit", _("in person")
        POST = "post", _("letter")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="contacts", verbose_name=_("customer"), help_text=_("Who was reached.")
    )
    channel = models.CharField(
        _("channel"), max_length=10, choices=Channel, help_text=_("How the customer was reached. E-mail does not count.")
    )
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When the customer was reached."))
    note = EncryptedTextField(
        _("note"), null=True, blank=True, help_text=_("How the customer was recognised and what was said. Encrypted.")
    )
    by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("by"),
        help_text=_("Who spoke with the customer."),
    )
    history = History(personal=True)
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("contact"), _("contacts")

    def __str__(self):
        return f"{self.get_channel_display()} {self.at:%Y-%m-%d}"

    @classmethod
    def add(cls, customer, *, by, channel, note, at=None):
        """Write down that a customer was reached and recognised."""
        with transaction.atomic():
            contact = cls(customer=customer, channel=cls.Channel(channel), at=at or timezone.now(), note=note, by=by)
            contact._history_user, contact._change_reason = by, "contact.add"
            contact.save()
            audit.record("contact.add", by=by, obj=contact, subject=customer.public_id, clause="§3.3", channel=contact.channel)
        return contact


class Evidence(models.Model):
    """What shows that something was said or asked: kept beside the records that point at it, so that erasure reaches it."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="evidence", verbose_name=_("customer"), help_text=_("Whom it is about.")
    )
    text = EncryptedTextField(_("text"), null=True, help_text=_("Where and how it can be shown: ticket, form, recording. Encrypted."))
    attachment = models.ForeignKey(
        Attachment,
        on_delete=models.PROTECT,
        null=True,
        related_name="evidence",
        verbose_name=_("attachment"),
        help_text=_("The signed paper itself, where there is one: kept as long as the customer's data."),
    )
    added_at = models.DateTimeField(_("added at"), auto_now_add=True, help_text=_("When it was kept."))
    objects = CopyQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = _("evidence")

    def __str__(self):
        return _("evidence %s") % self.pk


class EmailHoldQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(released_at=None)


class EmailHold(models.Model):
    """A suspension of requests from, and confidential mail to, one customer's address (§3.3)."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="holds", verbose_name=_("customer"), help_text=_("Whose address it is.")
    )
    reason = models.CharField(_("reason"), max_length=200, help_text=_("The sign of fraud or anything abnormal; no personal data."))
    placed_at = models.DateTimeField(_("placed at"), auto_now_add=True, help_text=_("Since when the address is suspended."))
    placed_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("placed by"),
        help_text=_("Who placed it; empty: a rule of the office."),
    )
    rule = models.CharField(
        _("rule"), max_length=20, blank=True, editable=False, help_text=_("The rule that placed it; empty: a person did.")
    )
    released_at = models.DateTimeField(_("released at"), null=True, editable=False, help_text=_("When it ended."))
    released_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("released by"),
        help_text=_("Who released it: another person than the one who placed it."),
    )
    contact = models.ForeignKey(
        Contact,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        verbose_name=_("contact"),
        help_text=_("The conversation in which the customer confirmed."),
    )
    history = History()
    objects = EmailHoldQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("e-mail hold"), _("e-mail holds")
        constraints = [
            models.UniqueConstraint(fields=["customer"], condition=models.Q(released_at=None), name="one_open_hold_a_customer"),
            models.CheckConstraint(
                condition=models.Q(released_at=None) | models.Q(contact__isnull=False), name="hold_released_only_by_a_contact"
            ),
        ]

    def __str__(self):
        return _("hold %s") % self.pk

    @classmethod
    def place(cls, customer, *, by, reason, rule=""):
        """Suspend the customer's address; ValidationError when it is suspended already."""
        with transaction.atomic():
            Customer.objects.select_for_update().get(pk=customer.pk)
            if cls.objects.open().filter(customer=customer).exists():
                raise ValidationError(_("This address is already on hold."))
            hold = cls(customer=customer, reason=reason, placed_by=audit.staff(by), rule=rule)
            hold._history_user, hold._change_reason = audit.staff(by), "hold.place"
            hold.save()
            audit.record("hold.place", by=by, obj=hold, subject=customer.public_id, clause="§3.3", rule=rule)
        return hold

    def release(self, *, by, channel, note, at=None):
        """End the hold after the customer confirmed through another channel; never by the person who placed it."""
        with transaction.atomic():
            Customer.objects.select_for_update().only("pk").get(pk=self.customer_id)  # what is asked meanwhile must not miss the release
            self.refresh_from_db(from_queryset=EmailHold.objects.select_for_update())
            if self.released_at:
                raise ValidationError(_("This hold is already released."))
            if by == self.placed_by:
                raise ValidationError(_("A hold is released by another person than the one who placed it (§3.3)."))
            contact = Contact.add(self.customer, by=by, channel=channel, note=note, at=at)
            self.contact, self.released_by, self.released_at = contact, by, timezone.now()
            self._history_user, self._change_reason = by, "hold.release"
            self.save()
            for request in self.customer.information_requests.open():
                request.send()  # what waited for this
            audit.record("hold.release", by=by, obj=self, subject=self.customer.public_id, clause="§3.3", channel=contact.channel)
            RightsRequest.objects.resume(self.customer, by=by)
            SupportRequest.objects.resume(self.customer, by=by)
