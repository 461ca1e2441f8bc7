"""How authorised staff see one masked value of one customer (§6.2). Refuses without a reason, a live case and an entry that comes first."""

import functools
import operator
from datetime import timedelta
from typing import NamedTuple

from django.contrib.auth.models import Permission
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from audit import models as audit
from audit.history import History
from customers.models.attachments import Attachment
from customers.models.corrections import Correction
from customers.models.customer import Customer
from customers.models.holds import Contact, EmailHold, Evidence
from customers.models.information import InformationRequest
from customers.models.requests import RightsRequest
from customers.models.service import Service
from customers.models.support import SupportRequest
from privacy_office.fields import blinds
from privacy_office.models import Staff, StaffNotice
from privacy_office.querysets import TrackedQuerySet

# The policy names no numbers (§6.2: "authorised staff"); these are the office's own, from its design, section 9 (Staff).
REVEAL_LASTS = timedelta(minutes=10)
ASKED_LASTS = timedelta(hours=1)  # a request for a credential that nobody approved, or that was not opened
ALARM_ABOVE, ALARM_WITHIN = 20, timedelta(minutes=5)

# What may be revealed, by the model that holds it.
FIELDS = {
    Customer: Customer.PERSONAL,
    Service: ("access_username", "access_secret"),
    Contact: ("note",),
    Evidence: ("text",),
    Attachment: ("content",),
    RightsRequest: ("words",),
    Correction: ("proposed", "against"),
    InformationRequest: ("answer",),
    SupportRequest: ("mail",),
}
CREDENTIALS = FIELDS[Service]
CASE = r"^[A-Za-z0-9-]*[0-9][A-Za-z0-9-]*\Z"


def entitled(by, codename):
    """Return the roles that give `by` a right; PermissionDenied when no role does, even to a superuser."""
    held = Permission.objects.filter(content_type__app_label="customers", codename=codename)
    roles = by.groups.filter(permissions__in=held).distinct() if by.is_active else []
    if not roles:
        raise PermissionDenied
    return sorted(role.name for role in roles)


def held_by(model):
    """Return the condition that a reveal of one of the model's fields names a row of it, and of no other but the customer."""
    others = {f"{other._meta.model_name}__isnull": other is not model for other in FIELDS if other is not Customer}
    return Q(field__in=FIELDS[model], **others)


def owner(row):
    """Return the customer whose data a row of one of these models is."""
    return row if isinstance(row, Customer) else row.customer


class Told(NamedTuple):
    """What a customer may know of a reveal: never by whom, but as what."""

    roles: list
    field: str
    reason: str
    at: object


class RevealQuerySet(TrackedQuerySet):
    def of(self, row):
        """Return those of the fields that a row itself holds."""
        return self.filter(**{row._meta.model_name: row}, field__in=FIELDS[type(row)])

    def live(self, at=None):
        """Return those whose value may be seen."""
        return self.filter(expires_at__gt=at or timezone.now())

    def waiting(self, at=None):
        """Return requests that are neither opened nor lapsed."""
        return self.filter(opened_at=None, asked_at__gt=(at or timezone.now()) - ASKED_LASTS)

    def concerning(self, by):
        """Return what a member of the staff asked for, and what waits for a second person, who may be they."""
        return self.filter(by=by) | self.waiting()

    def told(self, customer):
        """Return a Told for each time a value of the customer was opened, newest first.

        Not for an authority's question: whether the customer may know of it is for the register of disclosures, which keeps the seals.
        """
        opened = self.filter(customer=customer, opened_at__isnull=False).exclude(reason=Reveal.Reason.AUTHORITY)
        return [Told(row.roles, row.get_field_display(), row.get_reason_display(), row.opened_at) for row in opened.order_by("-opened_at")]


