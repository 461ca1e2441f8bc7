"""The customer, found without plain text. Refuses changes without history and entry, and deletion."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from audit import models as audit
from audit.history import History
from privacy_office.fields import (
    BlindIndexField,
    BlindOthersField,
    BlindWordsField,
    EncryptedCharField,
    EncryptedEmailField,
    EncryptedTextField,
    blind_words,
    blinds,
    digests,
    normal_email,
    normal_phone,
)
from privacy_office.querysets import TrackedQuerySet


class CustomerQuerySet(TrackedQuerySet):
    def living(self):
        return self.filter(erased_at=None)

    def matching(self, text):
        """Return whom a text names: a ref, an e-mail, a phone in any spelling, its last four digits, or name words in any order."""
        text = text.strip()
        found = models.Q(ref=text)
        for kind, name in (("email", "email_index"), ("phone", "phone_index")):
            try:
                found |= models.Q(**{f"{name}__in": blinds(kind, text)})
            except ValueError:
                continue  # it has no normal form of this kind, so nobody has it
        if len(text) == 4 and text.isascii() and text.isdigit():
            found |= models.Q(last4_index__in=digests("last4", text))
        for key in settings.BLIND_INDEX_KEY:
            if words := blind_words(text, key):
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
    email_others = BlindOthersField(index="email_index")
    phone_others = BlindOthersField(index="phone_index")
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
    password = models.CharField(
        _("password"),
        max_length=128,
        blank=True,
        default="",
        editable=False,
        help_text=_("Argon2id hash of the customer's own password; empty: none was set. Kept out of the history."),
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
    history = History(
        personal=True,
        excluded_fields=["email_index", "phone_index", "last4_index", "name_index", "email_others", "phone_others", "password"],
    )
    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("customer"), _("customers")
        ordering = ["-id"]
        permissions = [("reveal_customer", "Can reveal personal data")]
        indexes = [
            models.Index(fields=["phone_index"]),
            models.Index(fields=["last4_index"]),
            GinIndex(fields=["name_index"], name="customer_name_words"),
            # What lists are filtered by, where it is rare: what is common is found soon without.
            models.Index(
                fields=["association", "-id"], condition=models.Q(association__in=["prospect", "ended"]), name="customer_not_active"
            ),
            models.Index(
                fields=["email_state", "-id"],
                condition=models.Q(email_state__in=["unverified", "bouncing", "complained"]),
                name="customer_not_verified",
            ),
            models.Index(fields=["-id"], condition=models.Q(restricted_at__isnull=False), name="customer_restricted"),
            models.Index(fields=["-id"], condition=models.Q(erased_at__isnull=False), name="customer_erased"),
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
                if Customer.objects.filter(email_index__in=blinds("email", changes["email"])).exclude(pk=self.pk).exists():
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
