"""What customers permit to be handed over, as they or staff in their name say it."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from customers.models import Customer
from disclosures.admin.bases import KeptAdmin
from disclosures.forms import checkboxes
from disclosures.models import Field, PermissionEvent, PermissionOffer
from privacy_office.admin import Act, Lately, ReadOnlyAdmin


class Say(Act):
    permission = "disclosures.change_permissionoffer"
    ref = forms.CharField(label=_("Customer number"), max_length=40)
    source = forms.ChoiceField(
        label=_("How it reached us"),
        choices=[(s.value, s.label) for s in (PermissionEvent.Source.PAPER, PermissionEvent.Source.SUPPORT_TICKET)],
    )

    def clean_ref(self):
        customer = Customer.objects.living().filter(ref=self.cleaned_data["ref"].strip()).first()
        if customer is None:
            raise ValidationError(_("There is no customer with this number."))
        return customer

    def to_read(self):
        return [
            (str(self.row.third_party), f"{self.row.purpose_vi}\n{self.row.purpose_en}\n\n{', '.join(map(str, self.row.fields_shown))}")
        ]


class GivePermission(Say):
    name, label = "give", _("Write down a permission")
    explanation = _("The customer permits this in writing. Most customers do it themselves, on their own page.")

    def offered(self):
        return self.row.active

    def act(self):
        self.row.give(self.cleaned_data["ref"], by=self.by, source=self.cleaned_data["source"])


class WithdrawPermission(Say):
    name, label = "withdraw", _("Write down a withdrawal")
    explanation = _("The customer no longer permits this. What is asked from now on is refused.")

    def act(self):
        self.row.withdraw(self.cleaned_data["ref"], by=self.by, source=self.cleaned_data["source"])


@admin.register(PermissionOffer)
class PermissionOfferAdmin(KeptAdmin):
    list_display = ["id", "third_party", "purpose_vi", "active"]
    when_empty = _("Customers can permit nothing yet. Add what a third party would get and what for.")
    list_select_related = ["third_party"]
    list_filter = ["active"]
    fields = ["third_party", "purpose_vi", "purpose_en", "fields", "active"]
    acts = [GivePermission, WithdrawPermission]

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "fields":
            return checkboxes(db_field.verbose_name.capitalize(), Field, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(PermissionEvent)
class PermissionEventAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "offer", "event", "at", "source", "by"]
    when_empty = _("Nobody has permitted anything yet. Customers do so on their page.")
    list_select_related = ["customer", "offer"]
    list_filter = ["event", "source", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "offer", "event", "at", "recorded_at", "source", "shown_digest", "by"]
