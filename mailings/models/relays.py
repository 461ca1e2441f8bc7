"""How fast the mail server is given mail, and when that stops by itself. Refuses more than its share of a minute, over all workers."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.history import History
from privacy_office.querysets import TrackedQuerySet

# The database's clock, as the hosts' differ; a bucket that holds one second of mail, and one message at least.
GRANT = """
WITH bucket AS (SELECT rule_id, GREATEST(free_at, clock_timestamp() - GREATEST(interval '1 second', %(each)s)) AS free_at
                  FROM {table} WHERE rule_id = %(rule)s FOR UPDATE),
     granted AS (SELECT *, LEAST(%(wanted)s, floor(extract(epoch FROM clock_timestamp() - free_at)
                                                   / extract(epoch FROM %(each)s::interval)))::int AS messages FROM bucket)
UPDATE {table} s SET free_at = g.free_at + g.messages * %(each)s FROM granted g WHERE s.rule_id = g.rule_id RETURNING g.messages
"""


class RelayRule(models.Model):
    """What the mail server takes, and at how many failures sending waits or a campaign ends. Numbers are the office's own."""

    relay = models.CharField(_("mail server"), max_length=20, unique=True, default="default", help_text=_("Which mail server it is."))
    per_minute = models.PositiveIntegerField(
        _("messages a minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("The most that all workers together hand over; empty: as fast as it takes them. Notices go before campaigns."),
    )
    wait_after = models.PositiveSmallIntegerField(
        _("failures in a row"),
        default=5,
        validators=[MinValueValidator(1)],
        help_text=_("After how many in a row the mail server is left alone for a while."),
    )
    wait_seconds = models.PositiveSmallIntegerField(_("seconds left alone"), default=30, help_text=_("For how long."))
    first = models.PositiveSmallIntegerField(
        _("first messages of a campaign"),
        default=100,
        validators=[MinValueValidator(1)],
        help_text=_("How many of a campaign's first messages are looked at."),
    )
    failed_percent = models.PositiveSmallIntegerField(
        _("percent failed"),
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("When so many of them have failed, the campaign stops by itself."),
    )
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("rule of the mail server"), _("rules of the mail server")
        constraints = [
            models.CheckConstraint(
                condition=Q(per_minute=None) | Q(per_minute__gt=0), name="relay_takes_some_mail"
            ),
            models.CheckConstraint(condition=Q(wait_after__gt=0, first__gt=0, failed_percent__range=(1, 100)), name="relay_numbers_count"),
        ]  # fmt: skip

    def __str__(self):
        return self.relay

    def save(self, *args, **kwargs):
        super().save(*args, **kwargs)
        RelayState.objects.get_or_create(rule=self)

    @classmethod
    def current(cls):
        """Return the rule with the mail server's state."""
        return cls.objects.select_related("state").get(relay="default")

    @property
    def too_many_failed(self):
        """How many failures among a campaign's first messages are too many."""
        return -(-self.first * self.failed_percent // 100)

    @property
    def each(self):
        """The time that one message takes of the minute."""
        return timedelta(minutes=1) / self.per_minute

    @property
    def left_alone(self):
        return bool(self.state.alone_until and self.state.alone_until > timezone.now())

    def grant(self, wanted):
        """Take up to `wanted` messages out of the minute; return how many may leave now."""
        if not self.per_minute:
            return wanted
        with connection.cursor() as cursor:
            cursor.execute(GRANT.format(table=RelayState._meta.db_table), {"rule": self.pk, "wanted": wanted, "each": self.each})
            return cursor.fetchone()[0]


class RelayState(models.Model):
    """How the mail server does: a counter, in the database so that it holds for all workers and over restarts."""

    rule = models.OneToOneField(
        RelayRule, on_delete=models.PROTECT, primary_key=True, related_name="state", verbose_name=_("rule"), help_text=_("Of which server.")
    )
    free_at = models.DateTimeField(_("free at"), default=timezone.now, help_text=_("Until when its minutes are given away."))
    failures = models.PositiveIntegerField(_("failures"), default=0, help_text=_("How many in a row."))
    alone_until = models.DateTimeField(_("left alone until"), null=True, help_text=_("When it is tried again."))

    class Meta:
        verbose_name, verbose_name_plural = _("state of the mail server"), _("states of the mail server")

    def __str__(self):
        return f"{self.pk}"

    def fail(self):
        """Count one more failure in a row; return whether the server is now left alone."""
        RelayState.objects.filter(pk=self.pk).update(failures=F("failures") + 1)
        until = timezone.now() + timedelta(seconds=self.rule.wait_seconds)
        self.failures += 1
        return bool(RelayState.objects.filter(pk=self.pk, failures__gte=self.rule.wait_after).update(alone_until=until))

    def answer(self):
        """It works: the next failure is the first."""
        if self.failures:
            RelayState.objects.filter(pk=self.pk).update(failures=0, alone_until=None)
            self.failures = 0
