"""What we send: campaigns, renewal notices and the messages made of them. Holds no address; refuses to send one thing twice."""

import hashlib
import uuid
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from audit import models as audit
from consent import gate
from consent.models import Channel, Purpose
from customers.models import Customer, Service
from mailings import letters
from privacy_office.models import Staff
from privacy_office.querysets import CopyQuerySet, TrackedQuerySet

BATCH = 5000
RENEWALS_LOCK = 7_305_001  # any number that nothing else in this database locks


class CampaignQuerySet(TrackedQuerySet):
    def sending(self):
        return self.filter(status=Campaign.Status.SENDING)

    def finished(self):
        """Return those being sent of which no message is open any more."""
        return self.sending().exclude(Exists(Message.objects.open().filter(campaign=OuterRef("pk"))))


class Campaign(models.Model):
    """One letter to everyone who may get it, made by one person and approved by another (§1.1, §2.3-2.5)."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        APPROVED = "approved", _("approved")
        SENDING = "sending", _("sending")
        STOPPED = "stopped", _("stopped")
        DONE = "done", _("done")

    purpose = models.ForeignKey(
        Purpose,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("purpose"),
        help_text=_("Only who consented to it gets the letter."),
    )
    subject = models.CharField(_("subject"), max_length=150, help_text=_("The label that advertising needs is added by the office."))
    body = models.TextField(_("body"), help_text=_("Markdown. Placeholders: {full_name}, {company}."))
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=Status,
        default=Status.DRAFT,
        editable=False,
        help_text=_("Where it stands: changed by approving, launching and stopping alone."),
    )
    letter = models.CharField(
        _("digest of the letter"),
        max_length=64,
        unique=True,
        editable=False,
        help_text=_("Two campaigns with the same digest are the same letter."),
    )
    created_by = models.ForeignKey(
        Staff,
        on_delete=models.PROTECT,
        related_name="+",
        editable=False,
        verbose_name=_("created by"),
        help_text=_("Who wrote it, or changed it last."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, help_text=_("When it was written."))
    approved_by = models.ForeignKey(
        Staff,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("approved by"),
        help_text=_("Who let it out: another person than its author."),
    )
    launched_at = models.DateTimeField(_("launched at"), null=True, editable=False, help_text=_("When its messages were queued."))
    ended_at = models.DateTimeField(
        _("ended at"), null=True, editable=False, help_text=_("When the last message was settled, or it was stopped.")
    )
    history = HistoricalRecords(history_id_field=models.BigAutoField())
    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("campaign"), _("campaigns")
        ordering = ["-id"]
        permissions = [("approve_campaign", "Can approve, launch and stop campaigns")]
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("created_by")), name="campaign_approved_by_another_person"
            ),
            models.CheckConstraint(condition=Q(status="draft") | Q(approved_by__isnull=False), name="campaign_sent_only_when_approved"),
        ]

    def __str__(self):
        return f"{self.purpose.code} {self.pk}"

    @staticmethod
    def digest(purpose, subject, body):
        """Return what makes two campaigns the same letter."""
        return hashlib.sha256(f"{purpose.code}\0{subject}\0{body}".encode()).hexdigest()

    def clean(self):
        letters.check(self.subject, self.body, letters.CAMPAIGN_PLACEHOLDERS)
        if self.purpose_id is None:
            return  # the field itself says so
        if not self.purpose.needs_consent:
            raise ValidationError({"purpose": _("A campaign needs a purpose that rests on consent.")})
        same = Campaign.objects.filter(letter=self.digest(self.purpose, self.subject, self.body)).exclude(pk=self.pk)
        if same.exists():
            raise ValidationError(_("There is a campaign with this very letter already; nobody is to get it twice."))

    def _change(self, action, *, by, expected, **changes):
        """Lock, check where the campaign stands, change it with history and entry; what every verb below does."""
        with transaction.atomic():
            if self.pk:
                self.refresh_from_db(from_queryset=Campaign.objects.select_for_update())
            if self.status not in expected:
                status = self.get_status_display()
                raise ValidationError(_("This cannot be done to a campaign that is %(status)s."), params={"status": status})
            for name, value in changes.items():
                setattr(self, name, value)
            self._history_user, self._change_reason = audit.staff(by), action
            self.save()
            audit.record(action, by=by, obj=self, clause=self.purpose.clause, purpose=self.purpose.code, letter=self.letter)

    def draft(self, *, by):
        """Write the letter down, new or changed; it is then the letter of who did, and must be approved (again) by another."""
        self.full_clean(exclude=["created_by", "letter"])
        letter = {"purpose": self.purpose, "subject": self.subject, "body": self.body}
        self._change(
            "campaign.draft", by=by, expected=[self.Status.DRAFT, self.Status.APPROVED], **letter, letter=self.digest(**letter),
            status=self.Status.DRAFT, approved_by=None, created_by=by,
        )  # fmt: skip

    def approve(self, *, by):
        """Say that the letter may go out; never by the person who made it."""
        if by is None or by == self.created_by:
            raise ValidationError(_("A campaign is approved by another person than the one who made it."))
        self._change("campaign.approve", by=by, expected=[self.Status.DRAFT], status=self.Status.APPROVED, approved_by=by)

    def launch(self, *, by):
        """Queue one message for each customer who may get the letter as things stand; the gate decides again for each when it leaves."""
        letters.require_advertiser()
        with transaction.atomic():
            self._change("campaign.launch", by=by, expected=[self.Status.APPROVED], status=self.Status.SENDING, launched_at=timezone.now())
            ids = gate.candidates(self.purpose, Channel.EMAIL).order_by("pk").values_list("pk", flat=True)
            batch = []
            for pk in ids.iterator(chunk_size=BATCH):
                batch.append(Message(campaign=self, customer_id=pk, purpose=self.purpose))
                if len(batch) == BATCH:
                    Message.objects.bulk_create(batch)
                    batch = []
            Message.objects.bulk_create(batch)

    def stop(self, *, by):
        """End the sending; what has not left never will: the postman blocks what it has in hand."""
        with transaction.atomic():
            self._change("campaign.stop", by=by, expected=[self.Status.SENDING], status=self.Status.STOPPED, ended_at=timezone.now())
            queued = Message.objects.filter(campaign=self, state=Message.State.QUEUED)
            stopped = {"reason": "campaign_stopped", "clause": self.purpose.clause, "decided_at": timezone.now()}
            count = queued.update(state=Message.State.BLOCKED, **stopped)
            audit.record("campaign.block", by=by, obj=self, clause=self.purpose.clause, messages=count)

    def finish(self):
        """Close the campaign when nothing of it is open."""
        self._change("campaign.finish", by=None, expected=[self.Status.SENDING], status=self.Status.DONE, ended_at=timezone.now())


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
    history = HistoricalRecords(history_id_field=models.BigAutoField())
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
                left = list(self.filter(state=Message.State.CLAIMED, worker=worker).select_for_update().select_related("purpose"))
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
        Campaign,
        on_delete=models.PROTECT,
        null=True,
        related_name="messages",
        verbose_name=_("campaign"),
        help_text=_("The campaign it belongs to."),
    )
    notice = models.ForeignKey(
        RenewalNotice,
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
    """Queue one message for each customer of whom services expire in as many days as an active notice names; return the messages."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RENEWALS_LOCK])  # two runs at once would each miss the other's rows
        purpose = Purpose.objects.get(code="service_renewal")
        due = {}
        for notice in RenewalNotice.objects.filter(active=True).order_by("days_before"):
            expires_on = today + timedelta(days=notice.days_before)
            told = RenewalItem.objects.filter(service=OuterRef("pk"), expires_on=expires_on, days_before=notice.days_before)
            for service in Service.objects.expiring(expires_on).exclude(Exists(told)).order_by("pk").only("pk", "customer_id"):
                due.setdefault(service.customer_id, []).append((service, expires_on, notice))
        messages = Message.objects.bulk_create(
            Message(notice=lines[0][2], customer_id=customer, purpose=purpose) for customer, lines in due.items()
        )
        RenewalItem.objects.bulk_create(
            RenewalItem(message=message, service=service, expires_on=expires_on, days_before=notice.days_before)
            for message in messages
            for service, expires_on, notice in due[message.customer_id]
        )
        if messages:
            audit.record("renewals.queue", by=by, clause="§2.2", messages=len(messages), day=today.isoformat())
    return messages
