"""The e-mail address as the tool of communication (§3.1, §3.2). Refuses a change that the reader of the old address did not approve.

A change needs both mailboxes: the new address confirms that it is read, the old one that it is meant, unless the old one is known to be
dead. Whoever took over a session alone cannot take the address, and with it the account. Afterwards the old address is told, and may
object for a week: the old address is restored and suspended until staff have spoken with the customer.
"""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from customers.models.anomalies import Anomaly, AnomalyKind
from customers.models.customer import Customer
from customers.models.holds import EmailHold
from customers.models.links import Link
from customers.models.notices import Notice
from privacy_office.fields import EncryptedEmailField, blinds, normal_email
from privacy_office.querysets import CopyQuerySet

CLAUSE = "§3.2"
WAITS = timedelta(days=3)  # for both mailboxes, then the change lapses
OBJECTS = timedelta(days=7)  # in which the old address may object
DEAD = (Customer.EmailState.BOUNCING,)


class EmailChangeQuerySet(CopyQuerySet):
    def open(self):
        return self.filter(state=EmailChange.State.ASKED)

    def forget(self, at=None):
        """Let changes lapse that nobody confirmed, and take the addresses away that no objection needs any more; return how many rows."""
        at = at or timezone.now()
        with transaction.atomic():
            lapsed = self.open().filter(asked_at__lte=at - WAITS)
            past = Q(state=EmailChange.State.APPLIED, applied_at__lte=at - OBJECTS)
            kept = Q(proposed__isnull=False) | Q(former__isnull=False)
            over = self.filter(past | Q(state__in=[EmailChange.State.LAPSED, EmailChange.State.OBJECTED]), kept)
            count = lapsed.update(state=EmailChange.State.LAPSED, proposed=None, former=None) + over.update(proposed=None, former=None)
            if count:
                audit.record("email_change.forget", by=None, clause=CLAUSE, changes=count)
        return count


class EmailChange(models.Model):
    """One change of a customer's e-mail address, from the asking to the end of the time to object (§3.2)."""

    class State(models.TextChoices):
        ASKED = "asked", _("waits for confirmation")
        APPLIED = "applied", _("done")
        OBJECTED = "objected", _("undone after an objection")
        LAPSED = "lapsed", _("lapsed")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="email_changes", verbose_name=_("customer"), help_text=_("Whose address it is.")
    )
    proposed = EncryptedEmailField(_("new address"), null=True, help_text=_("Personal: encrypted. Kept while an objection is possible."))
    former = EncryptedEmailField(_("old address"), null=True, help_text=_("Personal: encrypted. Kept while an objection is possible."))
    former_state = models.CharField(
        _("state of the old address"), max_length=10, choices=Customer.EmailState, blank=True, help_text=_("To be restored with it.")
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ASKED, help_text=_("Where it stands."))
    asked_at = models.DateTimeField(_("asked at"), help_text=_("When it was asked for."))
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, help_text=_("When the new address confirmed."))
    approved_at = models.DateTimeField(_("approved at"), null=True, help_text=_("When the old address approved, or staff in its stead."))
    applied_at = models.DateTimeField(_("applied at"), null=True, help_text=_("Since when the new address is used."))
    objected_at = models.DateTimeField(_("objected at"), null=True, help_text=_("When the old address objected."))
    objects = EmailChangeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("change of e-mail"), _("changes of e-mail")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["customer"], condition=Q(state="asked"), name="one_open_email_change_a_customer")]

    def __str__(self):
        return _("change of e-mail %s") % self.pk

    def _lock(self):
        """See customer and change as they are now, in the order in which everybody locks them."""
        self.customer = Customer.objects.select_for_update().get(pk=self.customer_id)
        self.refresh_from_db(from_queryset=EmailChange.objects.select_for_update(), fields=[f.attname for f in self._meta.concrete_fields])

    def _record(self, action, *, by, **detail):
        self.save()
        audit.record(f"email_change.{action}", by=by, obj=self, subject=self.customer.public_id, clause=CLAUSE, **detail)

    def _require(self, state):
        if self.state != state:
            raise ValidationError(_("This change of address is: %(state)s."), params={"state": self.get_state_display()})

    @classmethod
    def ask(cls, customer, email, *, by, at=None):
        """Ask for a new address; where an earlier question is open this one takes its place. Both mailboxes are written to.

        An address that another customer has is not refused here: whoever asks must not learn that. Its owner's confirmation fails.
        """
        at = at or timezone.now()
        email = _normal(email)
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)
            if customer.association == Customer.Association.ENDED:
                raise ValidationError(_("The association with this customer has ended: data is no longer corrected (§4)."))
            if customer.holds.open().exists():
                raise ValidationError(_("This address is on hold: it is changed after the hold is released (§3.3)."))
            if customer.email and email == normal_email(customer.email):
                raise ValidationError({"email": _("This is the address that we have already.")})
            customer.email_changes.open().update(state=cls.State.LAPSED, proposed=None, former=None)
            dead = customer.email_state in DEAD or not customer.email
            change = cls(customer=customer, proposed=email, asked_at=at, approved_at=at if dead or audit.staff(by) else None)
            change._record("ask", by=by, old_address_dead=dead)
            if not audit.staff(by):
                Anomaly.note(customer, AnomalyKind.CHANGE_ASKED, by=by, at=at)
            Notice.tell(customer, Notice.Kind.CONFIRM_ADDRESS, about=change, address=email)
            if change.approved_at is None:
                Notice.tell(customer, Notice.Kind.APPROVE_ADDRESS, about=change)
        return change

    def confirm(self, *, by, at=None):
        """The new address is read by somebody who wants it here."""
        self._agree("confirmed_at", by=by, at=at)

    def approve(self, *, by, at=None):
        """The reader of the old address means it."""
        self._agree("approved_at", by=by, at=at)

    def _agree(self, mailbox, *, by, at):
        at = at or timezone.now()
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED)
            if at >= self.asked_at + WAITS:
                raise ValidationError(_("This change of address is: %(state)s."), params={"state": self.State.LAPSED.label})
            setattr(self, mailbox, at)
            self._record("confirm" if mailbox == "confirmed_at" else "approve", by=by)
            if self.confirmed_at and self.approved_at:
                self._apply(by=by, at=at)

    def _apply(self, *, by, at):
        self.former, self.former_state = self.customer.email, self.customer.email_state
        self.customer.correct(by=by, reason="change of e-mail", email=self.proposed)  # refuses what is held, ended or another's
        self.customer.set_email_state(Customer.EmailState.VERIFIED, by=by, reason="change of e-mail")
        self.state, self.applied_at = self.State.APPLIED, at
        self._record("apply", by=by)
        void(self.customer, at)
        if self.former:
            Notice.tell(self.customer, Notice.Kind.ADDRESS_CHANGED, about=self, address=self.former, until=(at + OBJECTS).isoformat())

    def reject(self, *, by, at=None):
        """The reader of the old address did not mean it: the change ends, and counts as a report of fraud."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED)
            self.state, self.objected_at, self.proposed = self.State.OBJECTED, at or timezone.now(), None
            self._record("reject", by=by)
            self._suspend(by=by, at=self.objected_at)

    def object(self, *, by, at=None):
        """Undo the change at the old address's word, end every session, and suspend the address until staff spoke with the customer."""
        at = at or timezone.now()
        with transaction.atomic():
            self._lock()
            self._require(self.State.APPLIED)
            if at >= self.applied_at + OBJECTS or not self.former:
                raise ValidationError(_("The time to object is over. Please call us."))
            taken = Customer.objects.filter(email_index__in=blinds("email", self.former)).exclude(pk=self.customer_id).exists()
            if not taken:
                restored = {"email": self.former, "email_state": self.former_state}
                self.customer._change("customer.restore_email", CLAUSE, by=by, reason="objection", **restored)
            later = self.customer.email_changes.filter(pk__gt=self.pk, state__in=[self.State.ASKED, self.State.APPLIED])
            later.update(state=self.State.OBJECTED, objected_at=at, proposed=None, former=None)
            self.state, self.objected_at, self.proposed, self.former = self.State.OBJECTED, at, None, None
            self._record("object", by=by, restored=not taken)
            void(self.customer, at)
            self._suspend(by=by, at=at)

    def _suspend(self, *, by, at):
        Anomaly.note(self.customer, AnomalyKind.FRAUD_REPORT, by=by, at=at)
        if not self.customer.holds.open().exists():  # whatever the rules say: the customer asked for it
            EmailHold.place(self.customer, by=None, reason=str(AnomalyKind.FRAUD_REPORT.label))


