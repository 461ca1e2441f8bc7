"""Corrections in the admin, old and new side by side. Refuses to show either without a reveal."""

import math

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from customers.admin.fields import REASON
from customers.admin.filters import Due
from customers.admin.reveals import MINUTES, AskReveal, RevealableAdmin
from customers.models import Correction, Customer, Reveal
from customers.models.corrections import LONGEST
from privacy_office.admin import Act, TrackedAdmin, masked
from privacy_office.fields import UndecryptableValue
from privacy_office.uploads import ScanField


class Propose(Act):
    name, label = "correct", _("Propose a correction")
    permission = "customers.add_correction"
    explanation = _("What is wrong, incomplete or out of date, by a letter or a call (§4). A colleague decides: nobody approves their own.")
    field = forms.ChoiceField(label=_("What is corrected"), choices=Correction.Field)
    value = forms.CharField(
        label=_("What is right"),
        max_length=max(LONGEST.values()),
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text=_("For the language: vi or en. Encrypted, and masked from now on."),
    )
    scan = ScanField(label=_("What shows it"), required=False, help_text=_("A JPEG, a PNG or a PDF, at most 5 MB. Encrypted."))

    def offered(self):
        return self.row.association != Customer.Association.ENDED and not self.row.erased_at

    def act(self):
        Correction.propose(self.row, self.cleaned_data["field"], self.cleaned_data["value"], by=self.by, scan=self.cleaned_data["scan"])


class Compare(Act):
    name, label = "reveal", _("See both values")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _(
            "Shows what is on file and what is proposed, side by side and to you alone, for {minutes} minutes. The correction is the case;"
            " what you saw is written down first."
        ),
        minutes=MINUTES,
    )

    def offered(self):
        return self.row.state in Correction.UNDECIDED

    def act(self):
        case = {"reason": Reveal.Reason.CORRECTION, "case_kind": Reveal.Case.CORRECTION, "case_reference": str(self.row.pk)}
        now = [(self.row.customer, self.row.field)] if self.row.field in Customer.PERSONAL else []
        then = [(self.row, "against")] if self.row.overtaken else []
        file = [(self.row.evidence, "content")] if self.row.evidence_id else []
        for row, field in [*now, (self.row, "proposed"), *then, *file]:
            if field in Reveal.fields_of(row):
                Reveal.ask(row, field, by=self.by, **case)
        return redirect("admin:customers_correction_compare", self.row.pk)


class LookBack(AskReveal):
    """What stood there and what was proposed, once it is decided: for another case, as this one is closed."""

    name = "look-back"

    def offered(self):
        return self.row.state not in Correction.UNDECIDED and super().offered()


class ApproveCorrection(Act):
    name, label = "approve", _("Approve")
    permission = "customers.change_correction"
    explanation = _("The proposed value takes the place of the one on file, and the customer is told. Look at both first.")

    def offered(self):
        return self.row.standing in Correction.UNDECIDED and self.row.proposed_by != self.by

    def act(self):
        self.row.approve(by=self.by)


class RefuseCorrection(Act):
    name, label = "refuse", _("Refuse")
    permission = "customers.change_correction"
    explanation = _("Nothing changes, and the customer is told the reason.")
    reason = forms.CharField(**{**REASON, "help_text": _("In words for the customer, who reads it. No personal data.")})

    def offered(self):
        return self.row.state in Correction.UNDECIDED

    def act(self):
        self.row.refuse(by=self.by, reason=self.cleaned_data["reason"])


class AskForMore(Act):
    name, label = "ask-for-more", _("Ask for more")
    permission = "customers.change_correction"
    explanation = _("The customer is asked for what is missing, and adds it on their page.")
    question = forms.CharField(
        label=_("What is missing"), max_length=200, help_text=_("In words for the customer, who reads it. No personal data.")
    )

    def offered(self):
        return self.row.standing == Correction.State.OPEN

    def act(self):
        self.row.ask_for_more(by=self.by, question=self.cleaned_data["question"])


@admin.register(Correction)
class CorrectionAdmin(RevealableAdmin, TrackedAdmin):
    """What waits for a decision, the oldest first; old and new side by side, masked."""

    change_form_template = "admin/customers/correction/change_form.html"
    list_display = ["id", "standing", "customer", "field", "proposed_at", "due", "proposer"]
    when_empty = _("Nobody has asked for a correction yet. Customers propose one on their page, staff on the customer's.")
    list_select_related = ["customer", "proposed_by"]
    list_filter = ["state", Due, "field"]
    ordering = [F("decided_at").desc(nulls_first=True), "pk"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        *("standing", "customer", "field", "proposer", "proposed_at", "due", "question", "evidence"),
        *("decided_by", "decided_at", "reason"),
    ]
    acts = [Compare, LookBack, ApproveCorrection, RefuseCorrection, AskForMore]

    def get_queryset(self, request):
        return super().get_queryset(request).with_hold()

    @admin.display(description=_("state"))
    def standing(self, row):
        return row.standing.label

    @admin.display(description=_("due on"))
    def due(self, row):
        late = row.state in Correction.UNDECIDED and row.due_on < timezone.localdate()
        return format_html('<strong class="no">{}: {}</strong>', _("late"), date_format(row.due_on, "d/m/Y")) if late else row.due_on

    @admin.display(description=_("proposed by"))
    def proposer(self, row):
        return row.proposed_by or _("the customer")

    def get_urls(self):
        compare = self.admin_site.admin_view(self.compare_view)
        return [path("<int:object_id>/compare/", compare, name="customers_correction_compare"), *super().get_urls()]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        shown = obj.customer.get_locale_display() if obj.field == Correction.Field.LOCALE else None
        on_file = masked(Customer._meta.get_field(obj.field))(obj.customer) if shown is None else shown
        old, new = obj.old_and_new if obj.state == Correction.State.APPLIED else (None, None)
        proposed, against = (masked(Correction._meta.get_field(name))(obj) for name in ("proposed", "against"))
        overtaken = obj.state in Correction.UNDECIDED and obj.overtaken
        context |= {"on_file": on_file, "proposed": proposed, "against": against, "overtaken": overtaken, "old": old, "new": new}
        return super().render_change_form(request, context, add, change, form_url, obj)

    @transaction.non_atomic_requests  # the entries are committed before anything is decrypted
    @method_decorator(require_GET)
    def compare_view(self, request, object_id):
        """Show both values to who asked for them with this correction as the case, until they expire."""
        row = get_object_or_404(Correction.objects.select_related("customer"), pk=object_id)
        case = {"by": request.user, "case_kind": Reveal.Case.CORRECTION, "case_reference": str(row.pk)}
        latest = {reveal.field: reveal for reveal in Reveal.objects.live().filter(**case).order_by("pk")}
        if not latest:
            return redirect(self.url_of(row))
        file = latest.pop("content", None)
        try:
            values = {name: reveal.view(by=request.user) for name, reveal in latest.items()}
        except (ValidationError, UndecryptableValue):
            return redirect(self.url_of(row))
        now = row.customer.locale if row.field == Correction.Field.LOCALE else values.get(row.field)
        until = min(reveal.expires_at for reveal in latest.values())
        told = {"now": now, "proposed": values.get("proposed"), "then": values.get("against"), "file": file, "until": until}
        response = self.page(request, "admin/customers/correction/compare.html", row, _("Both values"), **told)
        response["Referrer-Policy"] = "no-referrer"
        response["Refresh"] = f"{max(math.ceil((until - timezone.now()).total_seconds()), 0)}; url={self.url_of(row)}"
        return response
