"""Questions to a customer that a request of theirs needs answered (§1.3). Refuses to name a person, and two answers by one link."""

import re
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from audit import models as audit
from audit.history import History
from customers.models.customer import Customer
from customers.models.links import Link
from customers.models.notices import Notice, name_of
from privacy_office.fields import EncryptedTextField
from privacy_office.querysets import TrackedQuerySet

LASTS = timedelta(days=14)
TICKET = r"^[A-Za-z0-9-]*[0-9][A-Za-z0-9-]*\Z"
MOST = 1000  # characters of one answer
PERSONAL = re.compile(r"@|\d{4}")  # an address, a number: what a label has no use for


class InformationRequestQuerySet(TrackedQuerySet):
    def open(self, at=None):
        return self.filter(answered_at=None, withdrawn_at=None, expires_at__gt=at or timezone.now())


class InformationRequest(models.Model):
    """What staff need to know from one customer for one ticket, and the answer, which stays confidential."""

    class Wanted(models.TextChoices):
        ORDER = "order", _("number of the order or the contract")
        PAYMENT = "payment", _("day and amount of the payment")
        DOMAIN = "domain", _("name of the domain or the server")
        ERROR = "error", _("what happened, and when")
        INVOICE = "invoice", _("details for the invoice")
        IDENTITY = "identity", _("what proves that you are the holder")
        REACH = "reach", _("when and how you can be reached")

    class State(models.TextChoices):
        ASKED = "asked", _("waits for the customer's answer")
        WAITING = "waiting", _("waits until the address is released")
        ANSWERED = "answered", _("answered")
        WITHDRAWN = "withdrawn", _("withdrawn")
        EXPIRED = "expired", pgettext_lazy("information request", "expired")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="information_requests", verbose_name=_("customer"), help_text=_("Who is asked.")
    )
    wanted = ArrayField(
        models.CharField(max_length=10, choices=Wanted),
        default=list,
        blank=True,
        verbose_name=_("what is needed"),
        help_text=_("From the list."),
    )
    other = models.CharField(
        _("something else"), max_length=60, blank=True, help_text=_("A short label of what is needed; no personal data.")
    )
    ticket = models.CharField(
        _("ticket"),
        max_length=30,
        validators=[RegexValidator(TICKET, _("A number of a case has letters, digits and hyphens, and at least one digit."))],
        help_text=_("The request of the customer that it is needed for."),
    )
    asked_by = models.ForeignKey(
        "privacy_office.Staff", on_delete=models.PROTECT, related_name="+", verbose_name=_("asked by"), help_text=_("Who asks.")
    )
    asked_at = models.DateTimeField(_("asked at"), help_text=_("When it was asked."))
    expires_at = models.DateTimeField(_("expires at"), help_text=_("Until when it can be answered."))
    answer = EncryptedTextField(
        _("answer"), null=True, blank=True, help_text=_("What the customer wrote. Personal: encrypted, shown masked.")
    )
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True, help_text=_("When the customer answered."))
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True, help_text=_("When it was no longer needed."))
    history = History(personal=True)
    objects = InformationRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("request for information"), _("requests for information")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(wanted=[], other=""), name="information_request_asks_something"),
            models.CheckConstraint(condition=Q(answered_at=None) | Q(withdrawn_at=None), name="information_request_ends_once"),
        ]

    def __str__(self):
        return _("request for information %s") % self.pk

    @property
    def state(self):
        return self.state_at(timezone.now())

    def state_at(self, at):
        if self.answered_at or self.withdrawn_at:
            return self.State.ANSWERED if self.answered_at else self.State.WITHDRAWN
        if at >= self.expires_at:
            return self.State.EXPIRED
        return self.State.WAITING if self.customer.holds.open().exists() else self.State.ASKED

    @property
    def questions(self):
        """Return {name: label} of what is asked, in the order of the list."""
        asked = {name: label for name, label in self.Wanted.choices if name in self.wanted}
        return asked | ({"other": self.other} if self.other else {})

    def clean(self):
        """Refuse a label that looks like somebody's data."""
        if not (self.wanted or self.other):
            raise ValidationError(_("What do you need to know?"))
        if PERSONAL.search(self.other):
            raise ValidationError({"other": _("Name what is needed, not whose: no address and no long number.")})

    def _lock(self):
        """See the row as it is now and let nobody else change it until the transaction ends."""
        self.refresh_from_db(from_queryset=InformationRequest.objects.select_for_update())

    def _change(self, action, *, by, **changes):
        """Save with history and leave the entry: what every verb below does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(
            action, by=by, obj=self, subject=self.customer.public_id, clause="§1.3", fields=sorted(self.questions), ticket=self.ticket
        )

    @classmethod
    def ask(cls, customer, *, by, ticket, wanted=(), other="", at=None):
        """Ask a customer for what a ticket needs; the link that answers goes by mail, once no hold is in its way."""
        at = at or timezone.now()
        row = cls(customer=customer, wanted=list(wanted), other=other, ticket=ticket, asked_by=by, asked_at=at, expires_at=at + LASTS)
        row.clean_fields()
        row.clean()
        with transaction.atomic():
            if Customer.objects.select_for_update().get(pk=customer.pk).erased_at:
                raise ValidationError(_("This customer is erased already."))
            row._change("information.ask", by=by)
            if not customer.holds.open().exists():
                row.send()
        return row

    def send(self):
        """Have the customer get a link, in the transaction of what makes it due: the question, or the release of the address."""
        until = timezone.localdate(self.expires_at).isoformat()
        Notice.tell(self.customer, Notice.Kind.INFORMATION, about=self, ticket=self.ticket, until=until)

    def remind(self, *, by):
        """Send the customer one more link."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED)
            self._change("information.remind", by=by)
            self.send()

    def withdraw(self, *, by):
        """Say that it is not needed any more: its links open nothing."""
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED, self.State.WAITING)
            self._change("information.withdraw", by=by, withdrawn_at=timezone.now())
            self._close_links()

    def give(self, answers, *, by, at=None):
        """Keep the customer's answers, encrypted: a line for each question, in the language in which it was answered; once."""
        at = at or timezone.now()
        given = [f"{capfirst(label)}: {said[:MOST]}" for name, label in self.questions.items() if (said := answers.get(name, "").strip())]
        if not given:
            raise ValidationError(_("Please answer at least one question."))
        with transaction.atomic():
            self._lock()
            self._require(self.State.ASKED, at=at)
            self._change("information.answer", by=by, answer="\n".join(given), answered_at=at)
            self._close_links(at)

    def _require(self, *states, at=None):
        if (state := self.state_at(at or timezone.now())) not in states:
            raise ValidationError(_("This cannot be done to a request that is: %(state)s."), params={"state": state.label})

    def _close_links(self, at=None):
        Link.objects.filter(about=name_of(self), used_at=None).update(used_at=at or timezone.now())
