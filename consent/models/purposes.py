"""Why data may be used, and what the law asks of each channel. Rows, not code."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from audit.history import History
from privacy_office.querysets import TrackedQuerySet


class Channel(models.TextChoices):
    EMAIL = "email", _("e-mail")
    SMS = "sms", _("SMS")
    PHONE = "phone", _("phone")


class Purpose(models.Model):
    """Why data may be used (dpv:Purpose). Rows, not code: what the policy changes is changed here."""

    class LegalBasis(models.TextChoices):
        AGREEMENT = "agreement", _("agreement")
        CONSENT = "consent", _("consent")
        LEGAL_OBLIGATION = "legal_obligation", _("legal obligation")

    class Kind(models.TextChoices):
        SERVICE = "service", _("service")
        ADVERTISING = "advertising", _("advertising")
        SURVEY = "survey", _("survey")

    code = models.SlugField(_("code"), unique=True, help_text=_("The name that decisions, commands and files use."))
    title_vi = models.CharField(_("title in Vietnamese"), max_length=100, help_text=_("What customers read."))
    title_en = models.CharField(_("title in English"), max_length=100, help_text=_("What customers read."))
    meaning_vi = models.TextField(
        _("meaning in Vietnamese"), blank=True, help_text=_("What is sent and what for, in a sentence or two, as customers read it.")
    )
    meaning_en = models.TextField(_("meaning in English"), blank=True, help_text=_("As in Vietnamese."))
    frequency_vi = models.CharField(
        _("frequency in Vietnamese"), max_length=200, blank=True, help_text=_("How often, as customers read it: the law asks for it.")
    )
    frequency_en = models.CharField(_("frequency in English"), max_length=200, blank=True, help_text=_("As in Vietnamese."))
    clause = models.CharField(_("clause"), max_length=10, help_text=_("The policy's clause it rests on."))
    legal_basis = models.CharField(
        _("legal basis"), max_length=20, choices=LegalBasis, help_text=_("With 'consent', nothing is sent without one.")
    )
    kind = models.CharField(_("class"), max_length=20, choices=Kind, help_text=_("Advertising carries a label and is capped."))
    channels = ArrayField(
        models.CharField(max_length=10, choices=Channel), verbose_name=_("channels"), help_text=_("By which channels it may be pursued.")
    )
    fields = ArrayField(
        models.CharField(max_length=30), verbose_name=_("fields"), help_text=_("The customer's fields it may use, and no others.")
    )
    confidential = models.BooleanField(
        _("confidential"), default=False, help_text=_("Whether its mail opens something: none of it goes to an address on hold.")
    )
    while_associated = models.BooleanField(_("only while associated"), help_text=_("Whether it ends with the customer's association."))
    retention_days = models.PositiveIntegerField(_("retention in days"), help_text=_("For how long its messages are kept."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("purpose"), _("purposes")
        ordering = ["id"]

    def __str__(self):
        return self.code

    @property
    def title(self):
        return self.title_en if get_language() == "en" else self.title_vi

    @property
    def meaning(self):
        return self.meaning_en if get_language() == "en" else self.meaning_vi

    @property
    def frequency(self):
        return self.frequency_en if get_language() == "en" else self.frequency_vi

    @property
    def needs_consent(self):
        return self.legal_basis == self.LegalBasis.CONSENT

    @property
    def owed(self):
        """Whether the law obliges us: a restriction, or an address that bounced, does not end it."""
        return self.legal_basis == self.LegalBasis.LEGAL_OBLIGATION


class ChannelRule(models.Model):
    """What the law asks of advertising by one channel (Decree 91/2020/NĐ-CP, until another replaces it)."""

    channel = models.CharField(_("channel"), max_length=10, choices=Channel, unique=True, help_text=_("The channel it holds for."))
    cap = models.PositiveSmallIntegerField(_("cap in 24 hours"), help_text=_("How many contacts one customer may get in 24 hours."))
    opens = models.TimeField(_("from"), null=True, blank=True, help_text=_("Earliest hour of the day; empty: any."))
    closes = models.TimeField(_("until"), null=True, blank=True, help_text=_("Latest hour of the day; empty: any."))
    label = models.CharField(_("label"), max_length=10, blank=True, help_text=_("What the subject begins with."))
    register = models.BooleanField(
        _("Do-Not-Call register"), default=False, help_text=_("Whether each number is looked up in the register before a contact.")
    )
    source = models.CharField(_("source"), max_length=100, help_text=_("The text of law that says so."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("channel rule"), _("channel rules")

    def __str__(self):
        return self.channel

    def clean(self):
        if (self.opens is None) != (self.closes is None) or (self.opens and self.opens >= self.closes):
            raise ValidationError(_("Give both hours, the earlier one first, or none."))
        if self.channel == Channel.EMAIL and not self.label:
            raise ValidationError({"label": _("Advertising by e-mail needs a label.")})
