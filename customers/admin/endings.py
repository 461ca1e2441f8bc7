"""How data ends in the admin: legal holds, erasures, and the rules of retention."""

from django import forms
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from customers import retention
from customers.admin.fields import REASON
from customers.erasure import GROUNDS
from customers.models import Erasure, LegalHold, RetentionRule, RetentionRun
from privacy_office.admin import EMPTY, Act, EstimatedPaginator, Happened, Lately, ReadOnlyAdmin, TrackedAdmin


class PlaceLegalHold(Act):
    name, label = "place-legal-hold", _("Place a legal hold")
    permission = "customers.add_legalhold"
    explanation = _("A dispute or an inquiry obliges us to keep the data: neither an erasure nor a retention rule touches it meanwhile.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.erased_at is None and not self.row.legal_holds.open().exists()

    def act(self):
        LegalHold.place(self.row, by=self.by, reason=self.cleaned_data["reason"])


class AskErasure(Act):
    name, label = "erase", _("Erase")
    permission = "customers.add_erasure"
    step_up = True
    explanation = _(
        "Takes away every personal value of this customer, for good: an officer, another person than you, has to approve it,"
        " then the customer is told, and a day later at the latest it begins. Make sure that it is the customer who asks."
    )
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.erased_at is None and not self.row.erasures.open().exists()

    def act(self):
        erasure = Erasure.ask(self.row, by=self.by, reason=self.cleaned_data["reason"])
        return redirect("admin:customers_erasure_change", erasure.pk)


class LiftLegalHold(Act):
    name, label = "lift", _("Lift the legal hold")
    permission = "customers.change_legalhold"
    explanation = _("The duty to keep the data is over. By another person than the one who placed it.")

    def offered(self):
        return self.row.lifted_at is None

    def act(self):
        self.row.lift(by=self.by)


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    export_display = ["id", "customer", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    when_empty = _("No data has to be kept for a dispute. A legal hold is placed on a customer's page.")
    list_select_related = ["customer", "placed_by", "lifted_by"]
    list_filter = [("lifted_at", Happened)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    acts = [LiftLegalHold]


class ApproveErasure(Act):
    name, label = "approve", _("Approve")
    permission = "customers.approve_erasure"
    step_up = True
    explanation = _("The customer is told at once, and then erased: this cannot be taken back. Nobody approves their own.")

    def offered(self):
        return self.row.step == Erasure.Step.ASKED and self.row.asked_by != self.by

    def to_read(self):
        return [(f"{self.row.asked_by}: {self.row.customer}", self.row.reason)]

    def act(self):
        self.row.approve(by=self.by)


class CallOffErasure(Act):
    name, label = "call-off", _("Call off")
    permission = "customers.change_erasure"
    explanation = _("Nothing is erased. Possible until the first value goes.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.stoppable

    def act(self):
        self.row.call_off(by=self.by, reason=self.cleaned_data["reason"])


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin, TrackedAdmin):
    """Who was erased, how far each is, and the certificate of what went and what stays."""

    list_display = ["id", "customer", "step", "held", "asked_at", "asked_by", "approved_by", "finished_at"]
    when_empty = _("Nobody was erased yet. An erasure is asked for on a customer's page, and approved here by another person.")
    list_select_related = ["customer", "asked_by", "approved_by"]
    list_filter = ["step", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "step", "held", "reason", "about", "asked_at", "asked_by", "approved_at", "approved_by", "finished_at"]
    readonly_fields = ["held"]
    acts = [ApproveErasure, CallOffErasure]
    change_form_template = "admin/customers/erasure.html"

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(kept=Exists(LegalHold.objects.open().filter(customer=OuterRef("customer"))))

    @admin.display(description=_("kept by a legal hold"))
    def held(self, erasure):
        return _("yes") if erasure.kept and erasure.stoppable else EMPTY

    def get_urls(self):
        certificate = self.admin_site.admin_view(self.certificate_view)
        return [path("<int:object_id>/certificate/", certificate, name="customers_erasure_certificate"), *super().get_urls()]

    @method_decorator(require_GET)
    def certificate_view(self, request, object_id):
        """Show the certificate as it can be printed and handed over; it names nobody."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        erasure = get_object_or_404(Erasure.objects.select_related("customer"), pk=object_id, step=Erasure.Step.DONE)
        told = erasure.certificate
        context = {
            "gone": [(title_of(label), rows) for label, rows in told["gone"].items() if rows],
            "kept": [{**line, "what": title_of(line["what"]), "ground": GROUNDS[line["ground"]]} for line in told["kept"]],
            "identifier": told["identifier"],
        }
        return self.page(request, "admin/customers/certificate.html", erasure, _("Certificate of erasure"), **context)


def title_of(label):
    return capfirst(apps.get_model(label)._meta.verbose_name_plural)


@admin.register(RetentionRule)
class RetentionRuleAdmin(TrackedAdmin):
    """How long what is kept; on each rule's page what it would take now, which a list of all would take too long to count."""

    MOST = EstimatedPaginator.MOST

    list_display = ["of", "days", "ground", "active"]
    fields = ["of", "days", "ground", "source", "active", "due"]
    readonly_fields = ["of", "due"]

    def has_add_permission(self, request):
        return False

    @admin.display(description=_("would be taken now"))
    def due(self, rule):
        number = retention.overdue(rule, timezone.now()).order_by()[: RetentionRuleAdmin.MOST].count()
        return number if number < RetentionRuleAdmin.MOST else format_lazy(_("{number} or more"), number=number)


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    list_display = ["at", "taken", "seconds"]
    when_empty = _("The rules have not run yet. They do every night, or by ./manage.py apply_retention.")
    fields = ["at", "taken", "seconds"]
    readonly_fields = ["taken"]

    @admin.display(description=_("rows by rule"))
    def taken(self, run):
        labels = dict(RetentionRule.Of.choices)
        lines = ([labels.get(of, of), count] for of, count in run.counts.items() if count)
        return format_html_join("", "{}: {}<br>", lines) or _("nothing was overdue")
