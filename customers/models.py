"""Customers, their services, holds on their addresses. The only home of personal data; refuses changes without history and entry."""

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from audit import models as audit
from privacy_office.fields import (
    BlindIndexField,
    BlindWordsField,
    EncryptedCharField,
    EncryptedEmailField,
    EncryptedTextField,
    blind,
    blind_words,
    digest,
    normal_email,
    normal_phone,
)
from privacy_office.querysets import CopyQuerySet, TrackedQuerySet


class CustomerQuerySet(TrackedQuerySet):
    def living(self):
        return self.filter(erased_at=None)

    def matching(self, text):
        """Return whom a text names: a ref, an e-mail, a phone in any spelling, its last four digits, or name words in any order."""
        text = text.strip()
        found = models.Q(ref=text)
        for kind, name in (("email", "email_index"), ("phone", "phone_index")):
            try:
                found |= models.Q(**{name: blind(kind, text)})
            except ValueError:
                continue  # it has no normal form of this kind, so nobody has it
        if len(text) == 4 and text.isascii() and text.isdigit():
            found |= models.Q(last4_index=digest("last4", text))
        if words := blind_words(text):
            found |= models.Q(name_index__contains=words)
        return self.filter(found) if text else self.none()

    def enrol(self, customers, *, by, source):
        """Write new customers with their history and entries; `source` says where the data came from."""
        with transaction.atomic():
            customers = bulk_create_with_history(customers, Customer, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("customer.enrol", by=by, obj=c, subject=c.public_id, clause="§1.2", source=source) for c in customers
            )
        return customers

    def amend(self, customers, changed, *, by, source):
        """Write changes of many customers; `changed` gives the names of the changed fields by primary key."""
        fields = sorted({name for names in changed.values() for name in names})
        with transaction.atomic():
            bulk_update_with_history(customers, Customer, fields, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("customer.amend", by=by, obj=c, subject=c.public_id, clause="§4", source=source, fields=sorted(changed[c.pk]))
                for c in customers
            )


