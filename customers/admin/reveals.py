"""What staff may see of a value, and who saw what. Refuses to show one anywhere but on its own page, while its reveal is open."""

import functools
import math

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from customers.models import Attachment, EmailHold, Reveal, RightsRequest
from customers.models.reveals import REVEAL_LASTS
from privacy_office.admin import MASK, Act, Lately, ReadOnlyAdmin, TrackedAdmin, encrypted, masked, refusal
from privacy_office.fields import UndecryptableValue
from privacy_office.uploads import download

MINUTES = int(REVEAL_LASTS.total_seconds() // 60)


class AskReveal(Act):
    name, label = "reveal", _("Reveal")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _(
            "Shows one value to you alone, for {minutes} minutes. What you saw and why is written down first,"
            " and the customer may learn of it."
        ),
        minutes=MINUTES,
    )
    preselected = ("field",)
    field = forms.ChoiceField(label=_("What you need to see"))
    reason = forms.ChoiceField(label=_("What for"), choices=Reveal.Reason, widget=forms.RadioSelect)
    case_kind = forms.ChoiceField(label=_("For which case"), choices=Reveal.Case, widget=forms.RadioSelect)
    case_reference = forms.CharField(
        label=_("Number of the ticket"),
        required=False,
        max_length=Reveal._meta.get_field("case_reference").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("As in the help desk: letters, digits and hyphens."),
    )

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        labels = dict(Reveal.Field.choices)
        self.fields["field"].choices = [(name, capfirst(labels[name])) for name in Reveal.fields_of(row)]
        customer = getattr(row, "customer", row)
        self.hold = EmailHold.objects.open().filter(customer=customer).first()
        self.request = RightsRequest.objects.open().filter(customer=customer).order_by("due_on", "pk").first()
        if isinstance(row, RightsRequest) and row.is_open:
            self.request = row
        self.correction = getattr(row, "corrections", customer.corrections).undecided().first()
        there = {
            Reveal.Case.TICKET: True,
            Reveal.Case.HOLD: self.hold,
            Reveal.Case.REQUEST: self.request,
            Reveal.Case.CORRECTION: self.correction,
        }
        cases = [(case.value, case.label) for case in there if there[case]]
        self.fields["case_kind"].choices = cases
        if len(cases) == 1:
            self.fields["case_kind"].widget = forms.HiddenInput()
        of_a_file = isinstance(row, Attachment) and self.correction
        own = Reveal.Case.CORRECTION if of_a_file else Reveal.Case.REQUEST if row == self.request else None
        self.initial["case_kind"] = own or Reveal.Case.TICKET
        # One call often needs a second value: the case is still the same.
        if not of_a_file and (latest := Reveal.objects.live().filter(by=by, customer=customer, case_kind__in=dict(cases)).first()):
            self.initial |= {"reason": latest.reason, "case_kind": latest.case_kind}
            if latest.case_kind == Reveal.Case.TICKET:
                self.initial["case_reference"] = latest.case_reference

    def offered(self):
        return bool(self.fields["field"].choices)

    def clean(self):
        data = super().clean()
        if data.get("case_kind") == Reveal.Case.HOLD:
            data["case_reference"] = str(self.hold.pk) if self.hold else ""
        elif data.get("case_kind") == Reveal.Case.REQUEST:
            data["case_reference"] = str(self.request.pk)
        elif data.get("case_kind") == Reveal.Case.CORRECTION:
            data["case_reference"] = str(self.correction.pk)
        elif not data.get("case_reference") and "case_reference" not in self.errors:
            self.add_error("case_reference", _("Which ticket is it for?"))
        return data

    def act(self):
        told = {name: self.cleaned_data[name] for name in ("field", "reason", "case_kind", "case_reference")}
        reveal = Reveal.ask(self.row, by=self.by, **told)
        return redirect("admin:customers_reveal_show", reveal.pk) if reveal.opened_at else None


class AskCredential(AskReveal):
    label = _("Ask for access data")
    explanation = format_lazy(
        _("A second person has to say yes within the hour. Then you open it, and the value is shown to you alone, for {minutes} minutes."),
        minutes=MINUTES,
    )


class ApproveReveal(Act):
    name, label = "approve", _("Approve")
    permission = "customers.approve_reveal"
    explanation = _("You say that your colleague may see this access data for this case. You will not see it. Nobody approves their own.")

    def offered(self):
        return self.row.state == Reveal.State.ASKED and self.row.by != self.by

    def to_read(self):
        reveal = self.row
        what = f"{reveal.by}: {reveal.get_field_display()}, {reveal.customer}, {reveal.service}"
        return [(what, f"{reveal.get_reason_display()} ({reveal.case})")]

    def act(self):
        self.row.approve(by=self.by)


class OpenReveal(Act):
    name, label = "open", _("Open")
    permission = "customers.reveal_customer"
    step_up = True
    explanation = format_lazy(_("Shows the value to you alone, for {minutes} minutes."), minutes=MINUTES)

    def offered(self):
        return self.row.state == Reveal.State.APPROVED and self.row.by == self.by

    def act(self):
        self.row.open(by=self.by)
        return redirect("admin:customers_reveal_show", self.row.pk)


