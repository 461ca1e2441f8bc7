"""What was said to staff, and what shows it: contacts, evidence and files, masked."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from customers.admin.reveals import RevealableAdmin
from customers.models import Attachment, Contact, Evidence
from privacy_office.admin import Act, Lately, TrackedAdmin


class NoteContact(Act):
    name, label = "note-contact", _("Note a contact")
    permission = "customers.change_customer"
    explanation = _("For instance that a customer whose address is dead was asked by phone for a new one (§3.1).")
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def act(self):
        Contact.add(self.row, by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])


@admin.register(Contact)
class ContactAdmin(RevealableAdmin, TrackedAdmin):
    list_display = ["id", "customer", "channel", "at", "by"]
    when_empty = _("No contact was written down yet. That is done on a customer's page.")
    list_select_related = ["customer", "by"]
    list_filter = ["channel", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "channel", "at", "note", "by"]


@admin.register(Evidence)
class EvidenceAdmin(RevealableAdmin):
    list_display = ["id", "customer", "added_at"]
    when_empty = _("There is no evidence yet. It comes with what a customer said: write that down on the customer's page.")
    list_select_related = ["customer"]
    list_filter = [("added_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "text", "attachment", "added_at"]


@admin.register(Attachment)
class AttachmentAdmin(RevealableAdmin):
    list_display = ["id", "customer", "kind", "size", "added_at", "added_by"]
    when_empty = _("There are no files yet. They come with corrections, answers and written consents.")
    list_select_related = ["customer", "added_by"]
    list_filter = ["kind", ("added_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "kind", "size", "content", "added_at", "added_by"]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("content")  # megabytes, which no list needs
