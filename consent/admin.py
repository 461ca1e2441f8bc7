"""Purposes, the law's rules, policy versions and the ledger of consent for staff. Refuses to write a consent: customers and verbs do."""

from django import forms
from django.contrib import admin
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from consent.models import Channel, ChannelRule, ConsentEvent, ConsentState, PolicyVersion, Purpose, Suppression
from privacy_office.admin import Act, ReadOnlyAdmin, TrackedAdmin


@admin.register(Purpose)
class PurposeAdmin(TrackedAdmin):
    list_display = ["code", "title", "clause", "legal_basis", "kind"]
    fields = ["code", "title_vi", "title_en", "clause", "legal_basis", "kind", "channels", "fields", "while_associated", "retention_days"]
    readonly_fields = ["code", "clause", "legal_basis", "kind", "fields", "while_associated"]

    @admin.display(description=_("title"))
    def title(self, purpose):
        return purpose.title

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "channels":
            return forms.MultipleChoiceField(
                label=capfirst(db_field.verbose_name), help_text=db_field.help_text, choices=Channel, widget=forms.CheckboxSelectMultiple
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(ChannelRule)
class ChannelRuleAdmin(TrackedAdmin):
    list_display = ["channel", "cap", "opens", "closes", "label", "source"]
    fields = ["channel", "cap", "opens", "closes", "label", "source"]
    readonly_fields = ["channel"]


class Publish(Act):
    name, label = "publish", _("Publish")
    permission = "consent.change_policyversion"
    explanation = _("Puts this version into effect now and for good. It can never be changed again.")

    def offered(self):
        return self.row.published_at is None

    def to_read(self):
        return [(language, text) for language, text in (("Tiếng Việt", self.row.text_vi), ("English", self.row.text_en)) if text]

    def act(self):
        self.row.publish(by=self.by)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(TrackedAdmin):
    list_display = ["number", "severity", "published_at"]
    fields = ["number", "severity", "changes", "text_vi", "text_en", "published_at", "digest"]
    readonly_fields = ["published_at", "digest"]
    acts = [Publish]

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and (obj is None or obj.published_at is None)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return super().formfield_for_manytomany(db_field, request, widget=forms.CheckboxSelectMultiple, **kwargs)

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            values = {name: form.cleaned_data[name] for name in form.changed_data if name != "changes"}
            obj.draft(by=request.user, changes=form.cleaned_data["changes"], **values)


@admin.register(ConsentState)
class ConsentStateAdmin(ReadOnlyAdmin):
    list_display = ["customer", "purpose", "channel", "state", "at", "policy_version"]
    list_select_related = ["customer", "purpose", "policy_version"]
    list_filter = ["state", "channel", "purpose"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "purpose", "channel", "state", "at", "event", "policy_version"]


@admin.register(ConsentEvent)
class ConsentEventAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "purpose", "channel", "event", "at", "source", "by"]
    list_select_related = ["customer", "purpose"]
    list_filter = ["event", "channel", "source", "purpose"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "purpose", "channel", "event", "at", "recorded_at", "source", "policy_version", "shown_digest", "evidence", "by"]


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    list_display = ["id", "purpose", "channel", "since", "lifted_at"]
    list_select_related = ["purpose"]
    list_filter = ["channel", "purpose"]
    fields = ["purpose", "channel", "since", "lifted_at"]
