"""Who may be given something, on what commitment, and within what time. Refuses a key that nobody else has checked."""

import functools
from datetime import timedelta

import pyrage
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from disclosures.models.documents import Document
from privacy_office.models import Staff, StaffNotice
from privacy_office.querysets import TrackedQuerySet

person = functools.partial(models.ForeignKey, Staff, on_delete=models.PROTECT, related_name="+", null=True, editable=False)


class Ground(models.TextChoices):
    """What alone may move data out of the house (§1.4, §6.3a, §6.3b). A sale is none."""

    LEGAL_OBLIGATION = "legal_obligation", _("legal obligation")
    PAYMENT_SERVICE = "payment_service", _("payment service")
    CUSTOMER_PERMISSION = "customer_permission", _("the customer's permission")


class Field(models.TextChoices):
    """The kinds of data that can be handed over. Access data is none of them."""

    REF = "ref", _("customer number")
    FULL_NAME = "full_name", _("full name")
    EMAIL = "email", _("e-mail")
    PHONE = "phone", _("phone")
    ADDRESS = "address", _("address")
    ASSOCIATION = "association", _("association")
    SERVICES = "services", _("services in the period")
    MESSAGES = "messages", _("when mails were sent in the period")


class TermRuleQuerySet(TrackedQuerySet):
    def term(self, code):
        """Return how long the rule of that code gives, as a timedelta."""
        return timedelta(hours=self.get(code=code).hours)


class TermRule(models.Model):
    """How long something may take or lasts, and which text says so. Rows, not code."""

    class Code(models.TextChoices):
        AUTHORITY = "authority", _("answer to an authority")
        AUTHORITY_URGENT = "authority_urgent", _("answer to an urgent request of an authority")
        APPROVAL = "approval", _("an approval lasts")
        PACKAGE = "package", _("a package can be fetched")
        BREACH = "breach", _("report of a breach to the ministry")
        TELL_CORRECTION = "tell_correction", _("recipients are told of a correction")
        TELL_ERASURE = "tell_erasure", _("recipients are told of an erasure")
        COMMITMENT = "commitment", _("reminder before a commitment ends")

    code = models.CharField(_("code"), max_length=20, choices=Code, unique=True, help_text=_("What it is the time for."))
    hours = models.PositiveIntegerField(_("hours"), help_text=_("How long, in hours of the clock: nights and holidays count."))
    source = models.CharField(_("source"), max_length=100, help_text=_("The text of law that says so, or the office's own rule."))
    history = History()
    objects = TermRuleQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("term"), _("terms")
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=Q(hours__gt=0), name="term_is_some_time")]

    def __str__(self):
        return self.code