class RevealableAdmin(ReadOnlyAdmin):
    """A model with masked values that staff may ask to see: beside each a link to ask, or to where it is shown to them already."""

    change_form_template = "admin/customers/revealable.html"
    acts = [AskReveal]

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if not (obj and request.user.has_perm(AskReveal.permission)):
            return fieldsets
        ask = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=[obj.pk, AskReveal.name])
        live = functools.cache(lambda: {r.field: r for r in Reveal.objects.live().of(obj).filter(by=request.user)})

        def revealable(name):
            field = next((field for field in encrypted(self.model) if masked(field) is name), None)
            return with_link(field, ask, live) if field else name

        return [(title, {**options, "fields": [revealable(name) for name in options["fields"]]}) for title, options in fieldsets]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if request.user.has_perm(AskReveal.permission):
            reveals = Reveal.objects.filter(customer=getattr(obj, "customer", obj)).concerning(request.user).select_related("by", "service")
            context |= {"live": reveals.live(), "waiting": reveals.waiting()}
        return super().render_change_form(request, context, add, change, form_url, obj)


def with_link(field, ask, live):
    """Return the masked column with a link to see what is there."""

    def column(row):
        shown = masked(field)(row)
        if shown != MASK:
            return shown
        reveal = live().get(field.name)
        url, label = (reverse("admin:customers_reveal_show", args=[reveal.pk]), _("show")) if reveal else (ask, _("reveal"))
        return format_html('{} <a class="reveal" href="{}{}">{}</a>', shown, url, "" if reveal else f"?field={field.name}", label)

    column.__name__, column.short_description, column.hides = field.name, field.verbose_name, field.name
    return column


@admin.register(Reveal)
class RevealAdmin(ReadOnlyAdmin, TrackedAdmin):
    """Who saw what, and why; never the values, but on the page of the one that is open, for who asked. Clerks see what concerns them."""

    list_display = ["id", "state", "customer", "field", "reason", "case", "by", "asked_at"]
    when_empty = _("Nobody has looked at a value yet. Reveal one on a customer's page.")
    list_select_related = ["customer", "by"]
    list_filter = ["field", "reason", "alarmed", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    acts = [ApproveReveal, OpenReveal]
    change_form_template = "admin/customers/revealable.html"

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or request.user.has_perm(ApproveReveal.permission)

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows if super().has_view_permission(request) else rows.concerning(request.user)

    def get_fields(self, request, obj=None):
        holders = ("service", "contact", "evidence", "attachment", "correction", "informationrequest", "supportrequest")
        holder = [name for name in holders if getattr(obj, name, None)]
        asked = ["field", "reason", "case", "by", "in_roles", "asked_at"]
        return ["state", "customer", *holder, *asked, "approved_by", "opened_at", "expires_at", "alarm"]

    @admin.display(description=_("case"))
    def case(self, reveal):
        return reveal.case

    @admin.display(description=_("roles"))
    def in_roles(self, reveal):
        return ", ".join(reveal.roles)

    @admin.display(description=_("state"))
    def state(self, reveal):
        return reveal.state.label

    @admin.display(description=_("alarm"))
    def alarm(self, reveal):
        return _("yes") if reveal.alarmed else None

    def get_urls(self):
        show = self.admin_site.admin_view(self.show_view)
        fetch = self.admin_site.admin_view(self.download_view)
        return [
            path("<int:object_id>/show/", show, name="customers_reveal_show"),
            path("<int:object_id>/download/", fetch, name="customers_reveal_download"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context["live"] = Reveal.objects.filter(pk=obj.pk, by=request.user).live()
        return super().render_change_form(request, context, add, change, form_url, obj)

    @transaction.non_atomic_requests  # the entry is committed before anything is decrypted
    @method_decorator(require_GET)
    def show_view(self, request, object_id):
        """Show one value to who asked for it, until it expires: on this page alone, never in a title, a message, an address or a log."""
        reveal = get_object_or_404(Reveal.objects.select_related("customer", "service"), pk=object_id)
        home = f"admin:customers_{reveal.home._meta.model_name}"
        ask, home_url = reverse(f"{home}_act", args=[reveal.row_id, AskReveal.name]), reverse(f"{home}_change", args=[reveal.row_id])
        context = {"reveal": reveal, "home_url": home_url, "ask_url": f"{ask}?field={reveal.field}"}
        try:
            context["value"] = reveal.require_live(by=request.user) if reveal.attachment_id else reveal.view(by=request.user)
        except (ValidationError, UndecryptableValue) as error:
            context["refusal"] = refusal(error)
        response = self.page(request, "admin/customers/reveal/show.html", reveal, _("Reveal"), **context)
        response["Referrer-Policy"] = "no-referrer"
        if "value" in context:
            # The page leaves the screen by itself, also where no script runs.
            left = math.ceil((reveal.expires_at - timezone.now()).total_seconds())
            response["Refresh"] = f"{max(left, 0)}; url={home_url}"
        return response

    @transaction.non_atomic_requests  # the entry is committed before anything is decrypted
    @method_decorator(require_GET)
    def download_view(self, request, object_id):
        """Give the file of an open reveal to who asked for it."""
        reveal = get_object_or_404(Reveal.objects.select_related("customer").filter(attachment__isnull=False), pk=object_id)
        try:
            reveal.view(by=request.user)
            data = reveal.attachment.read()
        except (ValidationError, UndecryptableValue):
            return redirect("admin:customers_reveal_show", reveal.pk)
        return download(data, reveal.attachment.kind, reveal.attachment.file_name)
