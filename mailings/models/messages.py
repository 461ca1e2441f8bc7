"""The outbox: one mail to one customer, and what became of it. Refuses to send one thing twice."""

import uuid
from datetime import timedelta

from django.db import connection, models, transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from consent.models import Purpose
from customers.models import Customer
from privacy_office.querysets import CopyQuerySet


class MessageQuerySet(CopyQuerySet):
    def open(self):
        return self.filter(state__in=[Message.State.QUEUED, Message.State.CLAIMED])

    def due(self, at):
        return self.filter(state=Message.State.QUEUED, not_before__lte=at)

    def claim(self, worker, limit):
        """Take up to `limit` due messages for one worker, skipping what others are taking; return them."""
        with transaction.atomic():
            due = self.due(timezone.now()).order_by("not_before", "pk").select_related("campaign", "notice", "purpose")
            taken = list(due.select_for_update(skip_locked=True, of=["self"])[:limit])
            self.filter(pk__in=[m.pk for m in taken]).update(state=Message.State.CLAIMED, worker=worker)
        for message in taken:
            message.state, message.worker = Message.State.CLAIMED, worker
        return taken

    def settle(self, messages):
        """Write the outcomes of messages that their worker still holds, with their entries, in one transaction."""
        with transaction.atomic():
            held = {
                pk: public_id
                for pk, public_id in self.filter(pk__in=[m.pk for m in messages], state=Message.State.CLAIMED, worker=messages[0].worker)
                .select_for_update(of=["self"])
                .values_list("pk", "customer__public_id")
            }
            ours = [m for m in messages if m.pk in held]
            self.bulk_update(ours, ["state", "not_before", "attempts", "reason", "clause", "evidence", "decided_at", "reply", "sent_at"])
            self.filter(pk__in=held).update(worker=None)  # not on the objects: they are settled again if this transaction fails
            audit.record_all(
                audit.entry(
                    f"message.{m.state}",
                    by=None,
                    obj=m,
                    subject=held[m.pk],
                    clause=m.clause,
                    reason=m.reason,
                    evidence=m.evidence,
                    reply=m.reply,
                )
                for m in ours
            )

    def recover(self):
        """Free what dead workers held: advertising may have left, so it is never sent again; other mail goes out once more."""
        workers = self.filter(state=Message.State.CLAIMED).values_list("worker", flat=True).distinct()
        for worker in workers:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [worker])  # the living hold it, see `postman.Worker`
                if not cursor.fetchone()[0]:
                    continue
                theirs = self.filter(state=Message.State.CLAIMED, worker=worker).select_related("purpose")
                left = list(theirs.select_for_update(of=["self"]))
                for message in left:
                    again = message.purpose.kind == Purpose.Kind.SERVICE
                    message.state = Message.State.QUEUED if again else Message.State.UNKNOWN
                    message.reason = "worker_lost"
                if left:
                    self.settle(left)

    def report(self):
        """Return counts: audience, sent, blocked by reason, failed, unknown, open."""
        counts = self.values_list("state", "reason").annotate(n=Count("pk")).order_by()
        by_state = dict.fromkeys(Message.State.values, 0)
        blocked = {}
        for state, reason, n in counts:
            by_state[state] += n
            if state == Message.State.BLOCKED:
                blocked[reason] = blocked.get(reason, 0) + n
        return {
            "audience": sum(by_state.values()),
            "sent": by_state["sent"],
            "blocked": dict(sorted(blocked.items())),
            "failed": by_state["failed"],
            "unknown": by_state["unknown"],
            "open": by_state["queued"] + by_state["claimed"],
        }


class Message(models.Model):
    """The outbox: one mail to one customer, with the Decision that let it go or kept it. The address is looked up as it leaves."""

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        CLAIMED = "claimed", _("being sent")
        SENT = "sent", _("sent")
        BLOCKED = "blocked", _("blocked")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")

    TRIES = 16  # 2, 4, 8 … 64 and then ten times 120 minutes: 22 hours

    public_id = models.UUIDField(
        _("identifier"),
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text=_("Names the message in its Message-ID and in its link to refuse."),
    )
    campaign = models.ForeignKey(
        "mailings.Campaign",
        on_delete=models.PROTECT,
        null=True,
        related_name="messages",
        verbose_name=_("campaign"),
        help_text=_("The campaign it belongs to."),
    )
    notice = models.ForeignKey(
        "mailings.RenewalNotice",
        on_delete=models.PROTECT,
        null=True,
        related_name="messages",
        verbose_name=_("renewal notice"),
        help_text=_("The renewal notice it is."),
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="messages", verbose_name=_("customer"), help_text=_("Whom it is for.")
    )
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What the data is used for.")
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED, help_text=_("What became of it."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, help_text=_("When it was queued."))
    not_before = models.DateTimeField(_("not before"), default=timezone.now, help_text=_("The moment from which it may leave."))
    worker = models.BigIntegerField(_("worker"), null=True, help_text=_("Which worker has it in hand."))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, help_text=_("How often a mail server was asked to take it."))
    reason = models.CharField(_("reason"), max_length=40, blank=True, help_text=_("The gate's reason, or what went wrong."))
    clause = models.CharField(_("clause"), max_length=10, blank=True, help_text=_("The clause that the decision rests on."))
    evidence = models.CharField(_("evidence"), max_length=100, blank=True, help_text=_("The row that shows it."))
    decided_at = models.DateTimeField(_("decided at"), null=True, help_text=_("When the gate was asked last."))
    reply = models.CharField(
        _("reply of the mail server"), max_length=20, blank=True, help_text=_("Its codes alone: its words may name the address.")
    )
    sent_at = models.DateTimeField(_("sent at"), null=True, help_text=_("When the mail server took it."))
    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("message"), _("messages")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["not_before", "id"], condition=Q(state="queued"), name="message_due"),
            models.Index(fields=["worker"], condition=Q(state="claimed"), name="message_claimed"),
            models.Index(fields=["campaign", "state"]),
        ]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "customer"], name="one_message_a_campaign_and_customer"),
            models.CheckConstraint(condition=Q(campaign=None) ^ Q(notice=None), name="message_is_of_one_kind"),
        ]

    def __str__(self):
        return f"{self.pk}"

    def decide(self, decision, at):
        """Keep the gate's Decision; a refusal blocks the message for good."""
        self.reason, self.clause, self.evidence, self.decided_at = decision.reason, decision.clause, decision.evidence, at
        if not decision.allowed:
            self.state = self.State.BLOCKED

    def hand_over(self, outcome, reply, at):
        """Keep what the mail server made of it: sent, failed, unknown; or deferred, to be tried again for a day at most.

        Advertising goes out at most once, other mail at least once: of that, what is unknown is tried again under the same Message-ID.
        """
        self.reply, self.attempts = reply, self.attempts + 1
        again = outcome == "deferred" or (outcome == "unknown" and self.purpose.kind == Purpose.Kind.SERVICE)
        if again and self.attempts <= self.TRIES:
            self.state, self.not_before = self.State.QUEUED, at + min(timedelta(minutes=2**self.attempts), timedelta(hours=2))
        elif outcome == "sent":
            self.state, self.sent_at = self.State.SENT, at
        else:
            self.state = self.State.UNKNOWN if outcome == "unknown" else self.State.FAILED

    def leave(self):
        """Begin the hand-over: from here on it may have left, whatever ends this process."""
        self.state = self.State.UNKNOWN

    def stay(self):
        """Take that back: nothing was handed over."""
        self.state = self.State.CLAIMED

    def put_back(self, at, wait):
        """Return it to the queue untried."""
        self.state, self.not_before = self.State.QUEUED, at + wait