class ThirdParty(models.Model):
    """Somebody outside the house who may be given something (dpv:ThirdParty)."""

    class Kind(models.TextChoices):
        AUTHORITY = "authority", _("authority")
        PAYMENT_PROCESSOR = "payment_processor", _("payment processor")
        OTHER = "other", _("other third party")

    name = models.CharField(_("name"), max_length=150, unique=True, help_text=_("Of the organisation, never of a person."))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, help_text=_("Which grounds it can have depends on it."))
    contact = models.TextField(
        _("contact"),
        max_length=500,
        help_text=_("Its published address, telephone and e-mail, had from another source than its own request. No person."),
    )
    age_key = models.CharField(
        _("public key"),
        max_length=100,
        blank=True,
        help_text=_("Of the age format, begins with age1. Packages are encrypted to it, so nobody else can read them."),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Whether anything may still be handed over to it."))
    key_set_by = person(verbose_name=_("key entered by"), help_text=_("Who entered the public key."))
    key_checked_by = person(
        verbose_name=_("key checked by"), help_text=_("Who read it back to the third party through its published contact: another person.")
    )
    key_checked_at = models.DateTimeField(_("key checked at"), null=True, editable=False, help_text=_("When it was read back."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("third party"), _("third parties")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(key_checked_by=None) | (~Q(key_checked_by=F("key_set_by")) & ~Q(age_key="")),
                name="key_checked_by_another_person",
            )
        ]

    def __str__(self):
        return self.name

    def clean(self):
        if self.age_key:
            try:
                pyrage.x25519.Recipient.from_str(self.age_key)
            except pyrage.RecipientError:
                raise ValidationError({"age_key": _("This is no public key of the age format.")}) from None

    def keep(self, *, by):
        """Write it down, new or changed; a new key has to be checked by another person before anything is encrypted to it."""
        self.full_clean()
        with transaction.atomic():
            before = ThirdParty.objects.select_for_update().filter(pk=self.pk).first()
            if self.age_key != (before.age_key if before else ""):
                self.key_set_by, self.key_checked_by, self.key_checked_at = audit.staff(by), None, None
            self._change("thirdparty.change" if before else "thirdparty.add", by=by)

    def check_key(self, *, by, at=None):
        """Say that the key is the third party's own, as read back over its published contact; never by who entered it."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=ThirdParty.objects.select_for_update())
            if not self.age_key:
                raise ValidationError(_("There is no key to check."))
            if by is None or by == self.key_set_by:
                raise ValidationError(_("A key is checked by another person than the one who entered it."))
            self.key_checked_by, self.key_checked_at = by, at or timezone.now()
            self._change("thirdparty.check_key", by=by)

    def _change(self, action, *, by):
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, clause="§1.4", kind=self.kind, active=self.active)


class CommitmentQuerySet(TrackedQuerySet):
    def in_force(self, day):
        return self.filter(valid_from__lte=day, valid_until__gte=day, ended_at=None)

    def to_remind(self, day):
        """Return those that end within the time that the rule gives, and of which nobody was reminded."""
        soon = day + TermRule.objects.term(TermRule.Code.COMMITMENT)
        return self.in_force(day).filter(valid_until__lte=soon, reminded_at=None)

    def remind(self, *, at=None):
        """Tell the officers of those that end soon, once each; return how many there were."""
        at = at or timezone.now()
        with transaction.atomic():
            ending = list(self.to_remind(timezone.localdate(at)).select_for_update())
            for commitment in ending:
                commitment._change("commitment.remind", by=None, reminded_at=at)
            if ending:
                StaffNotice.objects.tell(Staff.objects.in_role("officer"), StaffNotice.Kind.COMMITMENT_ENDS)
        return len(ending)


class Commitment(models.Model):
    """A third party's signed promise of confidentiality (§6.3b). What has ended allows nothing from that moment on."""

    third_party = models.ForeignKey(
        ThirdParty, on_delete=models.PROTECT, related_name="commitments", verbose_name=_("third party"), help_text=_("Who is bound by it.")
    )
    document = models.ForeignKey(
        Document,
        on_delete=models.PROTECT,
        related_name="+",
        editable=False,
        verbose_name=_("document"),
        help_text=_("The signed document, encrypted."),
    )
    valid_from = models.DateField(_("valid from"), help_text=_("The first day on which it holds."))
    valid_until = models.DateField(_("valid until"), help_text=_("The last day on which it holds."))
    reminded_at = models.DateTimeField(
        _("reminded at"), null=True, editable=False, help_text=_("When the officers were told that it ends soon.")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, editable=False, help_text=_("When it was ended before its time."))
    history = History()
    objects = CommitmentQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("commitment"), _("commitments")
        ordering = ["-valid_until"]
        constraints = [models.CheckConstraint(condition=Q(valid_until__gte=F("valid_from")), name="commitment_ends_after_it_begins")]

    def __str__(self):
        return f"{self.pk}"

    def _change(self, action, *, by, **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, clause="§6.3b", third_party=self.third_party_id, until=self.valid_until.isoformat())

    def sign(self, data, *, by):
        """Write it down with the bytes of its signed document."""
        if self.valid_until < self.valid_from:
            raise ValidationError(_("It ends before it begins."))
        with transaction.atomic():
            self._change("commitment.sign", by=by, document=Document.keep(data, by=by))

    def end(self, *, by, at=None):
        """End it now: from here on nothing rests on it."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=Commitment.objects.select_for_update())
            if self.ended_at:
                raise ValidationError(_("This commitment has ended already."))
            self._change("commitment.end", by=by, ended_at=at or timezone.now())
