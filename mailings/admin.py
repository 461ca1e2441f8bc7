"""Campaigns, renewal notices and messages for staff. Refuses to show an address, and to whoever makes campaigns a person."""

from collections import Counter
from functools import partial

from django import forms
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, ValidationError
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.translation import gettext_lazy as _

from consent import gate
from consent.models import Channel, ChannelRule, Purpose
from customers.models import Customer
from mailings import letters, tasks
from mailings.models import Campaign, Message, RenewalNotice
from privacy_office.admin import Act, ReadOnlyAdmin, TrackedAdmin


class Approve(Act):
    name, label = "approve", _("Approve")
    permission = "mailings.approve_campaign"
    explanation = _("You have read the letter below and say that it may go out. Nobody approves what they made themselves.")
    letter = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["letter"].initial = row.letter

    def to_read(self):
        return previews(self.row)

    def clean_letter(self):
        if self.cleaned_data["letter"] != self.row.letter:
            raise ValidationError(_("The letter was changed since you read it."))

    def offered(self):
        return self.row.status == Campaign.Status.DRAFT

    def act(self):
        self.row.approve(by=self.by)


class Launch(Act):
    name, label = "launch", _("Launch")
    permission = "mailings.approve_campaign"
    explanation = _("Sending begins at once. Whether a customer may get the letter is asked again for each, as it leaves.")

    def offered(self):
        return self.row.status == Campaign.Status.APPROVED

    def act(self):
        try:
            self.row.launch(by=self.by)
        except ImproperlyConfigured as gap:
            raise ValidationError(str(gap)) from None
        transaction.on_commit(partial(tasks.wake, tasks.WAKE))


class Stop(Act):
    name, label = "stop", _("Stop")
    permission = "mailings.approve_campaign"
    explanation = _("Ends the sending for good. What has left cannot be called back; what has not left never will.")

    def offered(self):
        return self.row.status == Campaign.Status.SENDING

    def act(self):
        self.row.stop(by=self.by)


@admin.register(Campaign)
class CampaignAdmin(TrackedAdmin):
    list_display = ["id", "subject", "purpose", "status", "created_by", "approved_by", "launched_at"]
    list_select_related = ["purpose", "created_by", "approved_by"]
    list_filter = ["status", "purpose"]
    list_display_links = ["id", "subject"]
    acts = [Approve, Launch, Stop]
    readonly_fields = ["status", "created_by", "created_at", "approved_by", "launched_at", "ended_at"]

    def get_fields(self, request, obj=None):
        letter = ["purpose", "subject", "body"]
        return [*letter, *self.readonly_fields] if obj else letter

    def has_change_permission(self, request, obj=None):
        open_to_change = obj is None or obj.status in (Campaign.Status.DRAFT, Campaign.Status.APPROVED)
        return super().has_change_permission(request, obj) and open_to_change

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        consented = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT)
        return super().formfield_for_foreignkey(db_field, request, queryset=consented, **kwargs)

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.draft(by=request.user)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj:
            context["previews"] = previews(obj)
            context["report"] = Message.objects.filter(campaign=obj).report() if obj.launched_at else None
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self):
        dry_run = self.admin_site.admin_view(self.dry_run_view)
        return [path("<int:object_id>/dry-run/", dry_run, name="mailings_campaign_dry_run"), *super().get_urls()]

    def dry_run_view(self, request, object_id):
        """Count who would get the letter now and who not, by reason; names nobody and changes nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        campaign = get_object_or_404(self.get_queryset(request).select_related("purpose"), pk=object_id)
        counts = Counter(decision.reason for _ref, decision in gate.audience(campaign.purpose.code, Channel.EMAIL))
        allowed = counts.pop("allowed", 0)
        return self.page(request, "admin/dry_run.html", campaign, _("Dry run"), allowed=allowed, refused=counts.most_common())


def previews(campaign):
    """Return (title, text) of the letter as an invented customer of each language would read it, or what it lacks."""
    rule = ChannelRule.objects.filter(channel=Channel.EMAIL).first()
    made = []
    for locale in Customer.Locale:
        reader = Customer(full_name="Nguyễn Văn Mẫu", email="mau@example.org", locale=locale)
        try:
            mail = letters.build(Message(campaign=campaign, purpose=campaign.purpose), reader, rule)
            made.append((f"{locale.label}: {mail.subject}", mail.body))
        except (ImproperlyConfigured, ValueError) as gap:
            made.append((locale.label + ": " + _("this letter cannot be made"), str(gap)))
    return made


@admin.register(RenewalNotice)
class RenewalNoticeAdmin(TrackedAdmin):
    list_display = ["days_before", "subject_vi", "subject_en", "active"]
    fields = ["days_before", "subject_vi", "body_vi", "subject_en", "body_en", "active"]


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ["id", "purpose", "state", "reason", "clause", "created_at", "sent_at"]
    list_select_related = ["purpose"]
    list_filter = ["state", "purpose"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "customer", "purpose", "campaign", "notice", "state", "reason", "clause", "evidence", "decided_at",
        "created_at", "not_before", "sent_at", "attempts", "reply",
    ]  # fmt: skip
