"""The customer's page for staff, masked. Refuses to be a form: what is done to a customer is done by a verb, with a reason."""

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from consent import gate, past
from consent.admin import QUESTIONS, Acknowledge, AskContact, Consent, Refuse
from consent.models import Approach, Channel, ConsentState, Purpose
from customers.admin.addresses import AskVerification, ChangeEmail, PlaceHold, ReleaseHold, ReportFraud
from customers.admin.contacts import NoteContact
from customers.admin.corrections import Propose
from customers.admin.endings import AskErasure, PlaceLegalHold
from customers.admin.fields import REASON
from customers.admin.information import AskInformation
from customers.admin.requests import ReceiveRequest
from customers.admin.reveals import AskCredential, AskReveal, RevealableAdmin
from customers.models import Customer, EmailHold, Erasure, Service
from mailings.models import Message
from privacy_office.admin import Act, Choice, Coming, Happened, TrackedAdmin, sealed_search

LATEST = 20


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


class OnHold(Choice):
    title, parameter_name = _("on hold"), "on_hold"

    def lookups(self, request, model_admin):
        return [("yes", _("yes"))]

    def chosen(self, rows, value, member):
        return rows.filter(pk__in=EmailHold.objects.open().values("customer"))


@admin.register(Customer)
class CustomerAdmin(RevealableAdmin, TrackedAdmin):
    change_form_template = None  # its own, which includes the other
    list_display = ["ref", "association", "email_state", "locale", "restricted", "on_hold"]
    list_per_page = 25  # of a name that many have nobody reads on: one adds what else the customer says
    export_display = [
        "ref",
        "public_id",
        "association",
        "association_ended_on",
        "locale",
        "email_state",
        "on_hold",
        "restricted_at",
        "erased_at",
    ]
    when_empty = _("There are no customers yet. They come by ./manage.py import_customers, or sign up on the company's site.")
    list_filter = ["association", "email_state", "locale", OnHold, ("restricted_at", Happened), ("erased_at", Happened)]
    search_fields = ["ref"]  # shows the box; `matching` says what it takes
    search_help_text = _(
        "A customer number, a whole e-mail address, a phone in any spelling or its last four digits, or words of the name."
    )
    fieldsets = [
        (None, {"fields": ["ref", "public_id", "association", "association_ended_on", "locale", "restricted_at", "erased_at"]}),
        (_("Personal data"), {"fields": ["full_name", "email", "email_state", "phone", "address"]}),
    ]
    acts = [
        AskReveal, Propose, AskInformation, ReceiveRequest, Refuse, Consent, Acknowledge, AskContact, AskVerification, ChangeEmail,
        NoteContact, ReportFraud, PlaceHold, ReleaseHold, Restrict, LiftRestriction, EndAssociation, PlaceLegalHold, AskErasure,
    ]  # fmt: skip

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

    def get_urls(self):
        explain = self.admin_site.admin_view(self.explain_view)
        return [path("<int:object_id>/may-we/", explain, name="customers_customer_explain"), *super().get_urls()]

    @method_decorator(require_GET)
    def explain_view(self, request, object_id):
        """Say what each rule of the gate answers for a purpose and a channel, now or at a past moment."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        customer = get_object_or_404(self.get_queryset(request), pk=object_id)
        first = {"purpose": "promotions", "channel": Channel.EMAIL.value}
        form = Question({**first, **request.GET.dict()})
        told = explained(customer, **form.cleaned_data) if form.is_valid() else {}
        return self.page(request, "admin/customers/customer/explain.html", customer, _("May we?"), form=form, **told)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context |= {
            "services": obj.services.all()[:LATEST],
            "consents": consents(obj),
            "answers": answers(obj),
            "legal_hold": obj.legal_holds.open().first(),
            "erasure": obj.erasures.exclude(step=Erasure.Step.CALLED_OFF).first(),
            "holds": obj.holds.select_related("placed_by", "released_by", "contact").order_by("-pk")[:LATEST],
            "messages_sent": obj.messages.select_related("purpose").order_by("-pk")[:LATEST],
            "latest": LATEST,
            "search": sealed_search(obj.ref, request.user),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


def consents(customer):
    """Return a ConsentState for each purpose that needs consent and each of its channels, 'unknown' where nothing was said."""
    said = {(state.purpose_id, state.channel): state for state in customer.consent_states.select_related("policy_version")}
    asked = [
        (purpose, channel) for purpose in Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT) for channel in purpose.channels
    ]
    rows = [said.get((purpose.pk, channel)) or ConsentState(customer=customer, channel=channel) for purpose, channel in asked]
    for row, (purpose, _channel) in zip(rows, asked, strict=True):
        row.purpose = purpose
    return rows


class Question(forms.Form):
    """What is asked of the gate: of a past moment too."""

    purpose = forms.ModelChoiceField(Purpose.objects.all(), label=_("What for"), to_field_name="code", empty_label=None)
    channel = forms.ChoiceField(label=_("By which channel"), choices=Channel)
    at = forms.DateTimeField(
        label=_("As of"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Empty: now."),
    )

    def __init__(self, data):
        super().__init__(data)
        self.fields["purpose"].label_from_instance = lambda purpose: purpose.title


def explained(customer, purpose, channel, at):
    """Return the Decision, each rule's question and answer, and what could not be known."""
    now = timezone.now()
    if at and at < now:
        contacts = Message.objects.contacts(customer, at) if channel == Channel.EMAIL else Approach.objects.contacts(customer, channel, at)
        then = past.look_back(customer.pk, purpose.code, channel, at, contacts)
        decision, said, notes = then.decision(), then.answers(), then.notes
    else:
        terms = gate.load_terms(purpose.code, channel, at or now)
        facts = gate.load_facts([customer.pk], terms).get(customer.pk)
        decision, said, notes = gate.judge(facts, terms), gate.answers(facts, terms), []
    return {"decision": decision, "said": [(QUESTIONS[answer.rule], answer) for answer in said], "notes": notes, "asked": purpose}


def answers(customer):
    """Return (purpose, Decision) for each purpose by e-mail: what the gate says now."""
    asked = [gate.load_terms(code, Channel.EMAIL, timezone.now()) for code in Purpose.objects.values_list("code", flat=True)]
    return [(terms.purpose, gate.judge(gate.load_facts([customer.pk], terms).get(customer.pk), terms)) for terms in asked]


@admin.register(Service)
class ServiceAdmin(RevealableAdmin, TrackedAdmin):
    acts = [AskCredential]
    list_display = ["product", "plan", "customer", "started_on", "expires_on"]
    when_empty = _("There are no services yet. They come with ./manage.py import_customers --services FILE.")
    list_select_related = ["customer"]
    list_filter = [("expires_on", Coming)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "product", "plan", "started_on", "expires_on", "access_username", "access_secret"]
