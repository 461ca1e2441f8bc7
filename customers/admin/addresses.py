"""Whether a customer's address is in doubt, and how it changes: holds, signs of fraud, changes, in the admin."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from customers.admin.fields import REASON
from customers.models import Anomaly, AnomalyKind, Contact, Customer, EmailChange, EmailHold, HoldRule
from customers.models.addresses import ask_verification
from privacy_office.admin import Act, Happened, Lately, ReadOnlyAdmin, TrackedAdmin


class PlaceHold(Act):
    name, label = "place-hold", _("Place a hold")
    permission = "customers.add_emailhold"
    explanation = _("Suspends the customer's e-mail address until they confirm through another channel (§3.3). Refusals still work.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return not self.row.on_hold

    def act(self):
        EmailHold.place(self.row, by=self.by, reason=self.cleaned_data["reason"])


class ReleaseHold(Act):
    name, label = "release-hold", _("Release the hold")
    permission = "customers.change_emailhold"
    explanation = _("Only after the customer confirmed through another channel, and by another person than the one who placed it (§3.3).")
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def offered(self):
        return self.row.on_hold

    def act(self):
        hold = EmailHold.objects.open().get(customer=self.row)
        hold.release(by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])


class ChangeEmail(Act):
    name, label = "change-email", _("Change the e-mail address")
    permission = "customers.change_customer"
    explanation = _(
        "For customers who cannot read their old address any more, after they were recognised through another channel: the new address must"
        " still confirm, and the old one is told and may object for a week (§3.2)."
    )
    email = forms.EmailField(label=_("New address"), max_length=254)
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def offered(self):
        return self.row.erased_at is None and not self.row.on_hold and self.row.association != Customer.Association.ENDED

    def act(self):
        Contact.add(self.row, by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])
        EmailChange.ask(self.row, self.cleaned_data["email"], by=self.by)


class AskVerification(Act):
    name, label = "ask-verification", _("Ask to verify the address")
    permission = "customers.change_customer"
    explanation = _("Sends a link to the address; a press of its button shows that it is read (§3.1).")

    def offered(self):
        return self.row.email_state in (Customer.EmailState.UNVERIFIED, Customer.EmailState.COMPLAINED) and not self.row.on_hold

    def act(self):
        ask_verification(self.row, by=self.by)


class ReportFraud(Act):
    name, label = "report-fraud", _("Note a report of fraud")
    permission = "customers.add_emailhold"
    explanation = _("Counted by the rule for reports of fraud, which suspends the address (§3.3).")

    def act(self):
        Anomaly.note(self.row, AnomalyKind.FRAUD_REPORT, by=self.by)


@admin.register(EmailHold)
class EmailHoldAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "reason", "placed_at", "placed_by", "released_at", "released_by"]
    export_display = ["id", "customer", "rule", "placed_at", "placed_by", "released_at", "released_by"]
    when_empty = _("No address was ever on hold. A hold is placed on a customer's page, or by a rule.")
    list_select_related = ["customer", "placed_by", "released_by"]
    list_filter = [("released_at", Happened)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "reason", "rule", "placed_at", "placed_by", "released_at", "released_by", "contact"]


@admin.register(HoldRule)
class HoldRuleAdmin(TrackedAdmin):
    list_display = ["kind", "threshold", "within_hours", "active"]
    fields = ["kind", "threshold", "within_hours", "active"]


@admin.register(EmailChange)
class EmailChangeAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "state", "asked_at", "applied_at", "objected_at"]
    when_empty = _("Nobody has asked for another address yet. Customers do so on their page, staff on the customer's.")
    list_select_related = ["customer"]
    list_filter = ["state", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "customer", "state", "proposed", "former", "former_state", "asked_at", "confirmed_at", "approved_at", "applied_at", "objected_at",
    ]  # fmt: skip


@admin.register(Anomaly)
class AnomalyAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "kind", "at"]
    when_empty = _("There were no signs of fraud. They are written down by themselves, or on a customer's page.")
    list_select_related = ["customer"]
    list_filter = ["kind", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "kind", "at"]
