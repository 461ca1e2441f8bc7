"""Breaches, reported to the ministry and told to those concerned."""

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from disclosures.admin.bases import KeptAdmin
from disclosures.forms import BreachForm
from disclosures.models import Breach
from disclosures.templatetags.clocks import clock
from privacy_office.admin import Act, Happened


class ReportBreach(Act):
    name, label = "report", _("The ministry has it")
    permission = "disclosures.report_breach"
    step_up = True
    explanation = _("You handed the report to the ministry. From here on the breach is not changed any more.")
    number = forms.CharField(label=_("Number"), max_length=60, help_text=_("Under which the ministry took it."))

    def offered(self):
        return self.row.reported_at is None

    def act(self):
        self.row.report(by=self.by, number=self.cleaned_data["number"])


class TellCustomers(Act):
    name, label = "tell", _("Tell the customers")
    permission = "disclosures.report_breach"
    step_up = True
    explanation = _("Every customer whom the query finds gets one mail: what happened, what may come of it, what was done. Once.")

    def offered(self):
        return self.row.told_at is None

    def to_read(self):
        return [(f"{_('people')}: {self.row.people}", f"{self.row.what}\n\n{self.row.consequences}\n\n{self.row.measures}")]

    def act(self):
        self.row.tell(by=self.by)


@admin.register(Breach)
class BreachAdmin(KeptAdmin):
    form = BreachForm
    list_display = ["id", "discovered_at", "place", "people", "time_left", "reported_at", "told_at"]
    when_empty = _("No breach was recorded. Add one as soon as it is discovered: the clock runs from then.")
    list_filter = [("reported_at", Happened), ("told_at", Happened)]
    acts = [ReportBreach, TellCustomers]
    change_form_template = "admin/disclosures/breach_form.html"

    def get_fieldsets(self, request, obj=None):
        counted = ["people", "quantity", "counted_at"] if obj else []
        clocks = ["time_left", "due_at", "reported_at", "report_number", "reported_by", "told_at", "recorded_by"] if obj else []
        return [
            (None, {"fields": [*clocks[:1], "what", "place", "parties", "began_at", "ended_at", "discovered_at"]}),
            (_("Whom it touched"), {"fields": ["kinds", "scope", "scope_value", *counted]}),
            (_("What follows"), {"fields": ["consequences", "measures", "minutes", *clocks[1:]]}),
        ]

    def get_readonly_fields(self, request, obj=None):
        written = ["people", "quantity", "counted_at", "time_left", "due_at", "reported_at", "report_number", "reported_by", "told_at"]
        return [*written, "recorded_by", *super().get_readonly_fields(request, obj)]

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and (obj is None or obj.reported_at is None)

    @admin.display(description=_("time left"))
    def time_left(self, row):
        return clock(row.due_at, row.reported_at)

    @admin.display(description=_("quantities"))
    def quantity(self, row):
        return ", ".join(f"{label}: {number}" for label, number in row.quantities_shown)

    def get_urls(self):
        form_08 = self.admin_site.admin_view(self.form_08_view)
        return [path("<int:object_id>/form-08/", form_08, name="disclosures_breach_form_08"), *super().get_urls()]

    @method_decorator(require_safe)
    def form_08_view(self, request, object_id):
        """Show the contents of the ministry's Form 08, to print."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        breach = self.get_object(request, object_id)
        if breach is None:
            raise Http404
        return self.page(request, "admin/disclosures/form_08.html", breach, _("Report to the ministry"), breach=breach)
