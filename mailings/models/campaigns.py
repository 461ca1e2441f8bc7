"""One letter to everyone who may get it, made by one person, tried out, and let out by another."""

import hashlib
import re
from collections import Counter
from datetime import timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from consent import gate
from consent.models import Channel, ConsentEvent, Purpose, Source
from customers.models import Customer, Service
from mailings import letters
from mailings.models.messages import Message
from mailings.models.relays import RelayRule
from privacy_office.fields import UndecryptableValue
from privacy_office.models import Staff
from privacy_office.querysets import TrackedQuerySet

BATCH = 5000
FRESH = timedelta(hours=24)  # how long a dry run shows what an approval rests on: the office's own number


class Text(NamedTuple):
    """What a letter says in one language."""

    subject: str
    body: str


class CampaignQuerySet(TrackedQuerySet):
    def sending(self):
        """Return those of which mail may leave: of a paused one nothing is taken up, but what a worker has in hand still goes."""
        return self.filter(status__in=[Campaign.Status.SENDING, Campaign.Status.PAUSED])

    def finished(self):
        """Return those being sent of which no message is open any more."""
        return self.sending().exclude(Exists(Message.objects.open().filter(campaign=OuterRef("pk"))))

    def to_start(self, at):
        """Return those whose moment has come."""
        return self.filter(status=Campaign.Status.SCHEDULED, starts_at__lte=at)


