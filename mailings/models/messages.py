"""The outbox: one mail to one customer, and what became of it. Refuses to send one thing twice."""

import json
import re
import uuid
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.contrib.postgres.indexes import BrinIndex
from django.db import connection, models, transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from psycopg.types.json import Jsonb

from audit import models as audit
from consent import gate
from consent.models import Channel, Purpose
from customers.models import Customer, Notice, addresses
from mailings import journal, notices
from mailings.models.relays import RelayRule
from privacy_office.querysets import CopyQuerySet, of_rows

_dumps = partial(json.dumps, default=str)
LEASE = timedelta(minutes=1)  # what a dead worker held is left to its own host, which has its journal, for so long
# What a worker needs of a message: the times would take longer to read than the rest.
IN_HAND = [
    "id", "public_id", "campaign_id", "renewal_id", "notice_id", "customer_id", "purpose_id", "state", "worker", "attempts", "reason",
    "clause", "evidence", "decided_at", "reply", "sent_at", "bounced_at", "bounce",
]  # fmt: skip
TAKE = f"UPDATE {{message}} SET state = 'claimed', worker = %s, claimed_at = %s WHERE id = ANY(%s) RETURNING {', '.join(IN_HAND)}"
# SQL, as a worker settles every few dozen mails: the ORM would take longer to write this than PostgreSQL to do it.
SETTLED = {
    "state": "text", "not_before": "timestamptz", "attempts": "int", "reason": "text", "clause": "text", "evidence": "text",
    "decided_at": "timestamptz", "reply": "text", "sent_at": "timestamptz", "bounced_at": "timestamptz", "bounce": "text",
}  # fmt: skip
SETTLE = f"""
WITH settled AS (
    UPDATE {{message}} m SET worker = NULL, {", ".join(f"{name} = COALESCE(v.{name}, m.{name})" for name in SETTLED)}
      FROM jsonb_to_recordset(%s) AS v(id bigint, {", ".join(f"{name} {kind}" for name, kind in SETTLED.items())}), {{customer}} c
     WHERE m.id = v.id AND m.state = 'claimed' AND m.worker = %s AND c.id = m.customer_id
 RETURNING 'message.' || m.state AS action, 'mailings.message:' || m.id AS object, c.public_id AS subject, m.clause,
           jsonb_build_object('reason', m.reason, 'evidence', m.evidence, 'reply', m.reply) AS detail)
"""
# Addressing, mailbox, routing, and what is not further said (RFC 3463 section 3): not the content, nor a policy, which say something of us.
OF_THE_ADDRESS = re.compile(r"5\.[0124]\.\d+|55[013]")