def void(customer, at):
    """End what was opened under another address: sessions, and all links but those that only protect."""
    customer.sessions.filter(ended_at=None).update(ended_at=at)
    customer.links.filter(used_at=None).exclude(use=Link.Use.OBJECT).update(used_at=at)


def ask_verification(customer, *, by):
    """Have the customer's address prove that it is read."""
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        if not customer.email or customer.email_state == Customer.EmailState.VERIFIED:
            raise ValidationError(_("There is no address to verify."))
        notice = Notice.tell(customer, Notice.Kind.VERIFY_ADDRESS)
        audit.record("customer.ask_verification", by=by, obj=notice, subject=customer.public_id, clause="§3.1")


def bounced(customer, *, by, reason, at=None):
    """Count a mail that the present address sent back for good: at so many of them as the rule says it is a dead one (§3.1).

    So soon after a change it is a sign of something abnormal too.
    """
    at = at or timezone.now()
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        change = customer.email_changes.filter(state=EmailChange.State.APPLIED).order_by("-applied_at").first()
        if change and change.applied_at > at - OBJECTS:
            Anomaly.note(customer, AnomalyKind.BOUNCE_AFTER_CHANGE, by=by, at=at)
        dead = Anomaly.count(customer, AnomalyKind.BOUNCE, by=by, at=at, since=change and change.applied_at)
        if dead and customer.email_state not in DEAD:
            customer.set_email_state(Customer.EmailState.BOUNCING, by=by, reason=reason)


def complained(customer, *, by, reason):
    """Write down that the address's reader called mail of ours spam: nothing that rests on consent goes there any more (§3.1)."""
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        if customer.email_state not in (*DEAD, Customer.EmailState.COMPLAINED):
            customer.set_email_state(Customer.EmailState.COMPLAINED, by=by, reason=reason)


def _normal(email):
    try:
        normal = normal_email(email)
        validate_email(normal)
    except ValueError:
        raise ValidationError({"email": _("This is not valid.")}) from None
    return normal
