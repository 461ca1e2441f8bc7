"""Erasures as records that outlive the person, and what stands in their way. Refuses one person alone, and while a legal hold is open."""

from datetime import timedelta
from functools import partial

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models.customer import Customer
from customers.models.notices import Notice, name_of
from privacy_office import celery
from privacy_office.querysets import TrackedQuerySet

CLAUSE = "§1.2"
CARRY_ON = "customers.tasks.continue_erasures"


class LegalHoldQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(lifted_at=None)


class LegalHold(models.Model):
    """A duty to keep one customer's data as it is: a dispute, an inquiry. No erasure and no retention rule touches it meanwhile."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="legal_holds", verbose_name=_("customer"), help_text=_("Whose data is kept.")
    )
    reason = models.CharField(_("reason"), max_length=200, help_text=_("The dispute or the inquiry, by its number; no personal data."))
    placed_at = models.DateTimeField(_("placed at"), default=timezone.now, help_text=_("Since when nothing is erased."))
    placed_by = models.ForeignKey(
        "privacy_office.Staff", on_delete=models.PROTECT, related_name="+", verbose_name=_("placed by"), help_text=_("Who placed it.")
    )
    lifted_at = models.DateTimeField(_("lifted at"), null=True, editable=False, help_text=_("When it ended."))
    lifted_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("lifted by"),
        help_text=_("Who ended it: another person than the one who placed it."),
    )
    history = History()
    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("legal hold"), _("legal holds")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer"], condition=Q(lifted_at=None), name="one_open_legal_hold_a_customer"),
            models.CheckConstraint(condition=Q(lifted_by=None) | ~Q(lifted_by=F("placed_by")), name="legal_hold_lifted_by_another_person"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None) | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="legal_hold_lifted_by_somebody",
            ),
        ]

    def __str__(self):
        return _("legal hold %s") % self.pk

    def _change(self, action, *, by):
        self._history_user, self._change_reason = by, action
        self.save()
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause=CLAUSE, reason=self.reason)

    @classmethod
    def place(cls, customer, *, by, reason):
        """Keep the customer's data; ValidationError when it is kept already, is gone, or is being taken away this moment."""
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)
            if customer.erased_at or customer.erasures.going().exists():
                raise ValidationError(_("It is too late: the data of this customer is erased."))
            if customer.legal_holds.open().exists():
                raise ValidationError(_("There is a legal hold already."))
            hold = cls(customer=customer, reason=reason, placed_by=by)
            hold._change("legal_hold.place", by=by)
        return hold

    def lift(self, *, by):
        """End the duty to keep; never by the person who placed it."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=LegalHold.objects.select_for_update())
            if self.lifted_at:
                raise ValidationError(_("This legal hold is lifted already."))
            if by is None or by == self.placed_by:
                raise ValidationError(_("A legal hold is lifted by another person than the one who placed it."))
            self.lifted_by, self.lifted_at = by, timezone.now()
            self._change("legal_hold.lift", by=by)


class ErasureQuerySet(TrackedQuerySet):
    def open(self):
        """Return those that are neither done nor called off."""
        return self.exclude(step__in=[Erasure.Step.DONE, Erasure.Step.CALLED_OFF])

    def going(self):
        """Return those that nobody can call off any more."""
        return self.filter(step__in=Erasure.GOING)

    def under_way(self):
        """Return those that go on by themselves, oldest first."""
        return self.filter(step__in=[Erasure.Step.APPROVED, *Erasure.GOING]).order_by("pk")


class Erasure(models.Model):
    """One customer's erasure, from asking to the certificate; each step is written down, so that it is taken up after any end."""

    class Step(models.TextChoices):
        ASKED = "asked", _("waits for a second person")
        APPROVED = "approved", _("approved, the customer is told")
        CLOSED = "closed", _("mail, sessions and links are ended")
        JOURNALED = "journaled", _("in the journal, data is being blanked")
        BLANKED = "blanked", _("the data is gone")
        DONE = "done", _("done, with certificate")
        CALLED_OFF = "called_off", _("called off")

    GOING = (Step.CLOSED, Step.JOURNALED, Step.BLANKED)
    WAITS = timedelta(days=1)  # for the message that tells the customer, whatever keeps it

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="erasures", verbose_name=_("customer"), help_text=_("Who is erased.")
    )
    step = models.CharField(_("step"), max_length=10, choices=Step, default=Step.ASKED, help_text=_("Which step it has reached."))
    reason = models.CharField(_("reason"), max_length=200, help_text=_("Why, by the number of a request or a ticket; no personal data."))
    about = models.CharField(_("about"), max_length=80, blank=True, help_text=_("The row it is about: app.model:number."))
    asked_at = models.DateTimeField(_("asked at"), default=timezone.now, help_text=_("When it was asked for."))
    asked_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
        help_text=_("Who asked for it; empty: a rule of the office, or the journal after a restored backup."),
    )
    approved_at = models.DateTimeField(_("approved at"), null=True, help_text=_("When a second person said yes."))
    approved_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("approved by"),
        help_text=_("Who said yes: another person than the one who asked."),
    )
    notice = models.ForeignKey(
        Notice, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("notice"), help_text=_("What told the customer.")
    )
    blanked = models.JSONField(_("what went"), default=dict, help_text=_("Rows by model from which personal values were taken."))
    finished_at = models.DateTimeField(_("finished at"), null=True, help_text=_("When it was done, or called off."))
    certificate = models.JSONField(
        _("certificate"), null=True, help_text=_("What went, what stays, on what ground and until when; nobody's data.")
    )
    history = History()
    objects = ErasureQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("erasure"), _("erasures")
        ordering = ["-id"]
        permissions = [("approve_erasure", "Can approve that a customer is erased")]
        indexes = [models.Index(fields=["id"], condition=~Q(step__in=["done", "called_off"]), name="erasure_open")]
        constraints = [
            models.UniqueConstraint(fields=["customer"], condition=~Q(step="called_off"), name="one_erasure_a_customer"),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("asked_by")), name="erasure_approved_by_another_person"
            ),
            models.CheckConstraint(
                condition=Q(step__in=["asked", "called_off"]) | Q(asked_by=None) | Q(approved_by__isnull=False),
                name="erasure_goes_on_only_when_approved",
            ),
        ]

    def __str__(self):
        return _("erasure %s") % self.pk

    def lock(self):
        """See the row as it is now and let nobody else change it until the transaction ends."""
        self.refresh_from_db(from_queryset=Erasure.objects.select_for_update(of=["self"]).select_related("customer"))

    def change(self, action, *, by, **changes):
        """Apply, save with history and leave the entry: what every step does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        told = {"step": self.step, "reason": self.reason, "about": self.about}
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause=CLAUSE, **told)

    @property
    def stoppable(self):
        """Whether nothing was done yet that cannot be taken back."""
        return self.step in (self.Step.ASKED, self.Step.APPROVED)

    @property
    def held(self):
        """Whether a legal hold keeps it where it is."""
        return self.stoppable and self.customer.legal_holds.open().exists()

    def require_no_hold(self):
        if self.held:
            raise ValidationError(_("A legal hold is open: this customer's data must be kept until it is lifted."))

    @classmethod
    def _begin(cls, customer, *, by, reason, about=None, asked_by=None, step=Step.ASKED):
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        if customer.erased_at:
            raise ValidationError(_("This customer is erased already."))
        if customer.erasures.open().exists():
            raise ValidationError(_("An erasure of this customer is under way already."))
        erasure = cls(customer=customer, reason=reason, about=name_of(about), asked_by=asked_by, step=step)
        if step == cls.Step.ASKED:
            erasure.require_no_hold()
        erasure.change("erasure.ask", by=by)
        return erasure

    @classmethod
    def ask(cls, customer, *, by, reason, about=None):
        """Ask for an erasure; `about` is the row that it answers. ValidationError where a legal hold is open."""
        with transaction.atomic():
            return cls._begin(customer, by=by, reason=reason, about=about, asked_by=audit.staff(by))

    @classmethod
    def by_rule(cls, customer, *, reason, about=None):
        """Have the office erase a customer whose time is over, under a rule that people set; the customer is told first."""
        with transaction.atomic():
            erasure = cls._begin(customer, by=None, reason=reason, about=about)
            erasure._tell(by=None)
        return erasure

    @classmethod
    def at_once(cls, customer, *, by, reason):
        """Return an erasure that is past all waiting: after a restored backup, where it was done before and the customer was told.

        A legal hold that the backup brings back does not stop it: it was lifted before the customer was erased.
        """
        with transaction.atomic():
            earlier = customer.erasures.open().first()
            if earlier and earlier.step in cls.GOING:
                return earlier
            if earlier:
                earlier.call_off(by=by, reason=reason)
            return cls._begin(customer, by=by, reason=reason, step=cls.Step.APPROVED)

    def approve(self, *, by):
        """Say that the customer may be erased, never oneself; the customer is told, and the rest goes by itself."""
        with transaction.atomic():
            self.lock()
            if self.step != self.Step.ASKED:
                raise ValidationError(_("This erasure does not wait for a second person."))
            if by is None or by == self.asked_by:
                raise ValidationError(_("An erasure is approved by another person than the one who asked for it."))
            self.require_no_hold()
            self._tell(by=by)

    def _tell(self, *, by):
        notice = Notice.tell(self.customer, Notice.Kind.ERASURE, about=self, number=str(self.pk))
        told = {"approved_by": audit.staff(by), "approved_at": timezone.now(), "notice": notice}
        self.change("erasure.approve", by=by, step=self.Step.APPROVED, **told)
        transaction.on_commit(partial(celery.wake, CARRY_ON))

    def call_off(self, *, by, reason):
        """End an erasure that has not begun to take anything away."""
        with transaction.atomic():
            self.lock()
            if self.step not in (self.Step.ASKED, self.Step.APPROVED):
                raise ValidationError(_("It is too late: data is being erased, or is gone."))
            self.change("erasure.call_off", by=by, step=self.Step.CALLED_OFF, reason=reason, finished_at=timezone.now())
