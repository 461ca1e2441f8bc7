"""The customers' pages for staff, masked. Refuses to be a form: what is done to a customer is done by a verb, with a reason."""

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consent import gate
from consent.models import Channel, ConsentState, Purpose, Source
from customers.models import Contact, Customer, EmailHold, Service
from privacy_office.admin import Act, ReadOnlyAdmin, TrackedAdmin, sealed_search

LATEST = 20
REASON = {"label": _("Reason"), "max_length": 200, "help_text": _("No personal data: name a ticket, a letter, a call.")}


class Restrict(Act):
    name, label = "restrict", _("Restrict")
    permission = "customers.change_customer"
    explanation = _("The customer asks us to stop using the data: it is kept, and used for nothing until the restriction is lifted.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.restricted_at is None

    def act(self):
        self.row.restrict(by=self.by, reason=self.cleaned_data["reason"])


class LiftRestriction(Act):
    name, label = "lift-restriction", _("Lift the restriction")
    permission = "customers.change_customer"
    explanation = _("The customer allows use of the data again, within what was consented to.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.restricted_at is not None

    def act(self):
        self.row.lift_restriction(by=self.by, reason=self.cleaned_data["reason"])


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


class EndAssociation(Act):
    name, label = "end-association", _("End the association")
    permission = "customers.change_customer"
    explanation = _("The customer left: data is no longer corrected, and nothing but what the service still needs is sent (§4).")
    on = forms.DateField(label=_("Ended on"), initial=timezone.localdate, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.association != Customer.Association.ENDED

    def act(self):
        self.row.end_association(on=self.cleaned_data["on"], by=self.by, reason=self.cleaned_data["reason"])


class Refuse(Act):
    name, label = "refuse", _("Write down a refusal")
    permission = "consent.change_consentstate"
    explanation = _("The customer says no by phone or in a ticket. It takes effect at once, and where a no stands already nothing changes.")
    purposes = forms.ModelMultipleChoiceField(
        Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT), label=_("What is refused"), widget=forms.CheckboxSelectMultiple
    )
    channels = forms.MultipleChoiceField(label=_("By which channels"), choices=Channel, widget=forms.CheckboxSelectMultiple)
    source = forms.ChoiceField(
        label=_("How it reached us"), choices=[(s.value, s.label) for s in (Source.PHONE_CALL, Source.SUPPORT_TICKET)]
    )
    evidence = forms.CharField(
        label=_("Evidence"),
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("When, and where it can be shown: the ticket, the recording. Encrypted."),
    )

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["purposes"].label_from_instance = lambda purpose: purpose.title

    def act(self):
        for purpose in self.cleaned_data["purposes"]:
            for channel in self.cleaned_data["channels"]:
                ConsentState.of(self.row, purpose, Channel(channel)).withdraw(
                    by=self.by, source=self.cleaned_data["source"], evidence=self.cleaned_data["evidence"]
                )


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["ref", "association", "email_state", "locale", "restricted", "on_hold"]
    list_filter = ["association", "email_state", "locale"]
    search_fields = ["ref"]  # shows the box; `matching` says what it takes
    search_help_text = _(
        "A customer number, a whole e-mail address, a phone in any spelling or its last four digits, or words of the name."
    )
    fieldsets = [
        (None, {"fields": ["ref", "public_id", "association", "association_ended_on", "locale", "restricted_at", "erased_at"]}),
        (_("Personal data"), {"fields": ["full_name", "email", "email_state", "phone", "address"]}),
    ]
    acts = [Refuse, PlaceHold, ReleaseHold, Restrict, LiftRestriction, EndAssociation]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(on_hold=Exists(EmailHold.objects.open().filter(customer=OuterRef("pk"))))

    def get_search_results(self, request, queryset, search_term):
        return (queryset.matching(search_term) if search_term.strip() else queryset), False

    @admin.display(description=_("restricted"))
    def restricted(self, customer):
        return _("yes") if customer.restricted_at else None

    @admin.display(description=_("on hold"))
    def on_hold(self, customer):
        return _("yes") if customer.on_hold else None

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context |= {
            "services": obj.services.all()[:LATEST],
            "consents": consents(obj),
            "answers": answers(obj),
            "holds": obj.holds.select_related("placed_by", "released_by", "contact").order_by("-pk")[:LATEST],
            "messages_sent": obj.messages.select_related("purpose").order_by("-pk")[:LATEST],
            "latest": LATEST,
            "search": sealed_search(obj.ref, request.user),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


def consents(customer):
    """Return a ConsentState for each purpose that needs consent and each of its channels, 'unknown' where nothing was said."""
    said = {(state.purpose_id, state.channel): state for state in customer.consent_states.select_related("policy_version")}
    return [
        said.get((purpose.pk, channel)) or ConsentState(customer=customer, purpose=purpose, channel=channel)
        for purpose in Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT)
        for channel in purpose.channels
    ]


def answers(customer):
    """Return (purpose, Decision) for each purpose by e-mail: what the gate says now."""
    asked = [gate.load_terms(code, Channel.EMAIL, timezone.now()) for code in Purpose.objects.values_list("code", flat=True)]
    return [(terms.purpose, gate.judge(gate.load_facts([customer.pk], terms).get(customer.pk), terms)) for terms in asked]


@admin.register(Service)
class ServiceAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["product", "plan", "customer", "started_on", "expires_on"]
    list_select_related = ["customer"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "product", "plan", "started_on", "expires_on", "access_username", "access_secret"]


@admin.register(EmailHold)
class EmailHoldAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "reason", "placed_at", "placed_by", "released_at", "released_by"]
    list_select_related = ["customer", "placed_by", "released_by"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "reason", "placed_at", "placed_by", "released_at", "released_by", "contact"]


@admin.register(Contact)
class ContactAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "channel", "at", "by"]
    list_select_related = ["customer", "by"]
    list_filter = ["channel"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "channel", "at", "note", "by"]
