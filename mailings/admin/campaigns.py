"""Campaigns, renewal notices and messages for staff. Refuses to show an address, and to whoever makes campaigns a person."""

import math
from datetime import timedelta
from functools import partial

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, ValidationError
from django.db import transaction
from django.forms.widgets import Script
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from consent.models import Purpose
from customers.models import Customer, Reveal
from mailings import letters, tasks, trials
from mailings.models import Campaign, CompanyHost, Message, RelayRule, RenewalNotice
from privacy_office.admin import MASK, Act, Lately, ReadOnlyAdmin, TrackedAdmin
from privacy_office.fields import UndecryptableValue

Status = Campaign.Status
letter_in_a_frame = csp_update({"style-src": [UNSAFE_INLINE]})  # a mail carries its style; the frame it is shown in runs nothing


class TestMail(Act):
    name, label = "test", _("Send a test to myself")
    permission = "mailings.change_campaign"
    explanation = _("The letter as it was last saved goes to your own address, once in each language, marked as a test.")

    def offered(self):
        return self.row.status in Campaign.UNBEGUN

    def act(self):
        trials.send(self.row, by=self.by)


class AskDryRun(Act):
    name, label = "dry-run", _("Dry run")
    permission = "mailings.try_campaign"
    explanation = _("Counts who would get the letter if it went out now and who not, by reason. Nothing is sent, and nobody is named.")

    def offered(self):
        return self.row.status in Campaign.UNBEGUN

    def act(self):
        self.row.ask_dry_run(by=self.by)
        transaction.on_commit(tasks.wake_counting)


class Approve(Act):
    name, label = "approve", _("Approve")
    permission = "mailings.approve_campaign"
    explanation = _(
        "You have read the letter and the dry run below and say that it may go out to this audience."
        " Nobody approves what they made themselves."
    )
    letter = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["letter"].initial = row.version

    def to_read(self):
        return [(_("Who would get it"), "\n".join([*meant(self.row), counted(self.row.fresh_dry_run())])), *to_read(self.row)]

    def clean_letter(self):
        if self.cleaned_data["letter"] != self.row.version:
            raise ValidationError(_("The letter or its audience was changed since you read it."))

    def offered(self):
        return self.row.status == Status.DRAFT

    def act(self):
        self.row.approve(by=self.by)


class Schedule(Act):
    name, label = "schedule", _("Schedule")
    permission = "mailings.approve_campaign"
    step_up = True
    explanation = _("Sending begins by itself at this moment. Whether a customer may get the letter is asked again for each, as it leaves.")
    starts_at = forms.SplitDateTimeField(label=_("starts at"), widget=AdminSplitDateTime)

    def offered(self):
        return self.row.status in (Status.APPROVED, Status.SCHEDULED)

    def act(self):
        try:
            self.row.schedule(self.cleaned_data["starts_at"], by=self.by)
        except ImproperlyConfigured as gap:
            raise ValidationError(str(gap)) from None


class Launch(Act):
    name, label = "launch", _("Launch")
    permission = "mailings.approve_campaign"
    step_up = True
    explanation = _("Sending begins at once. Whether a customer may get the letter is asked again for each, as it leaves.")

    def offered(self):
        return self.row.status in (Status.APPROVED, Status.SCHEDULED)

    def act(self):
        try:
            self.row.launch(by=self.by)
        except ImproperlyConfigured as gap:
            raise ValidationError(str(gap)) from None
        transaction.on_commit(partial(tasks.wake, tasks.WAKE))


class Pause(Act):
    name, label = "pause", _("Pause")
    permission = "mailings.approve_campaign"
    explanation = _("No more is taken up until somebody has it go on; what a worker has in hand still leaves, some dozens at most.")

    def offered(self):
        return self.row.status == Status.SENDING

    def act(self):
        self.row.pause(by=self.by)


class Resume(Act):
    name, label = "resume", _("Go on")
    permission = "mailings.approve_campaign"
    explanation = _("Sending goes on with what waits.")

    def offered(self):
        return self.row.status == Status.PAUSED

    def act(self):
        self.row.resume(by=self.by)
        transaction.on_commit(partial(tasks.wake, tasks.WAKE))


