"""The versions of the published policy. Refuses to change what was published."""

import hashlib

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from audit import models as audit
from consent.models.purposes import Purpose
from privacy_office.querysets import TrackedQuerySet


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
    published_at = models.DateTimeField(_("published at"), null=True, editable=False, help_text=_("Since when it is in effect."))
    digest = models.CharField(
        _("digest"),
        max_length=64,
        blank=True,
        editable=False,
        help_text=_("SHA-256 of number, severity, purposes changed and texts, as published."),
    )
    history = HistoricalRecords(history_id_field=models.BigAutoField(), m2m_fields=[changes])
    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("policy version"), _("policy versions")
        ordering = ["-number"]

    def __str__(self):
        return f"{self.number}"

    def text(self, language):
        """Return the text in `language`, else in the other one."""
        return (self.text_en or self.text_vi) if language == "en" else (self.text_vi or self.text_en)

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
            self.save()
            if changes is not None:
                self.changes.set(changes)
            audit.record("policy.draft", by=by, obj=self, clause="§7", number=self.number, fields=sorted(values))

    def publish(self, *, by):
        """Put the version into effect, for good."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=PolicyVersion.objects.select_for_update())
            if self.published_at:
                raise ValidationError(_("This policy version is already published."))
            if not (self.text_vi or self.text_en):
                raise ValidationError(_("There is no text to publish."))
            if self.severity == self.Severity.MAJOR and not self.changes.exists():
                raise ValidationError(_("A major version names the purposes it changes."))
            if PolicyVersion.objects.published().filter(number__gte=self.number).exists():
                raise ValidationError(_("A version with this number or a later one is already published."))
            changed = ",".join(sorted(purpose.code for purpose in self.changes.all()))
            published = "\0".join([str(self.number), self.severity, changed, self.text_vi, self.text_en])
            self.digest = hashlib.sha256(published.encode()).hexdigest()
            self.published_at = timezone.now()
            self._history_user, self._change_reason = audit.staff(by), "policy.publish"
            self.save()
            audit.record("policy.publish", by=by, obj=self, clause="§7", number=self.number, severity=self.severity, digest=self.digest)
