"""For how long each class of data is kept, as rows that an officer keeps up, and what the nightly run made of them."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from audit.history import History
from privacy_office.querysets import TrackedQuerySet


class RetentionRuleQuerySet(TrackedQuerySet):
    def active(self):
        return self.filter(active=True).order_by("pk")


class RetentionRule(models.Model):
    """How long one class of data is kept, why, and by which text. What is in force is applied every night."""

    class Of(models.TextChoices):
        """What a rule is about; how it is found and what is done with it stands in `customers.retention`."""

        ACCESS_REQUESTS = "access_requests", _("who knocked at the customers' door: deleted")
        LINKS = "links", _("one-time links, after their end: deleted")
        SESSIONS = "sessions", _("customers' sessions, after their beginning: deleted")
        SIGN_UPS = "sign_ups", _("sign-ups that nobody confirmed: deleted, and who came by one alone is erased")
        NOTICE_ADDRESSES = "notice_addresses", _("addresses that notices went to, when not the present one: blanked")
        CONTACT_NOTES = "contact_notes", _("notes of conversations: blanked")
        ATTACHMENTS = "attachments", _("files that customers sent: blanked")
        REQUEST_WORDS = "request_words", _("what customers wrote in requests, after these were settled: blanked")
        ANSWERS = "answers", _("what customers answered to questions: blanked")
        SUPPORT_MAILS = "support_mails", _("mails that customers wrote, after these were answered: blanked")
        INCOMING = "incoming", _("marks of mails that were read: deleted")
        MESSAGES = "messages", _("records of mail, after the time of their purpose: deleted")
        UNCONFIRMED = "unconfirmed", _("prospects who never confirmed their address: erased")
        ENDED = "ended", _("customers whose association ended: erased")

    of = models.CharField(_("class of data"), max_length=30, choices=Of, unique=True, help_text=_("What it is about, and what is done."))
    days = models.PositiveIntegerField(
        _("days"), null=True, blank=True, help_text=_("For how many days it is kept; for records of mail each purpose says it itself.")
    )
    ground = models.CharField(_("ground"), max_length=200, help_text=_("Why for as long as this and no longer."))
    source = models.CharField(_("source"), max_length=100, help_text=_("The text of law, or whose decision it is."))
    active = models.BooleanField(_("in force"), default=True, help_text=_("Whether the nightly run applies it. Look at a dry run first."))
    history = History()
    objects = RetentionRuleQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("retention rule"), _("retention rules")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(of="messages", days=None) | (~Q(of="messages") & Q(days__gt=0)), name="retention_has_days"),
        ]

    def __str__(self):
        return self.get_of_display()

    def clean(self):
        if (self.of == self.Of.MESSAGES) != (self.days is None) or self.days == 0:
            raise ValidationError({"days": _("Give a number of days; for records of mail none, as their purposes say it.")})


class RetentionRun(models.Model):
    """What one night's run took away, by rule."""

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False, help_text=_("When it ended."))
    counts = models.JSONField(_("rows by rule"), default=dict, help_text=_("How many rows each rule took."))
    seconds = models.FloatField(_("seconds"), help_text=_("How long it took."))

    class Meta:
        verbose_name, verbose_name_plural = _("retention run"), _("retention runs")
        ordering = ["-id"]

    def __str__(self):
        return f"{self.pk}"