class Customer(models.Model):
    """A person whose data the company holds (the PII principal of ISO/IEC 29100). Known to everyone but authorised staff by `ref` alone."""

    PERSONAL = ("full_name", "email", "phone", "address")

    class Association(models.TextChoices):
        PROSPECT = "prospect", _("prospect")
        ACTIVE = "active", _("active")
        ENDED = "ended", _("ended")

    class EmailState(models.TextChoices):
        UNVERIFIED = "unverified", _("unverified")
        VERIFIED = "verified", _("verified")
        BOUNCING = "bouncing", _("bouncing")
        COMPLAINED = "complained", _("complained")

    class Locale(models.TextChoices):
        VI = "vi", "Tiếng Việt"
        EN = "en", "English"

    ref = models.CharField(
        _("customer number"),
        max_length=40,
        unique=True,
        help_text=_("The company's own number for this customer. It says nothing about the person."),
    )
    public_id = models.UUIDField(
        _("identifier"),
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text=_("A random identifier, used wherever others refer to this customer."),
    )
    full_name = EncryptedCharField(_("full name"), max_length=200, null=True, help_text=_("Personal: encrypted, shown masked."))
    email = EncryptedEmailField(
        _("e-mail"), null=True, blank=True, help_text=_("Personal: encrypted, shown masked. The tool of communication (§3.1).")
    )
    phone = EncryptedCharField(_("phone"), max_length=20, null=True, blank=True, help_text=_("Personal: encrypted, shown masked. E.164."))
    address = EncryptedTextField(_("address"), null=True, blank=True, help_text=_("Personal: encrypted, shown masked."))
    email_index = BlindIndexField(source="email", kind="email")
    phone_index = BlindIndexField(source="phone", kind="phone")
    last4_index = BlindIndexField(source="phone", kind="last4")
    name_index = BlindWordsField(source="full_name")
    locale = models.CharField(
        _("language"), max_length=2, choices=Locale, default=Locale.VI, help_text=_("The language we write to this customer in.")
    )
    association = models.CharField(
        _("association"),
        max_length=10,
        choices=Association,
        default=Association.ACTIVE,
        help_text=_("Whether the customer is still associated with the company (§4)."),
    )
    association_ended_on = models.DateField(
        _("association ended on"), null=True, blank=True, help_text=_("The day on which the association ended.")
    )
    email_state = models.CharField(
        _("state of the e-mail address"),
        max_length=10,
        choices=EmailState,
        default=EmailState.UNVERIFIED,
        help_text=_("What is known of the address (§3.1)."),
    )
    restricted_at = models.DateTimeField(
        _("restricted at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Since when use of the data is restricted at the customer's request."),
    )
    erased_at = models.DateTimeField(
        _("erased at"), null=True, blank=True, editable=False, help_text=_("When the personal data was erased.")
    )
    history = HistoricalRecords(
        history_id_field=models.BigAutoField(), excluded_fields=["email_index", "phone_index", "last4_index", "name_index"]
    )
    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("customer"), _("customers")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["phone_index"]),
            models.Index(fields=["last4_index"]),
            GinIndex(fields=["name_index"], name="customer_name_words"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["email_index"], name="customer_email_unique", violation_error_message=_("Another customer has this address.")
            ),
        ]

    def __str__(self):
        return self.ref

    def save(self, *args, update_fields=None, **kwargs):
        if update_fields is not None:  # an index is written with its source
            update_fields = {
                *update_fields,
                *(f.attname for f in self._meta.concrete_fields if getattr(f, "source", None) in update_fields),
            }
        super().save(*args, update_fields=update_fields, **kwargs)

    def delete(self, *args, **kwargs):
        raise TypeError("Customers are erased, never deleted: a deletion would leave the person in the history.")

    @property
    def actor(self):
        """How this customer is named where the customer acts: see `audit.models.actor`."""
        return f"customer:{self.public_id}"

    def _lock(self):
        """See the row as it is now and let nobody else change it until the transaction ends."""
        self.refresh_from_db(from_queryset=Customer.objects.select_for_update())

    def _change(self, action, clause, *, by, reason="", **changes):
        """Lock, apply, save with history and leave the entry: what every verb below does."""
        with transaction.atomic():
            self._lock()
            for name, value in changes.items():
                setattr(self, name, value)
            self._history_user, self._change_reason = audit.staff(by), reason or action
            self.save()
            audit.record(action, by=by, obj=self, subject=self.public_id, clause=clause, fields=sorted(changes), reason=reason)

    def correct(self, *, by, reason, **changes):
        """Correct personal data (§4); ValidationError when the association has ended."""
        if unknown := set(changes) - {*self.PERSONAL, "locale"}:
            raise TypeError(f"not to be corrected: {', '.join(sorted(unknown))}")
        with transaction.atomic():
            self._lock()
            if self.association == self.Association.ENDED:
                raise ValidationError(_("The association with this customer has ended: data is no longer corrected (§4)."))
            for name, normal in (("email", normal_email), ("phone", normal_phone)):
                try:
                    changes |= {name: normal(changes[name])} if changes.get(name) else {}
                except ValueError:
                    raise ValidationError({name: _("This is not valid.")}) from None
            if changes.get("email"):
                validate_email(changes["email"])
            if changes.get("email", self.email) != self.email:
                if self.holds.open().exists():
                    raise ValidationError({"email": _("This address is on hold: it is changed after the hold is released (§3.3).")})
                if Customer.objects.filter(email_index=blind("email", changes["email"])).exclude(pk=self.pk).exists():
                    raise ValidationError({"email": _("Another customer has this address.")})
                changes["email_state"] = self.EmailState.UNVERIFIED
            self._change("customer.correct", "§4", by=by, reason=reason, **changes)

    def restrict(self, *, by, reason):
        """Stop every use of the data but keeping it, at the customer's request."""
        with transaction.atomic():
            self._lock()
            if self.restricted_at:
                raise ValidationError(_("Use of this customer's data is restricted already."))
            self._change("customer.restrict", "§1.2", by=by, reason=reason, restricted_at=timezone.now())

    def lift_restriction(self, *, by, reason):
        """Allow use again, as far as the gate allows it."""
        self._change("customer.lift_restriction", "§1.2", by=by, reason=reason, restricted_at=None)

    def end_association(self, *, on, by, reason):
        """Write down that the customer left on the day `on`."""
        with transaction.atomic():
            self._lock()
            if self.association == self.Association.ENDED:
                raise ValidationError(_("The association has ended already."))
            ended = {"association": self.Association.ENDED, "association_ended_on": on}
            self._change("customer.end_association", "§4", by=by, reason=reason, **ended)

    def set_email_state(self, state, *, by, reason):
        """Write down what was learnt of the address: verified, bouncing or complained of (§3.1)."""
        self._change("customer.email_state", "§3.1", by=by, reason=reason, email_state=self.EmailState(state))


