"""The versions of the published policy, and who took note of which. Refuses to change what was published."""

import hashlib
from functools import partial

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from consent.models.purposes import Purpose
from customers.models import Customer, Evidence
from privacy_office import celery
from privacy_office.querysets import TrackedQuerySet

ANNOUNCE = "consent.tasks.announce"


class PolicyVersionQuerySet(TrackedQuerySet):
    def published(self):
        return self.exclude(published_at=None)


class PolicyVersion(models.Model):
    """One version of the published privacy policy (§7; the privacy notice of ISO/IEC TS 27560). Immutable once published."""

    class Severity(models.TextChoices):
        MINOR = "minor", _("minor")
        MAJOR = "major", _("major")

    number = models.PositiveIntegerField(_("number"), unique=True, help_text=_("Counts up from 1."))
    severity = models.CharField(
        _("severity"),
        max_length=10,
        choices=Severity,
        default=Severity.MINOR,
        help_text=_("After a major one, consents to the purposes it changes must be renewed."),
    )
    changes = models.ManyToManyField(
        Purpose, blank=True, related_name="changed_by", verbose_name=_("changes"), help_text=_("The purposes that a major version changes.")
    )
    text_vi = models.TextField(_("text in Vietnamese"), blank=True, help_text=_("The whole policy, as it is published."))
    text_en = models.TextField(_("text in English"), blank=True, help_text=_("The whole policy, as it is published."))
    summary_vi = models.TextField(
        _("what changes, in Vietnamese"), max_length=500, blank=True, help_text=_("A few plain words: customers are told these once.")
    )
    summary_en = models.TextField(
        _("what changes, in English"), max_length=500, blank=True, help_text=_("A few plain words: customers are told these once.")
    )
    drafted_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("drafted by"),
        help_text=_("Who wrote at it last; empty: the operator, by a command."),
    )
    published_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("published by"),
        help_text=_("Who put it into effect, never one who wrote at it; empty: the operator, by a command."),
    )
    published_at = models.DateTimeField(_("published at"), null=True, editable=False, help_text=_("Since when it is in effect."))
    digest = models.CharField(
        _("digest"),
        max_length=64,
        blank=True,
        editable=False,
        help_text=_("SHA-256 of number, severity, purposes changed and texts, as published."),
    )
    history = History(m2m_fields=[changes])
    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("policy version"), _("policy versions")
        ordering = ["-number"]
        constraints = [
            models.CheckConstraint(
                name="policy_published_by_another",
                condition=Q(published_at=None) | Q(drafted_by=None) | Q(published_by=None) | ~Q(published_by=F("drafted_by")),
            ),
            models.CheckConstraint(
                name="policy_published_with_digest",
                condition=Q(published_at=None, digest="") | (Q(published_at__isnull=False) & ~Q(digest="")),
            ),
        ]

    def __str__(self):
        return f"{self.number}"

    def language(self, wanted):
        """Return the language that a reader of `wanted` is shown the text in: the other one where there is none in that."""
        return wanted if getattr(self, f"text_{wanted}") else {"vi": "en", "en": "vi"}[wanted]

    def previous(self):
        """Return the published version before this one, or None."""
        return PolicyVersion.objects.published().filter(number__lt=self.number).first()

    def text(self, language):
        """Return the text in `language`, else in the other one."""
        return (self.text_en or self.text_vi) if language == "en" else (self.text_vi or self.text_en)

    def summary(self, language):
        """Return what changes, in the reader's language, else in the other one."""
        return (self.summary_en or self.summary_vi) if language == "en" else (self.summary_vi or self.summary_en)

    def shown_digest(self, language):
        """Return the SHA-256 of the text a reader of `language` was shown, in hex."""
        return hashlib.sha256(self.text(language).encode()).hexdigest()

    def draft(self, *, by, changes=None, **values):
        """Write the draft down; ValidationError when it is published already."""
        with transaction.atomic():
            if self.pk:
                self.refresh_from_db(from_queryset=PolicyVersion.objects.select_for_update())
            if self.published_at:
                raise ValidationError(_("A published policy version is never changed: draft the next one."))
            for name, value in values.items():
                setattr(self, name, value)
            self._history_user, self._change_reason = audit.staff(by), "policy.draft"
            self.drafted_by = audit.staff(by)
            self.save()
            if changes is not None:
                self.changes.set(changes)
            audit.record("policy.draft", by=by, obj=self, clause="§7", number=self.number, fields=sorted(values))

    def publish(self, *, by):
        """Put the version into effect, for good; not by somebody who wrote at it. Without `by` it is the operator's word."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=PolicyVersion.objects.select_for_update())
            if self.published_at:
                raise ValidationError(_("This policy version is already published."))
            if by is not None and self.written_by(by):
                raise ValidationError(_("Nobody publishes what they wrote themselves: another officer reads it and does."))
            if not (self.text_vi or self.text_en):
                raise ValidationError(_("There is no text to publish."))
            if self.severity == self.Severity.MAJOR and not self.changes.exists():
                raise ValidationError(_("A major version names the purposes it changes."))
            if PolicyVersion.objects.published().filter(number__gte=self.number).exists():
                raise ValidationError(_("A version with this number or a later one is already published."))
            changed = ",".join(sorted(purpose.code for purpose in self.changes.all()))
            published = "\0".join([str(self.number), self.severity, changed, self.text_vi, self.text_en])
            self.digest = hashlib.sha256(published.encode()).hexdigest()
            self.published_at, self.published_by = timezone.now(), audit.staff(by)
            self._history_user, self._change_reason = audit.staff(by), "policy.publish"
            self.save()
            audit.record("policy.publish", by=by, obj=self, clause="§7", number=self.number, severity=self.severity, digest=self.digest)
            if self.severity == self.Severity.MAJOR and self.previous():
                Announcement.objects.create(policy_version=self, until=Customer.objects.aggregate(last=Max("pk"))["last"] or 0)
                transaction.on_commit(partial(celery.wake, ANNOUNCE))

    def written_by(self, member):
        """Return whether a member of the staff wrote at this draft, ever."""
        return self.drafted_by == member or self.history.filter(history_user=member).exists()


class Announcement(models.Model):
    """How far customers have been told of a major version: work for `consent.announcements`, which goes on where it stopped."""

    policy_version = models.OneToOneField(
        PolicyVersion, on_delete=models.PROTECT, verbose_name=_("policy version"), help_text=_("What is told of.")
    )
    after = models.BigIntegerField(_("after"), default=0, help_text=_("The customer's row up to which everybody was looked at."))
    until = models.BigIntegerField(_("until"), help_text=_("The last customer's row when it was published: later ones saw this version."))
    told = models.PositiveIntegerField(_("told"), default=0, help_text=_("How many customers were told so far."))
    done_at = models.DateTimeField(_("done at"), null=True, help_text=_("When everybody concerned was told."))

    class Meta:
        verbose_name, verbose_name_plural = _("announcement"), _("announcements")

    def __str__(self):
        return f"{self.policy_version_id}"


class Acknowledgement(models.Model):
    """That a customer took note of one exact version (§0). Append-only. It is no consent to anything: the gate never looks here."""

    class Source(models.TextChoices):
        CUSTOMER_PAGE = "customer_page", _("the customer's own page")
        SIGNUP_FORM = "signup_form", _("sign-up form")
        PHONE_CALL = "phone_call", _("phone call")
        SUPPORT_TICKET = "support_ticket", _("support ticket")
        PAPER = "paper", _("paper")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="acknowledgements", verbose_name=_("customer"), help_text=_("Who took note.")
    )
    policy_version = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        related_name="acknowledgements",
        verbose_name=_("policy version"),
        help_text=_("Of which version."),
    )
    at = models.DateTimeField(_("at"), help_text=_("When the customer took note."))
    recorded_at = models.DateTimeField(
        _("recorded at"), db_default=Now(), editable=False, help_text=_("Set by the database when it was written down.")
    )
    source = models.CharField(_("source"), max_length=20, choices=Source, help_text=_("How it reached us."))
    shown_digest = models.CharField(_("digest of the text shown"), max_length=64, help_text=_("SHA-256 of the text that was shown."))
    evidence = models.ForeignKey(
        Evidence,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("evidence"),
        help_text=_("What shows that the customer took note."),
    )
    by = models.CharField(_("by"), max_length=60, help_text=_("Who wrote it down: see the audit's actor."))
    kept_whole = True  # its entry vouches for the row itself

    class Meta:
        verbose_name, verbose_name_plural = _("acknowledgement"), _("acknowledgements")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["customer", "policy_version"], name="acknowledged_once")]

    def __str__(self):
        return f"{self.pk}"

    @classmethod
    def record(cls, customer, policy, *, by, source, evidence="", language=None, at=None):
        """Write down that the customer took note of a published version; return the row that stands already where there is one."""
        with transaction.atomic():
            Customer.objects.select_for_update().only("pk").get(pk=customer.pk)  # two at once would both find nothing
            if there := cls.objects.filter(customer=customer, policy_version=policy).first():
                return there
            at = at or timezone.now()
            if policy.published_at is None or at < policy.published_at.replace(second=0, microsecond=0):  # people tell minutes
                raise ValidationError(_("At that time this version was not published."))
            row = cls.objects.create(
                customer=customer, policy_version=policy, at=at, source=source, by=audit.actor(by),
                shown_digest=policy.shown_digest(language or customer.locale),
                evidence=Evidence.objects.create(customer=customer, text=evidence) if evidence else None,
            )  # fmt: skip
            row.refresh_from_db()  # the entry vouches for what the database set too
            audit.record("policy.acknowledge", by=by, obj=row, subject=customer.public_id, clause="§0", number=policy.number, source=source)
        return row
