"""Notices that a service expires, to those who asked for them. Never told twice."""

from datetime import timedelta

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from consent.models import Purpose
from customers.models import Service
from mailings import letters
from mailings.models.messages import Message
from privacy_office.querysets import TrackedQuerySet

RENEWALS_LOCK = 7_305_001  # any number that nothing else in this database locks


class RenewalNotice(models.Model):
    """A plain notice, free of advertising, so many days before a service expires (§2.2)."""

    days_before = models.PositiveSmallIntegerField(
        _("days before"), unique=True, help_text=_("How many days before the service expires it goes out.")
    )
    subject_vi = models.CharField(
        _("subject in Vietnamese"), max_length=150, help_text=_("One line, with the same placeholders as the body.")
    )
    body_vi = models.TextField(
        _("body in Vietnamese"),
        help_text=_(
            "Markdown. Placeholders: {full_name}, {company}, {service}, {plan}, {expires_on}, {days}. "
            "A line with one of the last four is repeated for each service."
        ),
    )
    subject_en = models.CharField(_("subject in English"), max_length=150, help_text=_("One line, with the same placeholders as the body."))
    body_en = models.TextField(_("body in English"), help_text=_("As in Vietnamese."))
    active = models.BooleanField(_("active"), default=True, help_text=_("Whether it goes out."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("renewal notice"), _("renewal notices")
        ordering = ["-days_before"]

    def __str__(self):
        return f"{self.days_before}"

    def clean(self):
        letters.check(self.subject_vi, self.body_vi, letters.RENEWAL_PLACEHOLDERS, field="_vi")
        letters.check(self.subject_en, self.body_en, letters.RENEWAL_PLACEHOLDERS, field="_en")

    @property
    def subject(self):
        return letters.in_language(self, "subject")

    @property
    def body(self):
        return letters.in_language(self, "body")


class RenewalRun(models.Model):
    """A day on which it was looked what falls due: after days without one it is caught up."""

    day = models.DateField(_("day"), unique=True, help_text=_("Which day it was."))

    class Meta:
        verbose_name, verbose_name_plural = _("run of renewal notices"), _("runs of renewal notices")

    def __str__(self):
        return f"{self.day}"


class RenewalItem(models.Model):
    """One service that a renewal notice tells of: never told twice for one (service, expiry, days)."""

    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, related_name="items", verbose_name=_("message"), help_text=_("The message that tells of it.")
    )
    service = models.ForeignKey(
        Service, on_delete=models.PROTECT, related_name="+", verbose_name=_("service"), help_text=_("What expires.")
    )
    expires_on = models.DateField(_("expires on"), help_text=_("The day it expires, as told."))
    days_before = models.PositiveSmallIntegerField(_("days before"), help_text=_("Which of the notices it was."))

    class Meta:
        verbose_name, verbose_name_plural = _("renewal item"), _("renewal items")
        constraints = [models.UniqueConstraint(fields=["service", "expires_on", "days_before"], name="renewal_told_once")]

    def __str__(self):
        return f"{self.service_id} {self.expires_on} {self.days_before}"


def queue_renewals(today, *, by):
    """Queue one message for each customer of whom services fall due by an active notice, today or since the last run; return the messages.

    A service that has expired is told of no more, and of several notices that were missed the latest alone goes out.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RENEWALS_LOCK])  # two runs at once would each miss the other's rows
        purpose = Purpose.objects.get(code="service_renewal")
        last = RenewalRun.objects.filter(day__lt=today).aggregate(models.Max("day"))["day__max"]
        missed = (today - last).days - 1 if last else 0
        due, seen = {}, set()
        for notice in RenewalNotice.objects.filter(active=True).order_by("days_before"):
            until = today + timedelta(days=notice.days_before)
            since = max(today, until - timedelta(days=missed))
            told = RenewalItem.objects.filter(
                service=OuterRef("pk"), expires_on=OuterRef("expires_on"), days_before__lte=notice.days_before
            )  # fmt: skip
            services = Service.objects.expiring(since, until).exclude(Exists(told)).order_by("expires_on", "pk")
            for service in services.only("pk", "customer_id", "expires_on"):
                if service.pk not in seen:
                    seen.add(service.pk)
                    due.setdefault(service.customer_id, []).append((service, notice))
        messages = Message.objects.bulk_create(
            Message(renewal=lines[0][1], customer_id=customer, purpose=purpose) for customer, lines in due.items()
        )
        RenewalItem.objects.bulk_create(
            RenewalItem(message=message, service=service, expires_on=service.expires_on, days_before=notice.days_before)
            for message in messages
            for service, notice in due[message.customer_id]
        )
        RenewalRun.objects.get_or_create(day=today)
        if messages:
            audit.record("renewals.queue", by=by, clause="§2.2", messages=len(messages), day=today.isoformat())
    return messages
