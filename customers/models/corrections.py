"""Proposals to correct what the office holds (§4). Refuses to apply one twice, over a newer value, by its proposer, or after the end."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from audit import models as audit
from audit.history import History
from customers import deadlines
from customers.models.anomalies import Anomaly, AnomalyKind
from customers.models.attachments import Attachment
from customers.models.customer import Customer
from customers.models.holds import EmailHold
from customers.models.notices import Notice
from customers.models.requests import Holiday
from customers.models.rules import DeadlineRule, Right
from privacy_office.fields import EncryptedTextField, normal_phone
from privacy_office.querysets import TrackedQuerySet

LONGEST = {"full_name": 200, "phone": 40, "address": 500, "locale": 2}


class CorrectionQuerySet(TrackedQuerySet):
    def undecided(self):
        return self.filter(state__in=Correction.UNDECIDED)

    def late(self, on):
        return self.undecided().filter(due_on__lt=on)

    def due_within(self, on, days):
        """Return those whose date comes within some days, and is not past."""
        return self.undecided().filter(due_on__range=(on, on + timedelta(days=days)))

    def with_hold(self):
        """Say of each row whether the customer's address is on hold, in the same query."""
        return self.annotate(held=Exists(EmailHold.objects.open().filter(customer=OuterRef("customer"))))

    def first_due_first(self):
        """Return what waits for a decision, oldest first, then what was decided, newest first."""
        return self.order_by(F("decided_at").desc(nulls_first=True), "pk")