class ServiceQuerySet(TrackedQuerySet):
    def expiring(self, on):
        return self.filter(expires_on=on)

    def enrol(self, services, *, by, source):
        """Write new services with their history and entries."""
        for service in services:
            service.identity = service.identify()
        with transaction.atomic():
            services = bulk_create_with_history(services, Service, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("service.enrol", by=by, obj=s, subject=s.customer.public_id, clause="§1.2", source=source) for s in services
            )
        return services

    def amend(self, services, changed, *, by, source):
        """Write changes of many services; `changed` gives the names of the changed fields by primary key."""
        fields = sorted({name for names in changed.values() for name in names})
        with transaction.atomic():
            bulk_update_with_history(services, Service, fields, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("service.amend", by=by, obj=s, subject=s.customer.public_id, source=source, fields=sorted(changed[s.pk]))
                for s in services
            )


class Service(models.Model):
    """What a customer bought and until when. Its access data is of class credential."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="services", verbose_name=_("customer"), help_text=_("Whose service it is.")
    )
    product = models.CharField(_("product"), max_length=100, help_text=_("What was bought."))
    plan = models.CharField(_("plan"), max_length=100, blank=True, help_text=_("In which size or tariff."))
    started_on = models.DateField(_("started on"), null=True, blank=True, help_text=_("First day of the service."))
    expires_on = models.DateField(
        _("expires on"), null=True, blank=True, help_text=_("Last day of the service; renewal notices count back from it.")
    )
    access_username = EncryptedCharField(
        _("access username"), max_length=200, null=True, blank=True, help_text=_("Credential: encrypted, shown masked.")
    )
    access_secret = EncryptedCharField(
        _("access secret"), max_length=500, null=True, blank=True, help_text=_("Credential: encrypted, shown masked.")
    )
    identity = models.BinaryField(
        _("identity"), max_length=16, editable=False, help_text=_("Keyed digest of what tells this service from the customer's others.")
    )
    history = HistoricalRecords(history_id_field=models.BigAutoField(), excluded_fields=["identity"])
    objects = ServiceQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("service"), _("services")
        ordering = ["-id"]
        indexes = [models.Index(fields=["expires_on"])]
        constraints = [models.UniqueConstraint(fields=["customer", "identity"], name="service_identity_unique")]

    def __str__(self):
        return f"{self.product} {self.plan}".strip()

    def save(self, *args, update_fields=None, **kwargs):
        self.identity = self.identify()
        super().save(*args, update_fields=update_fields and {*update_fields, "identity"}, **kwargs)

    def identify(self):
        """Return the digest that tells this service from the customer's others: an export has no number for it."""
        started = self.started_on.isoformat() if self.started_on else ""
        return digest("service", "\0".join([self.product, self.plan, started, self.access_username or ""]))


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
    note = EncryptedTextField(_("note"), blank=True, help_text=_("How the customer was recognised and what was said. Encrypted."))
    by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("by"),
        help_text=_("Who spoke with the customer."),
    )
    history = HistoricalRecords(history_id_field=models.BigAutoField())
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("contact"), _("contacts")

    def __str__(self):
        return f"{self.get_channel_display()} {self.at:%Y-%m-%d}"


class Evidence(models.Model):
    """What shows that something was said or asked: kept beside the records that point at it, so that erasure reaches it."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="evidence", verbose_name=_("customer"), help_text=_("Whom it is about.")
    )
    text = EncryptedTextField(_("text"), null=True, help_text=_("Where and how it can be shown: ticket, form, recording. Encrypted."))
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
    history = HistoricalRecords(history_id_field=models.BigAutoField())
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
    def place(cls, customer, *, by, reason):
        """Suspend the customer's address; ValidationError when it is suspended already."""
        with transaction.atomic():
            Customer.objects.select_for_update().get(pk=customer.pk)
            if cls.objects.open().filter(customer=customer).exists():
                raise ValidationError(_("This address is already on hold."))
            hold = cls(customer=customer, reason=reason, placed_by=audit.staff(by))
            hold._history_user, hold._change_reason = audit.staff(by), "hold.place"
            hold.save()
            audit.record("hold.place", by=by, obj=hold, subject=customer.public_id, clause="§3.3")
        return hold

    def release(self, *, by, channel, note, at=None):
        """End the hold after the customer confirmed through another channel; never by the person who placed it."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=EmailHold.objects.select_for_update())
            if self.released_at:
                raise ValidationError(_("This hold is already released."))
            if by == self.placed_by:
                raise ValidationError(_("A hold is released by another person than the one who placed it (§3.3)."))
            contact = Contact(customer=self.customer, channel=Contact.Channel(channel), at=at or timezone.now(), note=note, by=by)
            contact._change_reason = "hold.release"
            contact.save()
            self.contact, self.released_by, self.released_at = contact, by, timezone.now()
            self._history_user, self._change_reason = by, "hold.release"
            self.save()
            audit.record("hold.release", by=by, obj=self, subject=self.customer.public_id, clause="§3.3", channel=contact.channel)
