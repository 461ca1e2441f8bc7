"""One letter to everyone who may get it, made by one person and let out by another."""

import hashlib

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from audit import models as audit
from consent import gate
from consent.models import Channel, Purpose
from mailings import letters
from mailings.models.messages import Message
from privacy_office.models import Staff
from privacy_office.querysets import TrackedQuerySet

BATCH = 5000


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