class Correction(models.Model):
    """One value that a customer, or staff for one, say is wrong, with the value that is right."""

    class Field(models.TextChoices):
        FULL_NAME = "full_name", _("full name")
        PHONE = "phone", _("phone")
        ADDRESS = "address", _("address")
        LOCALE = "locale", _("language")

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("correction", "being checked")
        WAITING = "waiting", _("waits until the address is released")  # computed from the hold, never stored
        ASKED = "asked", _("waits for the customer's answer")
        APPLIED = "applied", pgettext_lazy("correction", "done")
        REFUSED = "refused", pgettext_lazy("correction", "refused")

    UNDECIDED = (State.OPEN, State.ASKED)

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="corrections", verbose_name=_("customer"), help_text=_("Whose data it is.")
    )
    field = models.CharField(_("field"), max_length=10, choices=Field, help_text=_("Which value is wrong, incomplete or out of date."))
    proposed = EncryptedTextField(_("proposed value"), null=True, help_text=_("What is right. Personal: encrypted, shown masked."))
    against = EncryptedTextField(_("value then"), null=True, help_text=_("What stood there when it was proposed. Encrypted, shown masked."))
    evidence = models.ForeignKey(
        Attachment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="corrections",
        verbose_name=_("evidence"),
        help_text=_("The file that shows it; earlier ones stand in the history."),
    )
    proposed_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("proposed by"),
        help_text=_("Who of the staff proposed it; empty: the customer."),
    )
    proposed_at = models.DateTimeField(_("proposed at"), help_text=_("When it was proposed."))
    due_on = models.DateField(_("due on"), help_text=_("By when it must be decided, by the law."))
    state = models.CharField(
        _("state"), max_length=10, choices=State, default=State.OPEN, editable=False, help_text=_("How far it has come.")
    )
    question = models.CharField(_("question"), max_length=200, blank=True, help_text=_("What else is needed; no personal data."))
    decided_at = models.DateTimeField(_("decided at"), null=True, help_text=_("When it was decided."))
    decided_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
        help_text=_("Who decided: another person than the one who proposed."),
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True, help_text=_("Why it was refused; no personal data."))
    history = History(personal=True)
    objects = CorrectionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("correction"), _("corrections")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "field"], condition=Q(state__in=("open", "asked")), name="one_undecided_correction_a_field"
            ),
            models.CheckConstraint(condition=~Q(state="waiting"), name="correction_waits_by_its_hold_alone"),
            models.CheckConstraint(
                condition=Q(state__in=("open", "asked"), decided_at=None) | Q(state__in=("applied", "refused"), decided_at__isnull=False),
                name="correction_decided_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="applied") | Q(proposed_by=None) | ~Q(proposed_by=F("decided_by")),
                name="correction_approved_by_another_person",
            ),
            models.CheckConstraint(condition=~Q(state="refused") | ~Q(reason=""), name="correction_refused_has_a_reason"),
        ]

    def __str__(self):
        return f"{self.get_field_display()} {self.pk}"

    @property
    def standing(self):
        """The state as it is now: what a customer proposed waits while their address is on hold (§3.3)."""
        held = self.held if hasattr(self, "held") else self.customer.holds.open().exists()
        waits = held and self.proposed_by_id is None and self.state in self.UNDECIDED
        return self.State.WAITING if waits else self.State(self.state)

    @property
    def overtaken(self):
        """Whether the field changed after this was proposed."""
        return (getattr(self.customer, self.field) or "") != (self.against or "")

    @property
    def before(self):
        """What stood there, as it is read."""
        return self._said(self.against)

    @property
    def after(self):
        return self._said(self.proposed)

    def _said(self, value):
        return dict(Customer.Locale.choices).get(value) if self.field == self.Field.LOCALE else value

    @property
    def old_and_new(self):
        """The history rows of the customer before and after the change that this made."""
        changes = self.customer.history.filter(history_change_reason=self._by_this)
        after = changes.order_by("history_id").first()
        return (after and after.prev_record, after)

    @property
    def _by_this(self):
        return f"correction {self.pk}"

    @staticmethod
    def normal(field, value):
        """Return a proposed value as it would be kept; ValidationError when it is none."""
        value = value.strip()
        if not value or len(value) > LONGEST[field] or (field == "locale" and value not in Customer.Locale):
            raise ValidationError({"value": _("This is not valid.")})
        try:
            return normal_phone(value) if field == "phone" else value
        except ValueError:
            raise ValidationError({"value": _("This is not a telephone number that we know how to call.")}) from None

    def _lock(self):
        """See customer and row as they are now, and let nobody else change them until the transaction ends."""
        customer = Customer.objects.select_for_update().get(pk=self.customer_id)
        self.refresh_from_db(from_queryset=Correction.objects.select_for_update())
        self.customer = customer
        self.__dict__.pop("held", None)  # as it was when a list was read

    def _change(self, action, *, by, **changes):
        """Save with history and leave the entry: what every verb below does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause="§4", field=self.field, reason=self.reason)

    def _tell(self, kind, **values):
        Notice.tell(self.customer, kind, about=self, asked_on=timezone.localdate(self.proposed_at).isoformat(), **values)

    @classmethod
    def propose(cls, customer, field, value, *, by, scan=None, at=None):
        """Propose another value for a field, with a file's bytes that show it or none; ValidationError says why it cannot be."""
        value, at = cls.normal(cls.Field(field), value), at or timezone.now()
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)
            if customer.erased_at or customer.association == Customer.Association.ENDED:
                raise ValidationError(_("The association with this customer has ended: data is no longer corrected (§4)."))
            if customer.corrections.undecided().filter(field=field).exists():
                raise ValidationError(_("A correction of this is being checked already."))
            against = getattr(customer, field) or ""
            if value == against:
                raise ValidationError({"value": _("This is what we have already.")})
            terms = DeadlineRule.objects.get(kind=Right.CORRECTION).terms
            row = cls(
                customer=customer,
                field=field,
                proposed=value,
                against=against,
                evidence=Attachment.keep(customer, scan, by=by) if scan else None,
                proposed_by=audit.staff(by),
                proposed_at=at,
                due_on=deadlines.done(terms, at, Holiday.objects.calendar()).on,
            )
            row._change("correction.propose", by=by)
            if by == customer:
                Anomaly.note(customer, AnomalyKind.CHANGE_ASKED)
                waits = row.standing == cls.State.WAITING
                kind = Notice.Kind.CORRECTION_WAITING if waits else Notice.Kind.CORRECTION_RECEIVED
                row._tell(kind, due_on=row.due_on.isoformat())
        return row

    def _require(self, *states):
        if (standing := self.standing) not in states:
            raise ValidationError(_("This cannot be done to a correction that is: %(state)s."), params={"state": standing.label})

    def ask_for_more(self, *, by, question):
        """Ask the customer for what is missing."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.OPEN)
            self._change("correction.ask", by=by, state=self.State.ASKED, question=question)
            self._tell(Notice.Kind.CORRECTION_ASKED, question=question)

    def complete(self, *, by, scan):
        """Add the file that was asked for; the correction goes on."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED, self.State.WAITING)
            if self.state != self.State.ASKED:
                raise ValidationError(_("Nothing more is asked for."))
            evidence = Attachment.keep(self.customer, scan, by=by)
            self._change("correction.complete", by=by, state=self.State.OPEN, evidence=evidence)

    def approve(self, *, by, at=None):
        """Apply the value; refused to who proposed it, while its address is on hold, and when the field changed meanwhile."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.OPEN, self.State.ASKED)
            if self.proposed_by_id and by == self.proposed_by:
                raise ValidationError(_("A correction is approved by another person than the one who proposed it."))
            if self.overtaken:
                raise ValidationError(_("The field was changed after this was proposed: look at both values, and refuse this one."))
            self.customer.correct(by=by, reason=self._by_this, **{self.field: self.proposed})
            self._change("correction.approve", by=by, state=self.State.APPLIED, decided_by=by, decided_at=at or timezone.now())
            self._tell(Notice.Kind.CORRECTION_APPLIED)

    def refuse(self, *, by, reason, tell=True, at=None):
        """Leave the value as it is, and say why; `tell=False` where nobody is left to be told."""
        if not reason.strip():
            raise ValidationError(_("Why? The customer reads the reason."))
        with transaction.atomic():
            self._lock()
            self._require(self.State.OPEN, self.State.ASKED, self.State.WAITING)
            decided = {"decided_by": by, "decided_at": at or timezone.now(), "reason": reason}
            self._change("correction.refuse", by=by, state=self.State.REFUSED, **decided)
            if tell:
                self._tell(Notice.Kind.CORRECTION_REFUSED, reason=reason)
