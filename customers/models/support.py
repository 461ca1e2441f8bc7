"""What customers write by mail (§3.2). Refuses to change any data by itself: who wrote a mail is known by its address alone."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models.customer import Customer
from customers.models.notices import Notice
from privacy_office.fields import EncryptedTextField
from privacy_office.querysets import TrackedQuerySet

CLAUSE = "§3.2"
CONFIRMED_ONCE_IN = timedelta(days=1)  # however many mails come: whoever writes in a customer's name floods nobody through us


class SupportRequestQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(closed_at=None)

    def resume(self, customer, *, by):
        """Open what waited for the end of a hold, in the transaction of its release."""
        for request in self.filter(customer=customer, state=SupportRequest.State.WAITING).order_by("pk"):
            request.resume(by=by)


class SupportRequest(models.Model):
    """One mail from a customer's address that a person has to read; it waits while the address is on hold (§3.3)."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the end of a hold")
        RECEIVED = "received", _("received")
        TAKEN = "taken", _("taken")
        ANSWERED = "answered", _("answered")
        CLOSED = "closed", _("closed without an answer")

    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        related_name="support_requests",
        verbose_name=_("customer"),
        help_text=_("Whose address it came from, which can be faked."),
    )
    state = models.CharField(_("state"), max_length=10, choices=State, help_text=_("How far it is."))
    received_at = models.DateTimeField(_("received at"), help_text=_("When the office read it."))
    mail = EncryptedTextField(_("mail"), null=True, blank=True, help_text=_("Subject and text. Personal: encrypted, shown masked."))
    about = models.CharField(_("about"), max_length=80, blank=True, help_text=_("The message that it answers, where one is known."))
    taken_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("taken by"),
        help_text=_("Who deals with it."),
    )
    closed_at = models.DateTimeField(_("closed at"), null=True, help_text=_("When it was answered or closed."))
    answer = models.CharField(
        _("answer"), max_length=1000, blank=True, help_text=_("What the customer is told by mail. No personal data, nothing confidential.")
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True, help_text=_("Why no answer is owed by mail. No personal data."))
    history = History(personal=True)
    objects = SupportRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("support request"), _("support requests")
        ordering = ["-id"]
        indexes = [models.Index(fields=["received_at", "id"], condition=Q(closed_at=None), name="supportrequest_open")]
        constraints = [
            models.CheckConstraint(
                condition=(Q(state="answered", closed_at__isnull=False, reason="") & ~Q(answer=""))
                | (Q(state="closed", closed_at__isnull=False, answer="") & ~Q(reason=""))
                | Q(state__in=["waiting", "received", "taken"], closed_at=None, answer="", reason=""),
                name="supportrequest_closed_with_an_answer_or_a_reason",
            ),
            models.CheckConstraint(condition=~Q(state="taken") | Q(taken_by__isnull=False), name="supportrequest_taken_by_somebody"),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def is_open(self):
        return self.closed_at is None

    def _change(self, action, *, by, **changes):
        """Save with history and leave the entry: what every verb below does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause=CLAUSE, number=self.pk, state=self.state)

    def _lock(self, *expected):
        """See the row as it is now and let nobody else change it; ValidationError where it is in another state."""
        self.refresh_from_db(from_queryset=SupportRequest.objects.select_for_update(of=["self"]).select_related("customer"))
        if self.state not in expected:
            state = self.get_state_display()
            raise ValidationError(_("This cannot be done to a request that is: %(state)s."), params={"state": state})

    @classmethod
    def receive(cls, customer, mail, *, about="", at=None):
        """Keep a mail, and say once a day that mail came, as whoever wrote it may not be the customer; what is on hold waits."""
        at = at or timezone.now()
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)
            if customer.erased_at:
                raise ValidationError(_("This customer is erased already."))
            held = customer.holds.open().exists()
            request = cls(customer=customer, received_at=at, mail=mail, about=about)
            request._change("support.receive", by=None, state=cls.State.WAITING if held else cls.State.RECEIVED)
            request._confirm(at)
        return request

    def _confirm(self, at):
        kind = Notice.Kind.SUPPORT_WAITING if self.state == self.State.WAITING else Notice.Kind.SUPPORT_RECEIVED
        if not Notice.objects.filter(customer=self.customer, kind=kind, at__gt=at - CONFIRMED_ONCE_IN).exists():
            self._tell(kind)

    def _tell(self, kind, **values):
        received = timezone.localdate(self.received_at).isoformat()
        Notice.tell(self.customer, kind, about=self, number=str(self.pk), received_on=received, **values)

    def resume(self, *, by):
        """Go on with what waited for the end of a hold."""
        with transaction.atomic():
            self._lock(self.State.WAITING)
            self._change("support.resume", by=by, state=self.State.RECEIVED)

    def take(self, *, by):
        """Deal with it from now on, in a colleague's stead too."""
        with transaction.atomic():
            self._lock(self.State.RECEIVED, self.State.TAKEN)
            self._change("support.take", by=by, state=self.State.TAKEN, taken_by=by)

    def reply(self, *, by, answer, at=None):
        """Answer by mail, to the address on file and never to one that a mail names."""
        answer = answer.strip()
        if not answer:
            raise ValidationError(_("What is the answer?"))
        with transaction.atomic():
            self._lock(self.State.TAKEN)
            self._change("support.reply", by=by, state=self.State.ANSWERED, closed_at=at or timezone.now(), answer=answer)
            self._tell(Notice.Kind.SUPPORT_ANSWERED, answer=answer)

    def close(self, *, by, reason, at=None):
        """End it without a mail: it was answered otherwise, or asks for nothing."""
        reason = reason.strip()
        if not reason:
            raise ValidationError(_("Why is no answer owed?"))
        with transaction.atomic():
            self._lock(self.State.WAITING, self.State.RECEIVED, self.State.TAKEN)
            self._change("support.close", by=by, state=self.State.CLOSED, closed_at=at or timezone.now(), reason=reason)