class MessageQuerySet(CopyQuerySet):
    def open(self):
        return self.filter(state__in=[Message.State.QUEUED, Message.State.CLAIMED])

    def due(self, at):
        """Return what may be taken up; of a campaign that is paused nothing."""
        paused = Message._meta.get_field("campaign").related_model.objects.filter(status="paused").order_by()
        return self.filter(state=Message.State.QUEUED, not_before__lte=at).exclude(campaign__in=paused)

    def queue_notices(self, limit=1000):
        """Make exactly one message of each notice that waits; return how many."""
        with transaction.atomic():
            waiting = list(Notice.objects.waiting().defer("address").select_for_update(skip_locked=True)[:limit])
            purposes = Purpose.objects.in_bulk({notices.LETTERS[n.kind].purpose for n in waiting}, field_name="code")
            self.bulk_create(
                Message(notice=n, customer_id=n.customer_id, purpose=purposes[notices.LETTERS[n.kind].purpose]) for n in waiting
            )
            Notice.objects.filter(pk__in=[n.pk for n in waiting]).update(posted_at=timezone.now())
            if waiting:
                audit.record("notices.queue", by=None, clause="§3.2", messages=len(waiting))
        return len(waiting)

    def claim(self, worker, limit):
        """Take up to `limit` due messages for one worker, skipping what others are taking; return them.

        No more than the mail server takes in a minute, and none while it is left alone. The entry comes with the claim, before an
        address is looked up: where none can be written, nothing leaves.
        """
        with transaction.atomic():
            relay = RelayRule.current()
            if relay.left_alone:
                return []
            due = self.due(timezone.now()).order_by("not_before", "pk").values_list("pk", flat=True)
            due = due.select_for_update(skip_locked=True, of=["self"])
            notices_first = (due.filter(notice__isnull=False), due.filter(notice=None))  # no campaign keeps a notice waiting
            ids = next((found for some in notices_first if (found := list(some[:limit]))), [])
            ids = ids[: relay.grant(len(ids))] if ids else []
            if not ids:
                return []
            audit.record("message.claim", by=None, messages=ids)
            with connection.cursor() as cursor:
                cursor.execute(TAKE.format(message=Message._meta.db_table), [worker, timezone.now(), ids])
                taken = {m.pk: m for m in of_rows(Message, IN_HAND, cursor.fetchall())}
        claimed = [taken[pk] for pk in ids]
        for name in ("campaign", "renewal", "notice", "purpose"):
            self._fetch(claimed, name)
        return claimed

    @staticmethod
    def _fetch(messages, name):
        """Give messages the rows that they refer to by a field, each fetched once and shared: a campaign's stands for hundreds."""
        field = Message._meta.get_field(name)
        rows = field.related_model.objects.in_bulk({pk for m in messages if (pk := getattr(m, field.attname))})
        for message in messages if rows else ():
            field.set_cached_value(message, rows.get(getattr(message, field.attname)))

    def waits_for_its_turn(self):
        """Return the seconds until the next message may leave, where one is due that only the pace keeps; else 0."""
        relay = RelayRule.current()
        paced = relay.per_minute and not relay.left_alone and self.due(timezone.now()).exists()
        return min(relay.each.total_seconds(), 1) if paced else 0

    def give_back(self, messages, worker):
        """Return messages that their worker did not try. No act, so no entry: the claim's tells of them, and it may be that none can be."""
        self.filter(pk__in=[m.pk for m in messages], state=Message.State.CLAIMED, worker=worker).update(
            state=Message.State.QUEUED, worker=None
        )

    def cancel(self, reason, clause):
        """Block what has not begun to leave; what a worker has in hand it asks the gate about itself. Return how many, to be told of."""
        stopped = {"reason": reason, "clause": clause, "decided_at": timezone.now()}
        return self.filter(state=Message.State.QUEUED).update(state=Message.State.BLOCKED, **stopped)

    def settle(self, messages):
        """Write the outcomes of messages that their worker still holds, with their entries, in one transaction."""
        rows = Jsonb([{name: m.__dict__.get(name) for name in ("id", *SETTLED)} for m in messages], dumps=_dumps)
        with transaction.atomic():
            bounced = {m.pk: m for m in messages if m.bounced_at}
            ours = self.filter(pk__in=bounced, state=Message.State.CLAIMED, worker=messages[0].worker).select_for_update(of=["self"])
            counted = ours.order_by("customer_id").values_list("pk", flat=True) if bounced else ()
            counted = [bounced[pk] for pk in counted]
            tables = {"message": Message._meta.db_table, "customer": Customer._meta.db_table}
            audit.record_rows(SETTLE.format(**tables), "settled", [rows, messages[0].worker])
            for message in counted:
                message.count_bounce()

    def recover(self):
        """Free what dead workers held, by their journals: what was in hand may have left, what was answered has, the rest waits again.

        Without its journal all of it may have left. Of what may have left, advertising is never sent again; other mail goes out once more.
        """
        held = self.filter(state=Message.State.CLAIMED)
        for worker in {*held.values_list("worker", flat=True), *journal.workers()}:
            with suppress(journal.Alive), journal.taken_over(worker) as told, transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [worker])  # the living hold it, see `postman.Worker`
                if told or cursor.fetchone()[0]:
                    self._take_up(worker, told, timezone.now())

    def _take_up(self, worker, told, at):
        """Settle or give back what a dead worker held, and take back the contacts that were counted for what did not leave."""
        held = self.filter(state=Message.State.CLAIMED, worker=worker).select_related("purpose").select_for_update(of=["self"])
        left = list(held if told else held.exclude(claimed_at__gt=at - LEASE))
        in_doubt = [m for m in left if told is None or m.pk in told.handovers]
        for message in in_doubt:
            message.resolve(told and told.handovers[message.pk], at)
        if in_doubt:
            self.settle(in_doubt)
        self.give_back(left, worker)
        stayed = {m.pk: m.customer_id for m in left if not m.may_have_left}
        for counted_at, messages in told.counted if told else ():
            gate.forget({stayed[pk] for pk in messages & stayed.keys()}, Channel.EMAIL, counted_at)

    def contacts(self, customer, at):
        """Return when the advertising of the day before `at` to one customer was counted that may have reached them."""
        left = self.filter(customer=customer, purpose__kind=Purpose.Kind.ADVERTISING, state__in=[Message.State.SENT, Message.State.UNKNOWN])
        return list(left.filter(decided_at__gt=at - timedelta(days=1), decided_at__lte=at).values_list("decided_at", flat=True))

    def progress(self, at):
        """Return (messages a minute, seconds until all are settled or None) by what was settled in the minute before `at`."""
        settled = self.exclude(state__in=[Message.State.QUEUED, Message.State.CLAIMED])
        rate = settled.filter(decided_at__gt=at - timedelta(minutes=1)).count()
        return rate, (self.open().count() * 60 / rate if rate else None)

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
            "bounced": self.filter(bounced_at__isnull=False, state=Message.State.SENT).count(),
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

    TRIED = (State.SENT, State.FAILED, State.UNKNOWN)
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
        db_index=False,  # the first of two below: every change of a message costs one entry in each index of it
        related_name="messages",
        verbose_name=_("campaign"),
        help_text=_("The campaign it belongs to."),
    )
    renewal = models.ForeignKey(
        "mailings.RenewalNotice",
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="messages",
        verbose_name=_("renewal notice"),
        help_text=_("The renewal notice it is."),
    )
    notice = models.OneToOneField(
        Notice,
        on_delete=models.PROTECT,
        null=True,
        related_name="message",
        verbose_name=_("notice"),
        help_text=_("The notice it brings."),
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="messages", verbose_name=_("customer"), help_text=_("Whom it is for.")
    )
    purpose = models.ForeignKey(
        Purpose,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="+",
        verbose_name=_("purpose"),
        help_text=_("What the data is used for."),
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED, help_text=_("What became of it."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, help_text=_("When it was queued."))
    not_before = models.DateTimeField(_("not before"), default=timezone.now, help_text=_("The moment from which it may leave."))
    worker = models.BigIntegerField(_("worker"), null=True, help_text=_("Which worker has it in hand."))
    claimed_at = models.DateTimeField(_("claimed at"), null=True, help_text=_("When a worker took it in hand."))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, help_text=_("How often a mail server was asked to take it."))
    reason = models.CharField(_("reason"), max_length=40, blank=True, help_text=_("The gate's reason, or what went wrong."))
    clause = models.CharField(_("clause"), max_length=10, blank=True, help_text=_("The clause that the decision rests on."))
    evidence = models.CharField(_("evidence"), max_length=100, blank=True, help_text=_("The row that shows it."))
    decided_at = models.DateTimeField(_("decided at"), null=True, help_text=_("When the gate was asked last."))
    reply = models.CharField(
        _("reply of the mail server"), max_length=20, blank=True, help_text=_("Its codes alone: its words may name the address.")
    )
    sent_at = models.DateTimeField(_("sent at"), null=True, help_text=_("When the mail server took it."))
    bounced_at = models.DateTimeField(_("came back at"), null=True, help_text=_("When it came back for good, at once or by a report."))
    bounce = models.CharField(
        _("reason of coming back"), max_length=20, blank=True, help_text=_("The status of RFC 3463, or the mail server's code.")
    )
    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("message"), _("messages")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["not_before", "id"], condition=Q(state="queued"), name="message_due"),
            models.Index(fields=["not_before", "id"], condition=Q(state="queued", notice__isnull=False), name="message_notice_due"),
            models.Index(fields=["worker"], condition=Q(state="claimed"), name="message_claimed"),
            models.Index(fields=["campaign", "state"]),
            models.Index(fields=["renewal"], condition=Q(renewal__isnull=False), name="message_renewal"),
            models.Index(
                fields=["state", "-id"], condition=Q(state__in=["failed", "unknown"]), name="message_rare"
            ),  # what a list looks for
            BrinIndex(fields=["created_at"], name="message_created", autosummarize=True),
            models.Index(fields=["decided_at"], condition=Q(decided_at__isnull=False), name="message_decided"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "customer"], name="one_message_a_campaign_and_customer"),
            models.CheckConstraint(
                condition=Q(campaign__isnull=False, renewal=None, notice=None)
                | Q(campaign=None, renewal__isnull=False, notice=None)
                | Q(campaign=None, renewal=None, notice__isnull=False),
                name="message_is_of_one_kind",
            ),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def settled(self):
        """Whether nothing more becomes of it."""
        return self.state not in (self.State.QUEUED, self.State.CLAIMED)

    @property
    def may_have_left(self):
        return self.state in (self.State.SENT, self.State.UNKNOWN)

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
            if outcome == "failed" and reply:
                self.bounced_at, self.bounce = at, reply.rpartition(" ")[2]

    def resolve(self, told, at):
        """Take from a dead worker's journal what became of it; None, or no reply: it may have left."""
        if told:
            self.reason, self.clause, self.evidence, self.decided_at = "allowed", told.clause, told.evidence, told.decided_at
        if told and told.outcome:
            return self.hand_over(told.outcome, told.reply, at)
        self.state = self.State.QUEUED if self.purpose.kind == Purpose.Kind.SERVICE else self.State.UNKNOWN
        self.reason = "worker_lost"

    def leave(self):
        """Begin the hand-over: from here on it may have left, whatever ends this process."""
        self.state = self.State.UNKNOWN

    def stay(self):
        """Take that back: nothing was handed over."""
        self.state = self.State.CLAIMED

    def put_back(self, at, wait):
        """Return it to the queue untried."""
        self.state, self.not_before = self.State.QUEUED, at + wait

    def come_back(self, status, at):
        """Take a report that it was not delivered for good (RFC 3464); a second report of one message is none. Return whether it counts."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=Message.objects.select_for_update(of=["self"]))
            if self.bounced_at:
                return False
            self.bounced_at, self.bounce = at, status
            self.save(update_fields=["bounced_at", "bounce"])
            told = {"obj": self, "subject": self.customer.public_id, "clause": "§3.1", "status": status}
            audit.record("message.come_back", by=None, **told)
            self.count_bounce()
        return True

    def count_bounce(self):
        """Count it against the address, where the reason lies with the address and the customer still has it."""
        if OF_THE_ADDRESS.fullmatch(self.bounce) and self.to_present_address():
            addresses.bounced(self.customer, by=None, reason=self.bounce, at=self.bounced_at)

    def complain(self):
        """Take a complaint about it to the reader's mail provider."""
        if self.to_present_address():
            addresses.complained(self.customer, by=None, reason=f"message {self.pk}")

    def to_present_address(self):
        """Tell whether it went where the customer is written to now, and neither to an address of a notice's own nor to a former one."""
        if self.customer.erased_at or (self.notice_id and self.notice.address):
            return False
        then = self.customer.history.filter(history_date__lte=self.decided_at or self.created_at).order_by("history_id").last()
        return then is None or then.email == self.customer.email