class Stop(Act):
    name, label = "stop", _("Stop")
    permission = "mailings.approve_campaign"
    explanation = _("Ends the sending for good. What has left cannot be called back; what has not left never will.")

    def offered(self):
        return self.row.status in (Status.SCHEDULED, Status.SENDING, Status.PAUSED)

    def act(self):
        self.row.stop(by=self.by)


def to_read(campaign):
    """Return (title, text) of the letter in each language."""
    return [(f"{language}: {subject}", text) for language, subject, text, _html in trials.previews(campaign)]


def meant(campaign):
    """Return whom a letter is meant for, a line for each thing that narrows it."""
    chosen = {name: getattr(campaign, f"get_{name}_display", lambda name=name: getattr(campaign, name))() for name in Campaign.AUDIENCE}
    return [f"{capfirst(Campaign._meta.get_field(name).verbose_name)}: {value}" for name, value in chosen.items() if value]


def counted(dry_run):
    """Return what a dry run found, as text."""
    if dry_run is None:
        return str(_("It takes a dry run of this very letter and audience, not older than a day."))
    lines = [_("counted at %(when)s") % {"when": f"{timezone.localtime(dry_run.done_at):%d/%m/%Y %H:%M}"}]
    lines += [_("would get it: %(number)d") % {"number": dry_run.allowed}]
    lines += [_("would not, %(reason)s: %(number)d") % {"reason": reason, "number": number} for reason, number in dry_run.reasons]
    return "\n".join(map(str, lines))


class WithPlaceholders(TrackedAdmin):
    """Letters with placeholders, which a script offers as buttons; without it the fields' help names them."""

    class Media:
        js = [Script("placeholders.js", defer=True)]

    def placeholders(self):
        return letters.CAMPAIGN_PLACEHOLDERS

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name.startswith(("subject", "body")):
            field.widget.attrs |= {"data-placeholders": " ".join(self.placeholders()), "data-label": _("Insert a placeholder")}
        return field


