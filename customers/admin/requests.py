"""Requests of right in the admin, with their clocks and the rules of these."""

from django import forms
from django.contrib import admin
from django.db.models import F
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent import rights
from customers.admin.filters import Due
from customers.admin.reveals import AskReveal, RevealableAdmin
from customers.models import DeadlineRule, Holiday, Notice, Right, RightsRequest
from privacy_office.admin import Act, TrackedAdmin


class ReceiveRequest(Act):
    name, label = "request", _("Write down a request")
    permission = "customers.add_rightsrequest"
    explanation = _(
        "What the customer asks for of right, by mail, by phone, on paper or in person. A withdrawal, a restriction and an objection"
        " take effect at once; for all else the customer first confirms by a link that they ask."
    )
    kind = forms.ChoiceField(label=_("What is asked for"), choices=Right, widget=forms.RadioSelect)
    source = forms.ChoiceField(
        label=_("How it came in"), choices=[(s.value, s.label) for s in RightsRequest.Source if s != RightsRequest.Source.MY]
    )
    received_at = forms.DateTimeField(
        label=_("Received at"),
        initial=timezone.localtime,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        help_text=_("When it reached the company, not when you read it: the clocks begin there."),
    )
    words = forms.CharField(
        label=_("In the customer's words"), required=False, max_length=4000, widget=forms.Textarea({"rows": 4}), help_text=_("Encrypted.")
    )

    def act(self):
        made = rights.receive(self.row, self.cleaned_data.pop("kind"), by=self.by, **self.cleaned_data)
        return redirect("admin:customers_rightsrequest_change", made.pk)


class OnRequest(Act):
    permission = "customers.change_rightsrequest"

    def offered(self):
        return self.row.is_open


class FirstReply(OnRequest):
    name, label = "acknowledge", _("Give the first reply")
    explanation = _("The customer is told that you have read the request and work on it, and by when it is done.")
    third_party = forms.BooleanField(
        label=_("Others must act too"), required=False, help_text=RightsRequest._meta.get_field("third_party").help_text
    )

    def offered(self):
        return self.row.state == RightsRequest.State.RECEIVED

    def act(self):
        self.row.acknowledge(by=self.by, third_party=self.cleaned_data["third_party"])


class AskIdentity(OnRequest):
    name, label = "ask-identity", _("Ask the customer to confirm")
    explanation = _("Sends one more link to the customer's address; its button says that it is the customer who asks.")

    def offered(self):
        return self.row.is_open and not self.row.identity_at and not self.row.protective

    def act(self):
        self.row.ask_identity(by=self.by)


class Identify(AskIdentity):
    name, label = "identify", _("The customer is recognised")
    explanation = _("You have recognised the customer in person or by phone, as the rules of the house say, and it is they who ask.")

    def act(self):
        self.row.confirm_identity(by=self.by, how=RightsRequest.Identity.CONTACT)


class FulfilRequest(OnRequest):
    name, label = "fulfil", _("Fulfil")
    explanation = _("What was asked for is done, and the customer is told. What the office can do by itself it does now.")
    outcome = forms.CharField(
        label=_("What was done"),
        required=False,
        max_length=RightsRequest._meta.get_field("outcome").max_length,
        help_text=RightsRequest._meta.get_field("outcome").help_text,
    )

    def offered(self):
        return self.row.is_open and self.row.kind != Right.ERASURE and self.row.state != RightsRequest.State.WAITING

    def act(self):
        rights.fulfil(self.row, by=self.by, outcome=self.cleaned_data["outcome"])


class ExtendRequest(OnRequest):
    name, label = "extend", _("Take more time")
    permission = "customers.decide_rightsrequest"
    explanation = _("Once, before the date has passed, and with a reason: the customer is told it, and how to complain.")
    days = forms.IntegerField(label=_("Days"), min_value=1)
    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=RightsRequest._meta.get_field("extension_reason").help_text)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["days"].initial = row.terms["extension_days"]

    def offered(self):
        return self.row.is_open and not self.row.extended_at

    def act(self):
        self.row.extend(by=self.by, days=self.cleaned_data["days"], reason=self.cleaned_data["reason"])


class RefuseRequest(OnRequest):
    name, label = "refuse", _("Refuse")
    permission = "customers.decide_rightsrequest"
    explanation = _("The customer is told the ground, the reason, and how to complain.")
    ground = forms.ChoiceField(label=_("Ground"), choices=RightsRequest.Ground)
    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=RightsRequest._meta.get_field("refusal_reason").help_text)

    def act(self):
        self.row.refuse(by=self.by, **{name: self.cleaned_data[name] for name in ("ground", "reason")})


@admin.register(RightsRequest)
class RightsRequestAdmin(RevealableAdmin, TrackedAdmin):
    """The queue of requests: what is late stands first and red, then what is due next; what is settled comes last."""

    change_form_template = None  # its own, which includes the other
    list_display = ["id", "due", "kind", "state", "customer", "received_at", "source"]
    when_empty = _(
        "There are no requests yet. Customers write on their page; what comes by phone or letter is written down on the customer's."
    )
    list_select_related = ["customer"]
    list_filter = ["state", Due, "kind", "source"]
    ordering = [F("due_on").asc(nulls_last=True), "-id"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fieldsets = [
        (None, {"fields": ["customer", "kind", "state", "source", "received_at", "words", "third_party", "duplicate_of"]}),
        (_("Dates"), {"fields": ["due", "reply_by", "done_by", "acknowledged_at", "extended_at", "extended_by", "extension_reason"]}),
        (_("Who asks"), {"fields": ["identity_at", "identity_how"]}),
        (_("Outcome"), {"fields": ["closed_at", "outcome", "ground", "refusal_reason"]}),
    ]
    acts = [FirstReply, FulfilRequest, AskIdentity, Identify, ExtendRequest, RefuseRequest, AskReveal]

    @admin.display(description=_("due on"))
    def due(self, request):
        if request.due_on is None:
            return None
        day = date_format(request.due_on, gettext("j F Y"))
        return format_html('<strong class="no">{}: {}</strong>', day, _("late")) if request.is_late(timezone.localdate()) else day

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        calendar = Holiday.objects.calendar()
        context |= {
            "reply": obj.first_reply(calendar),
            "done": obj.done(calendar),
            "notices": Notice.objects.about(obj).order_by("pk"),
            "duplicates": obj.duplicates.order_by("pk"),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


@admin.register(DeadlineRule)
class DeadlineRuleAdmin(TrackedAdmin):
    list_display = ["kind", "reply_days", "done_days", "shared_days", "extension_days", "working", "remind_days", "source"]
    fields = ["kind", "reply_days", "done_days", "shared_days", "extension_days", "working", "remind_days", "source"]
    readonly_fields = ["kind"]


@admin.register(Holiday)
class HolidayAdmin(TrackedAdmin):
    list_display = ["day", "name", "worked", "source"]
    when_empty = _("No day differs from the calendar. Add a holiday that was announced, or a day that is worked.")
    fields = ["day", "name", "worked", "source"]

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.announce(by=request.user)