class Campaign(models.Model):
    """One letter to everyone who may get it, made by one person and approved by another (§1.1, §2.3-2.5)."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        APPROVED = "approved", _("approved")
        SCHEDULED = "scheduled", _("scheduled")
        SENDING = "sending", _("sending")
        PAUSED = "paused", _("paused")
        STOPPED = "stopped", _("stopped")
        DONE = "done", _("done")

    UNBEGUN = (Status.DRAFT, Status.APPROVED, Status.SCHEDULED)  # the letter may still be changed

    purpose = models.ForeignKey(
        Purpose,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("purpose"),
        help_text=_("Only who consented to it gets the letter."),
    )
    # Not subject_vi and body_vi: the digests in the trail name the columns, and those of older campaigns must stay true.
    subject = models.CharField(
        _("subject in Vietnamese"), max_length=150, help_text=_("The label that advertising needs is added by the office.")
    )
    body = models.TextField(
        _("body in Vietnamese"), help_text=_("Markdown. Placeholders: {full_name}, {company}; in a survey {survey}, its address.")
    )
    subject_en = models.CharField(
        _("subject in English"), max_length=150, blank=True, help_text=_("Without English texts everybody gets the Vietnamese ones.")
    )
    body_en = models.TextField(_("body in English"), blank=True, help_text=_("As in Vietnamese."))
    survey_url = models.URLField(
        _("address of the survey"), max_length=300, blank=True, help_text=_("Of a survey alone: where it is answered.")
    )
    product = models.CharField(
        _("product"), max_length=100, blank=True, help_text=_("Only who has this service, as it is called in the list of services.")
    )
    plan = models.CharField(_("plan"), max_length=100, blank=True, help_text=_("Only who has a service with this plan."))
    expires_from = models.DateField(
        _("expires from"), null=True, blank=True, help_text=_("Only who has a service whose last day is this one or later.")
    )
    expires_until = models.DateField(
        _("expires until"), null=True, blank=True, help_text=_("Only who has a service whose last day is this one or earlier.")
    )
    language = models.CharField(
        _("language"), max_length=5, choices=Customer.Locale, blank=True, help_text=_("Only who reads this language.")
    )
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
    starts_at = models.DateTimeField(
        _("starts at"), null=True, editable=False, help_text=_("The moment at which its sending begins by itself.")
    )
    launched_at = models.DateTimeField(_("launched at"), null=True, editable=False, help_text=_("When its messages were queued."))
    ended_at = models.DateTimeField(
        _("ended at"), null=True, editable=False, help_text=_("When the last message was settled, or it was stopped.")
    )
    failed = models.PositiveSmallIntegerField(
        _("stopped at failures"),
        null=True,
        editable=False,
        help_text=_("How many of its first messages had failed when it stopped by itself."),
    )
    LETTER = ("purpose", "subject", "body", "subject_en", "body_en", "survey_url")
    AUDIENCE = ("product", "plan", "expires_from", "expires_until", "language")
    history = History()
    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("campaign"), _("campaigns")
        ordering = ["-id"]
        permissions = [
            ("approve_campaign", "Can approve, launch and stop campaigns"),
            ("try_campaign", "Can have counted whom a campaign would reach"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("created_by")), name="campaign_approved_by_another_person"
            ),
            models.CheckConstraint(condition=Q(status="draft") | Q(approved_by__isnull=False), name="campaign_sent_only_when_approved"),
        ]

    def __str__(self):
        return f"{self.purpose.code} {self.pk}"

    @property
    def text(self):
        """The Text in the active language; where there is no English one, the one that there is."""
        subject, body = (self.subject_en, self.body_en) if get_language() == "en" and self.subject_en else (self.subject, self.body)
        return Text(subject, body.replace("{survey}", self.survey_url) if self.survey_url else body)

    def digest(self):
        """Return what makes two campaigns the same letter, whoever is to get it."""
        said = [self.purpose.code, self.subject, self.body, self.subject_en, self.body_en, self.survey_url]
        return hashlib.sha256("\0".join(said).rstrip("\0").encode()).hexdigest()

    @property
    def version(self):
        """What a dry run was of, and what an approver has read: the letter and its audience."""
        said = [self.digest(), *(str(getattr(self, name) or "") for name in self.AUDIENCE)]
        return hashlib.sha256("\0".join(said).encode()).hexdigest()

    def audience(self, customers):
        """Return those of a queryset of customers whom the letter is meant for; whether each may get it is the gate's to say."""
        wanted = {"product": self.product, "plan": self.plan, "expires_on__gte": self.expires_from, "expires_on__lte": self.expires_until}
        if wanted := {lookup: value for lookup, value in wanted.items() if value}:
            customers = customers.filter(Exists(Service.objects.filter(customer=OuterRef("pk"), **wanted)))
        return customers.filter(locale=self.language) if self.language else customers

    def clean(self):
        survey = self.purpose_id is not None and self.purpose.kind == Purpose.Kind.SURVEY
        placeholders = letters.SURVEY_PLACEHOLDERS if survey else letters.CAMPAIGN_PLACEHOLDERS
        letters.check(self.subject, self.body, placeholders)
        letters.check(self.subject_en, self.body_en, placeholders, field="_en")
        if bool(self.subject_en) != bool(self.body_en):
            raise ValidationError({"subject_en": _("Give both English texts, or none.")})
        if self.purpose_id is None:
            return  # the field itself says so
        if not self.purpose.needs_consent:
            raise ValidationError({"purpose": _("A campaign needs a purpose that rests on consent.")})
        if survey != self.survey_url.startswith(("https://", "http://")) or bool(self.survey_url) != survey:
            raise ValidationError({"survey_url": _("A survey needs the address where it is answered; nothing else has one.")})
        if survey and not all("{survey}" in body for body in (self.body, self.body_en) if body):
            raise ValidationError({"body": _("A survey leads to its address: write {survey} where it is to stand.")})
        if self.expires_from and self.expires_until and self.expires_from > self.expires_until:
            raise ValidationError({"expires_until": _("The last day comes before the first.")})
        for name in ("product", "plan"):
            if getattr(self, name) and not Service.objects.filter(**{name: getattr(self, name)}).exists():
                raise ValidationError({name: _("No service is called so.")})
        if Campaign.objects.filter(letter=self.digest()).exclude(pk=self.pk).exists():
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
        """Write the letter down, new or changed; it is then the letter of who did, and must be tried and approved (again)."""
        self.full_clean(exclude=["created_by", "letter"])
        written = {name: getattr(self, name) for name in (*self.LETTER, *self.AUDIENCE)}
        self._change(
            "campaign.draft", by=by, expected=self.UNBEGUN, **written,
            letter=self.digest(), status=self.Status.DRAFT, approved_by=None, starts_at=None, created_by=by,
        )  # fmt: skip

    def ask_dry_run(self, *, by):
        """Have it counted who would get the letter; return the DryRun that waits for a worker."""
        with transaction.atomic():
            asked = DryRun.objects.create(campaign=self, version=self.version, asked_by=audit.staff(by))
            audit.record("campaign.ask_dry_run", by=by, obj=asked, clause=self.purpose.clause, campaign=self.pk)
        return asked

    def fresh_dry_run(self):
        """Return the newest dry run of this very letter and audience that is done and not a day old, or None."""
        done = self.dry_runs.filter(version=self.version, done_at__gt=timezone.now() - FRESH)
        return done.first()

    def approve(self, *, by):
        """Say that the letter may go out; never by the person who made it, and not before it was counted who would get it."""
        if by is None or by == self.created_by:
            raise ValidationError(_("A campaign is approved by another person than the one who made it."))
        with transaction.atomic():
            self.refresh_from_db(from_queryset=Campaign.objects.select_for_update())
            if self.status == self.Status.DRAFT and not self.fresh_dry_run():
                raise ValidationError(_("It takes a dry run of this very letter and audience, not older than a day."))
            self._change("campaign.approve", by=by, expected=[self.Status.DRAFT], status=self.Status.APPROVED, approved_by=by)

    def schedule(self, at, *, by):
        """Have the sending begin by itself at a moment to come."""
        letters.require_advertiser()
        if at <= timezone.now():
            raise ValidationError(_("This moment has passed."))
        expected = [self.Status.APPROVED, self.Status.SCHEDULED]
        self._change("campaign.schedule", by=by, expected=expected, status=self.Status.SCHEDULED, starts_at=at)

    def launch(self, *, by):
        """Queue one message for each customer who may get the letter as things stand; the gate decides again for each when it leaves."""
        letters.require_advertiser()
        with transaction.atomic():
            expected = [self.Status.APPROVED, self.Status.SCHEDULED]
            self._change("campaign.launch", by=by, expected=expected, status=self.Status.SENDING, launched_at=timezone.now())
            ids = self.audience(gate.candidates(self.purpose, Channel.EMAIL)).order_by("pk").values_list("pk", flat=True)
            batch = []
            for pk in ids.iterator(chunk_size=BATCH):
                batch.append(Message(campaign=self, customer_id=pk, purpose=self.purpose))
                if len(batch) == BATCH:
                    Message.objects.bulk_create(batch)
                    batch = []
            Message.objects.bulk_create(batch)

    def pause(self, *, by):
        """Have no more taken up; what waits stays queued, and what a worker has in hand still leaves."""
        self._change("campaign.pause", by=by, expected=[self.Status.SENDING], status=self.Status.PAUSED)

    def resume(self, *, by):
        """Go on with what waits."""
        self._change("campaign.resume", by=by, expected=[self.Status.PAUSED], status=self.Status.SENDING)

    def stop(self, *, by):
        """End it for good; what has not left never will: the postman blocks what it has in hand."""
        with transaction.atomic():
            expected = [self.Status.SCHEDULED, self.Status.SENDING, self.Status.PAUSED]
            self._change("campaign.stop", by=by, expected=expected, status=self.Status.STOPPED, ended_at=timezone.now())
            queued = Message.objects.filter(campaign=self, state=Message.State.QUEUED)
            stopped = {"reason": "campaign_stopped", "clause": self.purpose.clause, "decided_at": timezone.now()}
            count = queued.update(state=Message.State.BLOCKED, **stopped)
            audit.record("campaign.block", by=by, obj=self, clause=self.purpose.clause, messages=count)

    def halt(self):
        """Stop by itself, when too many of its first messages failed: nothing where it does not go on, or they did not."""
        rule = RelayRule.current()
        tried = Message.objects.filter(campaign=self, state__in=Message.TRIED).order_by("customer_id")  # as they were queued
        failed = list(tried.values_list("state", flat=True)[: rule.first]).count(Message.State.FAILED)
        if failed < rule.too_many_failed:
            return
        with transaction.atomic():
            self.stop(by=None)
            self._change("campaign.halt", by=None, expected=[self.Status.STOPPED], failed=failed)

    def finish(self):
        """Close the campaign when nothing of it is open."""
        expected = [self.Status.SENDING, self.Status.PAUSED]
        self._change("campaign.finish", by=None, expected=expected, status=self.Status.DONE, ended_at=timezone.now())

    def refusals(self):
        """Return how many customers refused by a link in one of its messages, by a reply to one, or complained of one."""
        sources = [Source.ONE_CLICK, Source.PREFERENCE_PAGE, Source.REPLY, Source.COMPLAINT]
        said = ConsentEvent.objects.filter(source__in=sources, at__gte=self.launched_at, customer__messages__campaign=self)
        told = {read(event.evidence) for event in said.exclude(evidence=None).select_related("evidence").iterator()}
        named = filter(None, (re.match(r"message (\d+)\b", text) for text in told))
        return self.messages.filter(pk__in=[int(match[1]) for match in named]).count()


