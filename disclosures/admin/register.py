"""Seals, packages, the register of what was handed over, and who is to be told of what changed since."""

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from disclosures import reports
from disclosures.admin.bases import AddedAdmin
from disclosures.forms import ExportForm, SealForm
from disclosures.models import Disclosure, Field, Package, RecipientTask, Seal
from disclosures.templatetags.clocks import clock
from privacy_office.admin import Act, Happened, Lately, ReadOnlyAdmin, TrackedAdmin


@admin.register(Seal)
class SealAdmin(AddedAdmin):
    form = SealForm
    list_display = ["id", "request", "until", "statement_number", "placed_by", "lifted_at"]
    when_empty = _("Nothing is sealed. A seal is placed on an authority's dated statement.")
    list_select_related = ["request", "placed_by"]
    list_filter = [("lifted_at", Happened)]

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["request", "until", "statement_number", "statement_dated_on", "file"]
        return ["request", "until", "statement_number", "statement_dated_on", "document", "placed_by", "placed_at", "lifted_at"]

    def save_model(self, request, obj, form, change):
        obj.place(form.data_of_file, by=request.user)


@admin.register(Package)
class PackageAdmin(ReadOnlyAdmin):
    list_display = ["id", "request", "made_by", "made_at", "expires_at", "fetched_at"]
    when_empty = _("Nothing was packed yet. Approved requests are handed over on their page.")
    list_select_related = ["request", "made_by"]
    list_filter = [("fetched_at", Happened)]
    fields = ["request", "digest", "size", "made_by", "made_at", "expires_at", "fetched_at"]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("ciphertext")


@admin.register(Disclosure)
class DisclosureAdmin(ReadOnlyAdmin):
    list_display = ["id", "at", "customer", "third_party", "ground", "kinds", "by", "sealed"]
    when_empty = _("Nothing has left the house. What is handed over stands here by itself.")
    list_select_related = ["customer", "third_party", "by", "request"]
    list_filter = ["ground", "third_party", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    change_list_template = "admin/disclosures/register.html"
    fields = [
        "request", "customer", "third_party", "ground", "clause", "evidence", "kinds", "period_from", "period_until", "at", "recorded_at",
        "digest", "by", "approved_by", "sealed",
    ]  # fmt: skip

    def get_queryset(self, request):
        seals = Prefetch("request__seals", Seal.objects.all())
        return super().get_queryset(request).prefetch_related(seals)

    @admin.display(description=_("fields"))
    def kinds(self, row):
        return row.fields_shown

    @admin.display(description=_("sealed until"))
    def sealed(self, row):
        until = max((seal.until for seal in row.request.seals.all()), default=None)
        return until if until and until > timezone.localdate() else None

    def get_urls(self):
        wrap = self.admin_site.admin_view
        return [path("export/", wrap(self.export_view), name="disclosures_disclosure_export"), *super().get_urls()]

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def export_view(self, request):
        """Ask which days; POST gives them as CSV and leaves the entry."""
        if not request.user.has_perm("disclosures.export_disclosure"):
            raise PermissionDenied
        today = timezone.localdate()
        form = ExportForm(
            request.POST if request.method == "POST" else None, initial={"since": today.replace(month=1, day=1), "until": today}
        )
        if form.is_valid():
            text = reports.register(by=request.user, **form.cleaned_data)
            response = HttpResponse(text, content_type="text/csv; charset=utf-8")
            response["Content-Disposition"] = 'attachment; filename="register.csv"'
            return response
        context = {"opts": self.opts, "title": _("Export the register"), "form": form}
        return TemplateResponse(request, "admin/disclosures/export.html", {**self.admin_site.each_context(request), **context})


class Settle(Act):
    name, label = "settle", _("Write down the outcome")
    permission = "disclosures.change_recipienttask"
    explanation = _("You told the recipient that what it got was corrected or erased, over its published contact.")
    outcome = forms.ChoiceField(label=_("Outcome"), choices=RecipientTask.Outcome, widget=forms.RadioSelect)
    note = forms.CharField(label=_("Note"), max_length=300, required=False, help_text=_("Letter or call. No personal data."))

    def offered(self):
        return self.row.done_at is None

    def to_read(self):
        return [(self.row.third_party.name, self.row.third_party.contact)]

    def act(self):
        self.row.settle(by=self.by, outcome=self.cleaned_data["outcome"], note=self.cleaned_data["note"])


@admin.register(RecipientTask)
class RecipientTaskAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "time_left", "third_party", "what", "customer", "happened_at", "outcome"]
    when_empty = _("No recipient has to be told of anything. That comes up when what was handed over is corrected or erased.")
    list_select_related = ["third_party", "customer"]
    list_filter = [("done_at", Happened), "what", "outcome", "third_party"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "third_party", "what", "customer", "kinds", "disclosure", "happened_at", "due_at", "time_left", "outcome", "note", "done_by",
        "done_at",
    ]  # fmt: skip
    acts = [Settle]

    @admin.display(description=_("fields"))
    def kinds(self, row):
        return ", ".join(str(Field(name).label) for name in row.fields)

    @admin.display(description=_("time left"))
    def time_left(self, row):
        return clock(row.due_at, row.done_at)