@admin.register(Campaign)
class CampaignAdmin(WithPlaceholders):
    list_display = ["id", "subject", "purpose", "status", "created_by", "approved_by", "starts_at", "launched_at"]
    export_display = ["id", "purpose", "status", "created_by", "approved_by", "starts_at", "launched_at", "ended_at"]
    when_empty = _("There are no campaigns yet. Write the first letter: a colleague approves it, and nothing leaves before.")
    list_select_related = ["purpose", "created_by", "approved_by"]
    list_filter = ["status", "purpose", ("launched_at", Lately)]
    list_display_links = ["id", "subject"]

    class Media:
        js = [Script("preview.js", defer=True)]

    acts = [TestMail, AskDryRun, Approve, Schedule, Launch, Pause, Resume, Stop]
    readonly_fields = ["status", "created_by", "created_at", "approved_by", "starts_at", "launched_at", "ended_at", "failed"]

    def placeholders(self):
        return letters.SURVEY_PLACEHOLDERS

    @method_decorator(letter_in_a_frame)
    def changeform_view(self, request, *args, **kwargs):
        return super().changeform_view(request, *args, **kwargs)

    def get_fieldsets(self, request, obj=None):
        written = [(_("Letter"), {"fields": Campaign.LETTER}), (_("Whom it is for"), {"fields": Campaign.AUDIENCE})]
        return [*written, (_("Where it stands"), {"fields": self.readonly_fields})] if obj else written

    def has_change_permission(self, request, obj=None):
        open_to_change = obj is None or obj.status in Campaign.UNBEGUN
        return super().has_change_permission(request, obj) and open_to_change

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "survey_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        consented = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT)
        return super().formfield_for_foreignkey(db_field, request, queryset=consented, **kwargs)

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.draft(by=request.user)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj:
            context |= {"previews": to_read(obj), "dry_run": obj.dry_runs.first(), "version": obj.version}
            if obj.launched_at:
                context |= progress(obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self):
        view = self.admin_site.admin_view(self.preview_view)
        return [
            path("preview/", view, name="mailings_campaign_preview_new"),
            path("<int:object_id>/preview/", view, name="mailings_campaign_preview"),
            *super().get_urls(),
        ]

    @method_decorator(letter_in_a_frame)
    def preview_view(self, request, object_id=None):
        """Show the letter to an invented reader: as it is saved, or as it was just typed, which is kept nowhere."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(self.get_queryset(request).select_related("purpose"), pk=object_id) if object_id else Campaign()
        errors = None
        if request.method == "POST":
            form = self.get_form(request, row if object_id else None, change=bool(object_id))(request.POST, instance=row)
            errors = form.errors  # asking for them writes what is right into the row
        shown = trials.previews(row) if row.purpose_id else []
        of = row if object_id else _("new")
        return self.page(request, "admin/mailings/letters.html", of, _("Preview"), letters=shown, errors=errors)

    def url_of(self, row):
        return super().url_of(row) if isinstance(row, Campaign) else reverse("admin:mailings_campaign_add")


def progress(campaign):
    """Return how far the sending has come, at which rate, what became of its messages, and who refused by them."""
    messages = Message.objects.filter(campaign=campaign)
    report = messages.report()
    told = {"report": report, "refusals": campaign.refusals(), "settled": report["audience"] - report["open"]}
    if campaign.status == Status.SENDING:
        rate, left = messages.progress(timezone.now())
        told |= {"rate": rate, "left": left and timedelta(seconds=math.ceil(left))}
    return told


@admin.register(RenewalNotice)
class RenewalNoticeAdmin(WithPlaceholders):
    list_display = ["days_before", "subject_vi", "subject_en", "active"]
    fields = ["days_before", "subject_vi", "body_vi", "subject_en", "body_en", "active"]

    def placeholders(self):
        return letters.RENEWAL_PLACEHOLDERS


@admin.register(CompanyHost)
class CompanyHostAdmin(TrackedAdmin):
    list_display = ["host", "active"]
    fields = ["host", "active"]


@admin.register(RelayRule)
class RelayRuleAdmin(TrackedAdmin):
    list_display = ["relay", "per_minute", "wait_after", "wait_seconds", "first", "failed_percent"]
    fields = ["relay", "per_minute", "wait_after", "wait_seconds", "first", "failed_percent"]
    readonly_fields = ["relay"]


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ["id", "purpose", "state", "reason", "clause", "created_at", "sent_at"]
    when_empty = _("No mail was queued yet. Campaigns, renewal notices and what customers must be told queue theirs.")
    list_select_related = ["purpose"]
    list_filter = ["state", "purpose", ("created_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "customer", "purpose", "campaign", "renewal", "notice", "state", "reason", "clause", "evidence", "decided_at",
        "created_at", "not_before", "sent_at", "attempts", "reply", "bounced_at", "bounce",
    ]  # fmt: skip

    def get_urls(self):
        view = self.admin_site.admin_view(self.as_sent_view)
        return [path("<int:object_id>/as-sent/", view, name="mailings_message_as_sent"), *super().get_urls()]

    @transaction.non_atomic_requests  # the entry of a look at the name is committed before it is decrypted
    @method_decorator([require_GET, letter_in_a_frame])
    def as_sent_view(self, request, object_id):
        """Show the letter as it was when it left: with the name for who has it revealed at this moment, masked for everybody else."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("purpose", "campaign", "renewal", "notice", "customer")
        row = get_object_or_404(rows.defer("notice__address", *(f"customer__{name}" for name in Customer.PERSONAL)), pk=object_id)
        reveal = Reveal.objects.of(row.customer).live().filter(by=request.user, field="full_name").order_by("-pk").first()
        name = MASK
        if reveal:
            try:
                name = reveal.view(by=request.user)
            except (ValidationError, UndecryptableValue):
                reveal = None
        mail = trials.as_sent(row, name)
        letter = ("", mail.subject, mail.body, mail.alternatives[0].content)
        response = self.page(request, "admin/mailings/letters.html", row, _("As it was sent"), letters=[letter], message=row)
        response["Referrer-Policy"] = "no-referrer" if reveal else "same-origin"
        if reveal:
            left = math.ceil((reveal.expires_at - timezone.now()).total_seconds())
            response["Refresh"] = f"{max(left, 0)}; url={self.url_of(row)}"
        return response
