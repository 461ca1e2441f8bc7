"""What became of the mail of each day: counts kept of the outbox, so that no page counts a campaign. Names nobody."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consent.models import Purpose
from mailings.models.messages import Message

SETTLES = timedelta(hours=1)  # longer than any worker takes from its question to the gate until it writes the outcome down
COUNT = """
INSERT INTO {count} (day, purpose_id, state, reason, messages, last_at)
SELECT (decided_at AT TIME ZONE %(zone)s)::date, purpose_id, state, CASE state WHEN 'blocked' THEN reason ELSE '' END, count(*),
       max(decided_at)
  FROM {message} WHERE decided_at >= %(since)s AND state = ANY(%(settled)s) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (day, purpose_id, state, reason) DO UPDATE SET messages = EXCLUDED.messages, last_at = EXCLUDED.last_at
"""


class MessageCountQuerySet(models.QuerySet):
    def keep(self, at=None):
        """Count again the days in which anything was settled since the last count; all of them at the first. Return how many rows."""
        last, at = self.aggregate(last=Max("last_at"))["last"], at or timezone.now()
        since = min(last, at - SETTLES) if last else None
        if since and not Message.objects.filter(decided_at__gt=since).exists():
            return 0
        day = timezone.localdate(since or datetime.fromtimestamp(0, UTC))
        midnight = timezone.make_aware(datetime.combine(day, datetime.min.time()))
        told = {"since": midnight, "zone": settings.TIME_ZONE, "settled": [str(state) for state in MessageCount.SETTLED]}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(COUNT.format(count=self.model._meta.db_table, message=Message._meta.db_table), told)
            return cursor.rowcount


class MessageCount(models.Model):
    """How many messages of one purpose were sent, blocked for one reason, or failed on one day."""

    SETTLED = (*Message.TRIED, Message.State.BLOCKED)

    day = models.DateField(_("day"), help_text=_("When the gate was asked last."))
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What it is about.")
    )
    state = models.CharField(_("state"), max_length=10, choices=Message.State, help_text=_("What became of them."))
    reason = models.CharField(_("reason"), max_length=40, blank=True, help_text=_("The gate's reason, of those that it blocked."))
    messages = models.PositiveIntegerField(_("messages"), help_text=_("How many."))
    last_at = models.DateTimeField(_("last at"), help_text=_("When the last of them was decided."))
    objects = MessageCountQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("daily count of messages"), _("daily counts of messages")
        constraints = [models.UniqueConstraint(fields=["day", "purpose", "state", "reason"], name="message_counted_once_a_day")]

    def __str__(self):
        return f"{self.purpose_id} {self.state} {self.day}"
