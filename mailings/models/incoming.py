"""That a mail was read, and as what. Refuses to keep anything of the mail itself."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from privacy_office.querysets import CopyQuerySet


class IncomingMail(models.Model):
    """The mark of one incoming mail: written in the transaction of what the mail brought about, so that it counts once."""

    class Kind(models.TextChoices):
        BOUNCE = "bounce", _("report: not delivered for good")
        DELAY = "delay", _("report: delayed, or nothing failed")
        UNSIGNED = "unsigned", _("report or complaint without our token: nothing changed")
        COMPLAINT = "complaint", _("complaint")
        REFUSAL = "refusal", _("refusal")
        SUPPORT = "support", _("support request")
        AUTOMATIC = "automatic", _("automatic mail: nothing done")
        UNKNOWN = "unknown", _("sender unknown: nothing done")
        ASIDE = "aside", _("kept aside: too large, or not to be read")

    digest = models.BinaryField(_("digest"), max_length=32, unique=True, editable=False, help_text=_("SHA-256 of the mail as it came."))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, help_text=_("What it was taken for."))
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When it was read."))
    objects = CopyQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("incoming mail"), _("incoming mails")
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind", "-id"])]

    def __str__(self):
        return f"{self.pk}"