def read(evidence):
    """Return the words of an evidence; nothing where they are erased or cannot be read, as a report must not fail by one of them."""
    try:
        return evidence.text or ""
    except UndecryptableValue:
        return ""


class DryRunQuerySet(models.QuerySet):
    def count_next(self):
        """Count for the oldest dry run that waits and that nobody else counts; return it, None where there is none."""
        with transaction.atomic():
            waiting = self.filter(done_at=None).select_related("campaign__purpose").order_by("pk")
            run = waiting.select_for_update(of=["self"], skip_locked=True).first()
            if run:
                run.count()
        return run


class DryRun(models.Model):
    """How many would get a letter and how many not, by reason, when it was asked. Names nobody, and nothing is sent."""

    campaign = models.ForeignKey(
        Campaign, on_delete=models.PROTECT, related_name="dry_runs", verbose_name=_("campaign"), help_text=_("Whose letter it is.")
    )
    version = models.CharField(
        _("letter and audience"), max_length=64, help_text=_("Digest of the letter and the audience that it was of.")
    )
    asked_by = models.ForeignKey(
        Staff, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("asked by"), help_text=_("Who wanted to know.")
    )
    asked_at = models.DateTimeField(_("asked at"), default=timezone.now, help_text=_("When it was asked for."))
    done_at = models.DateTimeField(_("done at"), null=True, help_text=_("When it was counted."))
    allowed = models.PositiveIntegerField(_("allowed"), default=0, help_text=_("How many would get it."))
    refused = models.JSONField(_("refused"), default=dict, help_text=_("How many would not, by the gate's reason."))
    objects = DryRunQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("dry run"), _("dry runs")
        ordering = ["-pk"]
        indexes = [models.Index(fields=["id"], condition=Q(done_at=None), name="dryrun_waiting")]

    def __str__(self):
        return f"{self.pk}"

    @property
    def audience(self):
        return self.allowed + sum(self.refused.values())

    @property
    def reasons(self):
        """The reasons with their counts, the most frequent first."""
        return sorted(self.refused.items(), key=lambda item: -item[1])

    def count(self):
        """Ask the gate about everyone whom the letter is meant for, in chunks, and keep the counts."""
        campaign = self.campaign
        asked = gate.audience(campaign.purpose.code, Channel.EMAIL, among=campaign.audience(Customer.objects.all()))
        counts = Counter(decision.reason for _ref, decision in asked)
        self.version = campaign.version
        self.allowed, self.refused, self.done_at = counts.pop("allowed", 0), dict(counts), timezone.now()
        with transaction.atomic():
            self.save()
            told = {"campaign": campaign.pk, "version": self.version, "allowed": self.allowed, "refused": self.refused}
            audit.record("campaign.dry_run", by=None, obj=self, clause=campaign.purpose.clause, **told)
