"""Requests for data on their clock, and the report of a year."""

from datetime import timedelta

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from disclosures import gate, handover, letters, reports
from disclosures.admin.bases import AddedAdmin
from disclosures.admin.charts import parts
from disclosures.admin.decisions import Approve, Assess, HandOver, RefuseRequest, Verify, refs_of
from disclosures.forms import RequestForm
from disclosures.models import DisclosureRequest, Field, TermRule
from disclosures.templatetags.clocks import clock
from privacy_office import errors
from privacy_office.admin import Choice, TrackedAdmin
from privacy_office.spreadsheets import as_csv


@admin.register(TermRule)
class TermRuleAdmin(TrackedAdmin):
    list_display = ["code", "hours", "source"]
    fields = ["code", "hours", "source"]
    readonly_fields = ["code"]


class Due(Choice):
    """What is open and has a time to be answered in."""

    title, parameter_name = _("due"), "due"

    def lookups(self, request, model_admin):
        return [("late", _("late")), ("day", _("within 24 hours"))]

    def chosen(self, rows, value, member):
        now = timezone.now()
        return rows.open().filter(due_at__lt=now) if value == "late" else rows.open().filter(due_at__range=(now, now + timedelta(days=1)))


@admin.register(DisclosureRequest)
class DisclosureRequestAdmin(AddedAdmin):
    form = RequestForm
    list_display = ["id", "time_left", "third_party", "ground", "status", "urgent", "received_at"]
    when_empty = _("Nobody has asked for data yet. Write a request down when it comes in: its clock runs from then.")
    list_display_links = ["id", "third_party"]
    list_select_related = ["third_party"]
    list_filter = ["status", Due, "ground", "urgent"]
    acts = [Verify, Assess, Approve, RefuseRequest, HandOver]
    change_form_template = "admin/disclosures/request_form.html"
    change_list_template = "admin/disclosures/request_list.html"

    def get_fieldsets(self, request, obj=None):
        law = ["document_number", "document_dated_on", "legal_article"]
        if obj is None:
            asks = ["third_party", "on_ground", *law, "file", "offer", "urgent", "received_at"]
            return [(None, {"fields": asks}), (_("What is asked for"), {"fields": ["fields_asked", "refs", "asked_from", "asked_until"]})]
        asks = ["third_party", "ground", *law, "document", "offer", "urgent", "received_at", "due_at", "received_by"]
        verified = ["verified_how", "verified_reference", "verified_by", "verified_at"]
        decided = ["assessed_by", "assessed_at", "approved_by", "approved_at", "approval_expires_at"]
        refused = ["refusal_ground", "refusal_note", "refused_by"] if obj.refusal_ground else []
        return [
            (None, {"fields": ["status", "time_left", *asks]}),
            (_("Verification"), {"fields": verified}),
            (_("Assessment and decision"), {"fields": [*decided, *refused, "answered_at"]}),
            (_("The gate's latest answer"), {"fields": ["answer", "reason", "clause", "evidence", "decided_at"]}),
        ]

    def get_readonly_fields(self, request, obj=None):
        return ["time_left", "answer", *super().get_readonly_fields(request, obj)]

    @admin.display(description=_("time left"))
    def time_left(self, row):
        return clock(row.due_at, row.answered_at)

    @admin.display(description=_("answer"))
    def answer(self, row):
        return row.words() or None

    def get_changeform_initial_data(self, request):
        return {"received_at": timezone.now(), "asked_until": timezone.localdate(), **super().get_changeform_initial_data(request)}

    def save_model(self, request, obj, form, change):
        obj.ground = form.cleaned_data["on_ground"]
        obj.receive(by=request.user, refs=form.cleaned_data["refs"].replace(",", " ").split(), document=form.data_of_file)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj:
            refused = obj.reason and obj.reason != "allowed" and obj.is_open
            context |= {
                "refused": refused,
                "asked": scope_lines(obj, asked=True),
                "kept": scope_lines(obj) if obj.assessed_at else [],
                "letters": letters.texts(obj),
                "seals": obj.seals.all(),
                "packages": obj.packages.select_related("made_by").defer("ciphertext"),
                "disclosed": obj.disclosures.select_related("customer", "by")[:50],
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self):
        wrap = self.admin_site.admin_view
        return [
            path("report/", wrap(self.report_view), name="disclosures_disclosurerequest_report"),
            path("report.csv", wrap(self.report_csv), name="disclosures_disclosurerequest_report_csv"),
            path("package/<str:package>/", wrap(self.package_view), name="disclosures_disclosurerequest_package"),
            *super().get_urls(),
        ]

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def package_view(self, request, package):
        """Show what waits to be fetched; POST hands it over, once. Only ciphertext is ever served."""
        if not request.user.has_perm(HandOver.permission):
            raise PermissionDenied
        found = handover.find(package)
        if request.method == "POST":
            decision, data = handover.fetch(package, by=request.user)
            if decision.allowed:
                response = HttpResponse(data, content_type="application/octet-stream")
                response["Content-Disposition"] = f'attachment; filename="disclosure-{found.request_id}.age"'
                return response
        elif found:
            decision = handover.link(found, by=request.user, at=timezone.now())
        else:
            decision = gate.refuse("link_unknown")
        if found is None:
            return errors.not_found(request, None)  # an exception would take the entry back
        context = {"package": found, "refused": decision and gate.WORDS[decision.reason]}
        response = self.page(request, "admin/disclosures/package.html", found.request, _("Package"), **context)
        response.status_code = 410 if decision else 200
        return response

    def year(self, request):
        if not self.has_view_permission(request):
            raise PermissionDenied
        given, years = request.GET.get("year", ""), reports.years()
        return (int(given) if given.isdecimal() and int(given) in years else years[0]), years

    @method_decorator(require_safe)
    def report_view(self, request):
        """Show a year in numbers, with a chart."""
        year, years = self.year(request)
        said = reports.transparency(year)
        context = {"opts": self.opts, "title": _("Transparency report"), "year": year, "years": years, "parts": parts(said)}
        return TemplateResponse(request, "admin/disclosures/report.html", {**self.admin_site.each_context(request), **context})

    @method_decorator(require_safe)
    def report_csv(self, request):
        year, _years = self.year(request)
        rows = [["year", "part", "what", "number"]]
        rows += [[year, part, what, number] for part, numbers in reports.transparency(year).items() for what, number in numbers]
        response = HttpResponse(as_csv(rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="transparency-{year}.csv"'
        return response


def scope_lines(row, asked=False):
    """Return (label, text) of what is asked for, or of what is left of it."""
    fields, customers = (row.fields_asked, row.customers_asked) if asked else (row.fields, row.customers)
    since, until = (row.asked_from, row.asked_until) if asked else (row.period_from, row.period_until)
    return [
        (_("fields"), ", ".join(str(Field(name).label) for name in fields)),
        (_("customers"), ", ".join(refs_of(customers))),
        (_("period"), f"{since:%d/%m/%Y} – {until:%d/%m/%Y}"),
    ]
