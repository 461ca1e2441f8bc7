"""How many customers agree, day by day: counts kept of the ledger, so that no page counts a million rows. Names nobody."""

from datetime import timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Max, Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consent.models.ledger import ALLOWS, RANK, STOPS, ConsentEvent, ConsentState
from consent.models.purposes import Channel, Purpose
from customers.models import Customer

MOST_DAYS = 400  # that are read from the ledger at once: a year, with what it is compared to
# What both counts are written by. A purpose about which nobody said anything has its row too.
KEPT = """
INSERT INTO {count} (day, purpose_id, channel, allowed, refused)
SELECT days.day, p.id, ch.channel, COALESCE(sum(n.allowed), 0), COALESCE(sum(n.refused), 0)
  FROM {days} CROSS JOIN {purpose} p CROSS JOIN unnest(p.channels) ch (channel)
  LEFT JOIN n ON n.purpose_id = p.id AND n.channel = ch.channel AND n.day <= days.day
 WHERE p.legal_basis = 'consent' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (purpose_id, channel, day) DO UPDATE SET allowed = EXCLUDED.allowed, refused = EXCLUDED.refused
"""
OF_STATES = f"""
WITH n AS (
    SELECT %(until)s::date AS day, s.purpose_id, s.channel, count(*) FILTER (WHERE s.state = ANY(%(allows)s)) AS allowed,
           count(*) FILTER (WHERE s.state = ANY(%(stops)s)) AS refused
      FROM {{state}} s JOIN {{customer}} c ON c.id = s.customer_id WHERE c.erased_at IS NULL GROUP BY s.purpose_id, s.channel
)
{KEPT.replace("{days}", "(SELECT %(until)s::date AS day) days")}
"""
# Each event holds from its day until that of the next, or of the erasure: one more on the first, one less on the other.
OF_EVENTS = f"""
WITH said AS (
    SELECT e.purpose_id, e.channel, e.event, (e.at AT TIME ZONE %(zone)s)::date AS first,
           (c.erased_at AT TIME ZONE %(zone)s)::date AS erased,
           lead((e.at AT TIME ZONE %(zone)s)::date) OVER (PARTITION BY e.customer_id, e.purpose_id, e.channel
                                                          ORDER BY e.at, array_position(%(rank)s::text[], e.event::text), e.id) AS next
      FROM {{event}} e JOIN {{customer}} c ON c.id = e.customer_id
), spans AS (
    SELECT purpose_id, channel, event = ANY(%(allows)s) AS yes, first, LEAST(next, erased) AS ended FROM said
     WHERE (event = ANY(%(allows)s) OR event = ANY(%(stops)s)) AND first < COALESCE(LEAST(next, erased), 'infinity')
), steps AS (
    SELECT purpose_id, channel, yes, first AS day, 1 AS step FROM spans
    UNION ALL SELECT purpose_id, channel, yes, ended, -1 FROM spans WHERE ended IS NOT NULL
), n AS (
    SELECT day, purpose_id, channel, sum(step) FILTER (WHERE yes) AS allowed, sum(step) FILTER (WHERE NOT yes) AS refused
      FROM steps GROUP BY day, purpose_id, channel
)
{KEPT.replace("{days}", "(SELECT day::date FROM generate_series(%(since)s::date, %(until)s::date, interval '1 day') day) days")}
"""
TABLES = {"state": ConsentState, "event": ConsentEvent, "customer": Customer, "purpose": Purpose}


class ConsentCountQuerySet(models.QuerySet):
    def keep(self, at=None):
        """Count the states as they stand for the day of `at`, again where it was counted, and the days before that nobody counted."""
        today = timezone.localdate(at)
        last = self.filter(day__lt=today).aggregate(last=Max("day"))["last"]
        if last != today - timedelta(days=1):
            self.back_fill(since=last and last + timedelta(days=1), until=today - timedelta(days=1))
        return self._run(OF_STATES, until=today)

    def back_fill(self, since=None, until=None):
        """Count past days by what was said: from the first event, or some `MOST_DAYS` ago, until today; return how many rows."""
        until = until or timezone.localdate()
        first = ConsentEvent.objects.aggregate(first=Min("at"))["first"]
        if first is None:
            return 0
        since = max(since or timezone.localdate(first), until - timedelta(days=MOST_DAYS))
        return self._run(OF_EVENTS, since=since, until=until)

    def _run(self, statement, **days):
        names = {name: model._meta.db_table for name, model in TABLES.items()}
        told = {"allows": [str(e) for e in ALLOWS], "stops": [str(e) for e in STOPS], "rank": [str(e) for e in RANK]}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format(count=self.model._meta.db_table, **names), {**told, **days, "zone": settings.TIME_ZONE})
            return cursor.rowcount


class ConsentCount(models.Model):
    """How many customers allow and refuse one purpose by one channel, at the end of one day."""

    day = models.DateField(_("day"), help_text=_("As of its end; of today, as of the last count."))
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What it is about.")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, help_text=_("By which channel."))
    allowed = models.PositiveIntegerField(_("allowed"), help_text=_("How many said yes, and it holds."))
    refused = models.PositiveIntegerField(_("refused"), help_text=_("How many said no, or took their yes back."))
    objects = ConsentCountQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("daily count of consents"), _("daily counts of consents")
        constraints = [models.UniqueConstraint(fields=["purpose", "channel", "day"], name="consent_counted_once_a_day")]

    def __str__(self):
        return f"{self.purpose_id} {self.channel} {self.day}"

    @property
    def rate(self):
        """The share of yes among those who said yes or no; None where nobody did."""
        said = self.allowed + self.refused
        return self.allowed / said if said else None