class Reveal(models.Model):
    """One value of one customer, shown to one member of the staff for a reason and a case, and not for long (§6.2)."""

    class Field(models.TextChoices):
        FULL_NAME = "full_name", _("full name")
        EMAIL = "email", _("e-mail")
        PHONE = "phone", _("phone")
        ADDRESS = "address", _("address")
        ACCESS_USERNAME = "access_username", _("access username")
        ACCESS_SECRET = "access_secret", _("access secret")
        NOTE = "note", _("note")
        TEXT = "text", _("evidence")
        CONTENT = "content", _("file")
        WORDS = "words", _("in the customer's words")
        PROPOSED = "proposed", _("proposed value")
        AGAINST = "against", _("value then")
        ANSWER = "answer", _("answer")
        MAIL = "mail", _("mail")

    class Reason(models.TextChoices):
        CALLER = "caller", _("to recognise a caller")
        REACH = "reach", _("to reach the customer")
        CORRECTION = "correction", _("to check a correction")
        REQUEST = "request", _("to fulfil a request of right")
        SUPPORT = "support", _("to answer the customer")
        AUTHORITY = "authority", _("to answer an authority")
        ABUSE = "abuse", _("to investigate abuse")

    class Case(models.TextChoices):
        TICKET = "ticket", _("ticket")
        HOLD = "hold", _("e-mail hold")
        REQUEST = "request", _("request")
        CORRECTION = "correction", _("correction")
        QUESTION = "question", _("request for information")
        SUPPORT = "support", _("support request")

    class State(models.TextChoices):
        ASKED = "asked", _("waits for a second person")
        APPROVED = "approved", _("approved, not opened yet")
        OPEN = "open", pgettext_lazy("reveal", "open")
        EXPIRED = "expired", _("expired")
        LAPSED = "lapsed", _("lapsed")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="reveals", verbose_name=_("customer"), help_text=_("Whose data it is.")
    )
    service = models.ForeignKey(
        Service,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("service"),
        help_text=_("Whose access data it is; empty for all else."),
    )
    contact = models.ForeignKey(
        Contact,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("contact"),
        help_text=_("The conversation whose note it is; empty for all else."),
    )
    evidence = models.ForeignKey(
        Evidence,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("evidence"),
        help_text=_("The evidence whose text it is; empty for all else."),
    )
    attachment = models.ForeignKey(
        Attachment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reveals",
        verbose_name=_("attachment"),
        help_text=_("The file that it is; empty for all else."),
    )
    rightsrequest = models.ForeignKey(
        RightsRequest,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("request"),
        help_text=_("The request whose words they are; empty for all else."),
    )
    correction = models.ForeignKey(
        Correction,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reveals",
        verbose_name=_("correction"),
        help_text=_("The correction whose value it is; empty for all else."),
    )
    informationrequest = models.ForeignKey(
        InformationRequest,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reveals",
        verbose_name=_("request for information"),
        help_text=_("The question whose answer it is; empty for all else."),
    )
    supportrequest = models.ForeignKey(
        SupportRequest,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reveals",
        verbose_name=_("support request"),
        help_text=_("The support request whose mail it is; empty for all else."),
    )
    field = models.CharField(_("field"), max_length=20, choices=Field, help_text=_("Which value is shown. Never the value itself."))
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, help_text=_("What it has to be seen for."))
    case_kind = models.CharField(_("kind of case"), max_length=10, choices=Case, help_text=_("What is being worked on."))
    case_reference = models.CharField(
        _("number of the case"),
        max_length=30,
        validators=[RegexValidator(CASE, _("A number of a case has letters, digits and hyphens, and at least one digit."))],
        help_text=_("The number of the ticket or of the hold; no personal data."),
    )
    by = models.ForeignKey(
        "privacy_office.Staff", on_delete=models.PROTECT, related_name="+", verbose_name=_("asked by"), help_text=_("Who sees the value.")
    )
    roles = ArrayField(
        models.CharField(max_length=150), verbose_name=_("roles"), help_text=_("By which roles they may, as it was when they asked.")
    )
    asked_at = models.DateTimeField(_("asked at"), help_text=_("When it was asked for."))
    approved_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
        help_text=_("Who else said yes: access data needs a second person."),
    )
    opened_at = models.DateTimeField(_("opened at"), null=True, blank=True, help_text=_("Since when the value can be seen."))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True, help_text=_("Until when the value can be seen."))
    alarmed = models.BooleanField(
        _("alarm"), default=False, help_text=_("Whether the officers were told, as so many were opened by one person within minutes.")
    )
    history = History()
    objects = RevealQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("reveal"), _("reveals")
        ordering = ["-id"]
        permissions = [("approve_reveal", "Can approve that a colleague sees access data")]
        indexes = [models.Index(fields=["by", "opened_at"])]
        constraints = [
            models.CheckConstraint(
                condition=functools.reduce(operator.or_, map(held_by, FIELDS)),
                name="reveal_of_the_row_that_has_the_field",
            ),
            models.CheckConstraint(condition=Q(case_reference__regex=CASE), name="reveal_for_a_case_with_a_number"),
            models.CheckConstraint(condition=Q(approved_by=None) | ~Q(approved_by=F("by")), name="reveal_approved_by_another_person"),
            models.CheckConstraint(
                condition=~Q(field__in=CREDENTIALS) | Q(opened_at=None) | Q(approved_by__isnull=False),
                name="reveal_of_a_credential_opened_only_when_approved",
            ),
            models.CheckConstraint(
                condition=Q(opened_at=None, expires_at=None)
                | Q(opened_at__isnull=False, expires_at__isnull=False, expires_at__gt=F("opened_at")),
                name="reveal_opened_expires",
            ),
        ]

    def __str__(self):
        return f"{self.get_field_display()} {self.pk}"

    @property
    def home(self):
        """The model that has the field."""
        return next(model for model, names in FIELDS.items() if self.field in names)

    @property
    def row_id(self):
        return getattr(self, f"{self.home._meta.model_name}_id")

    @property
    def case(self):
        return f"{self.get_case_kind_display()} {self.case_reference}"

    @property
    def lapses_at(self):
        """When the request ends if it is not opened."""
        return self.asked_at + ASKED_LASTS

    @property
    def state(self):
        return self.state_at(timezone.now())

    def state_at(self, at):
        if self.opened_at:
            return self.State.OPEN if at < self.expires_at else self.State.EXPIRED
        if at >= self.lapses_at:
            return self.State.LAPSED
        return self.State.APPROVED if self.approved_by_id else self.State.ASKED

    @staticmethod
    def fields_of(row):
        """Return which fields of a row hold something, without decrypting them."""
        sealed = type(row).objects.filter(pk=row.pk).values(*FIELDS[type(row)]).get()
        return [name for name, value in sealed.items() if value is not None]

    def clean(self):
        """Refuse a case that is none, or that names a person."""
        if self.case_kind == self.Case.REQUEST:
            self._require_case(RightsRequest.objects.open(), _("This customer has no such request, or it is settled."))
        if self.case_kind == self.Case.HOLD:
            self._require_case(EmailHold.objects.open(), _("This customer has no such hold, or it is released."))
        if self.case_kind == self.Case.CORRECTION:
            self._require_case(Correction.objects.undecided(), _("This customer has no such correction, or it is decided."))
        if self.case_kind == self.Case.QUESTION:
            self._require_case(InformationRequest.objects.all(), _("This customer was not asked that."))
        if self.case_kind == self.Case.SUPPORT:
            self._require_case(SupportRequest.objects.all(), _("This customer has no such request."))
        row = self.correction or (self.attachment and self.attachment.corrections.undecided().first())
        if row and row.state in Correction.UNDECIDED and (self.case_kind, self.case_reference) != (self.Case.CORRECTION, str(row.pk)):
            raise ValidationError(_("It belongs to a correction that is not decided: that is the case."))
        if self.informationrequest_id and (self.case_kind, self.case_reference) != (self.Case.QUESTION, str(self.informationrequest_id)):
            raise ValidationError(_("It is the answer to a request for information: that is the case."))
        if self.supportrequest_id and (self.case_kind, self.case_reference) != (self.Case.SUPPORT, str(self.supportrequest_id)):
            raise ValidationError(_("It is the mail of a support request: that is the case."))
        try:
            known_as = blinds("phone", self.case_reference)
        except ValueError:
            return  # no telephone number at all
        if Customer.objects.filter(phone_index__in=known_as).exists():
            raise ValidationError(_("This is the phone of a customer: name the ticket."))

    def _require_case(self, cases, refusal):
        if self.case_reference not in map(str, cases.filter(customer=self.customer).values_list("pk", flat=True)):
            raise ValidationError(refusal)

    def _lock(self):
        """See the row as it is now and let nobody else change it until the transaction ends."""
        self.refresh_from_db(from_queryset=Reveal.objects.select_for_update())

    def _record(self, action, *, by, **detail):
        told = {"field": self.field, "reason": self.reason, "case_kind": self.case_kind, "case_reference": self.case_reference}
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause="§6.2", **told, **detail)

    def _change(self, action, *, by, **changes):
        """Save with history and leave the entry: what every verb below does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = by, action
        self.save()
        self._record(action, by=by)

    def _require(self, expected, at):
        if (state := self.state_at(at)) != expected:
            raise ValidationError(_("This cannot be done to a reveal that is: %(state)s."), params={"state": state.label})

    @classmethod
    def ask(cls, row, field, *, by, reason, case_kind, case_reference, at=None):
        """Ask for one value of a row: what is personal opens at once, a credential when a second person has said yes."""
        at, roles = at or timezone.now(), entitled(by, "reveal_customer")
        case = {"reason": reason, "case_kind": case_kind, "case_reference": case_reference}
        homes = {"customer": owner(row), row._meta.model_name: row}
        reveal = cls(**homes, field=field, by=by, roles=roles, asked_at=at, **case)
        reveal.clean_fields()
        reveal.clean()
        with transaction.atomic():
            if field not in cls.fields_of(row):
                raise ValidationError(_("There is nothing to show: this field is empty."))
            reveal._change("reveal.ask", by=by)
            if field not in CREDENTIALS:
                reveal._open(at)
        return reveal

    def approve(self, *, by, at=None):
        """Say that a colleague may see a credential; never oneself."""
        entitled(by, "approve_reveal")
        with transaction.atomic():
            self._lock()
            if by == self.by:
                raise ValidationError(_("A reveal is approved by another person than the one who asked."))
            self._require(self.State.ASKED, at or timezone.now())
            self._change("reveal.approve", by=by, approved_by=by)

    def open(self, *, by, at=None):
        """Begin the time in which an approved credential can be seen, by the one who asked for it."""
        entitled(by, "reveal_customer")
        at = at or timezone.now()
        with transaction.atomic():
            self._lock()
            if by != self.by:
                raise PermissionDenied
            self._require(self.State.APPROVED, at)
            self.clean()  # the hold may be released by now
            self._open(at)

    def _open(self, at):
        Staff.objects.select_for_update(no_key=True).get(pk=self.by_id)  # two at the same time would each miss the other in the count
        recent = Reveal.objects.filter(by=self.by, opened_at__gt=at - ALARM_WITHIN)
        opened = recent.count() + 1
        alarmed = opened > ALARM_ABOVE and not recent.filter(alarmed=True).exists()
        self._change("reveal.open", by=self.by, opened_at=at, expires_at=at + REVEAL_LASTS, alarmed=alarmed)
        if alarmed:
            within = int(ALARM_WITHIN.total_seconds())
            audit.record("reveal.alarm", by=self.by, obj=self, clause="§6.2", opened=opened, within_seconds=within)
            StaffNotice.objects.tell(Staff.objects.in_role("officer"), StaffNotice.Kind.REVEAL_RATE)

    def require_live(self, *, by, at=None):
        """Refuse as `view` does whoever may not see the value now; what it guards is not opened by it."""
        entitled(by, "reveal_customer")
        if by != self.by:
            raise PermissionDenied
        self._require(self.State.OPEN, at or timezone.now())

    def view(self, *, by, at=None):
        """Return the value, decrypted after the entry that it was looked at is committed; RuntimeError inside a transaction.

        PermissionDenied to all but who asked, and to them too once they lost the right; ValidationError when it is not open any more.
        """
        with transaction.atomic(durable=True):
            self._lock()
            self.require_live(by=by, at=at)
            self._record("reveal.view", by=by)
        return getattr(self.home.objects.only(self.field).get(pk=self.row_id), self.field)
