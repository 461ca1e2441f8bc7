"""Third parties, requests for data, the register and breaches for staff. Refuses to show a value: what leaves is sealed first."""

from datetime import timedelta

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Prefetch
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from customers.models import Customer
from disclosures import gate, handover, letters, reports
from disclosures.forms import REFS, REFS_HELP, BreachForm, CommitmentForm, ExportForm, RequestForm, SealForm, checkboxes
from disclosures.models import (
    Breach,
    Commitment,
    Disclosure,
    DisclosureRequest,
    Document,
    Field,
    Package,
    PermissionEvent,
    PermissionOffer,
    RecipientTask,
    Seal,
    TermRule,
    ThirdParty,
)
from disclosures.templatetags.clocks import clock
from privacy_office import errors
from privacy_office.admin import Act, Choice, Happened, Lately, ReadOnlyAdmin, TrackedAdmin
from privacy_office.spreadsheets import as_csv

NOTE = {"widget": forms.Textarea(attrs={"rows": 3}), "help_text": _("No personal data.")}


def day(label, **options):
    return forms.DateField(label=label, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), **options)


def refs_of(numbers):
    return list(Customer.objects.filter(pk__in=numbers).order_by("pk").values_list("ref", flat=True))


class KeptAdmin(TrackedAdmin):
    """A model with history that its own verb `keep` writes."""

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.keep(by=request.user)


class AddedAdmin(TrackedAdmin):
    """A model with history whose rows are filled in once; what comes after is done by acts."""

    def has_change_permission(self, request, obj=None):
        return obj is None and super().has_change_permission(request, obj)


# Third parties


class CheckKey(Act):
    name, label = "check-key", _("Check the key")
    permission = "disclosures.approve_disclosurerequest"
    step_up = True
    explanation = _(
        "You read the key below back to the third party, over its published contact, and it is the same."
        " Nobody checks a key that they entered themselves."
    )

    def offered(self):
        return bool(self.row.age_key) and not self.row.key_checked_at

    def to_read(self):
        return [(self.row.name, f"{self.row.age_key}\n\n{self.row.contact}")]

    def act(self):
        self.row.check_key(by=self.by)


@admin.register(ThirdParty)
class ThirdPartyAdmin(KeptAdmin):
    list_display = ["name", "kind", "active", "key_checked_at"]
    when_empty = _("There are no third parties yet. Add who may ever get data; a colleague checks the key.")
    list_filter = ["kind", "active", ("key_checked_at", Happened)]
    fields = ["name", "kind", "contact", "age_key", "active", "key_set_by", "key_checked_by", "key_checked_at"]
    readonly_fields = ["key_set_by", "key_checked_by", "key_checked_at"]
    acts = [CheckKey]


class EndCommitment(Act):
    name, label = "end", _("End it now")
    permission = "disclosures.change_commitment"
    explanation = _("From this moment on nothing is handed over on this commitment. It cannot be taken back.")

    def offered(self):
        return self.row.ended_at is None

    def act(self):
        self.row.end(by=self.by)


@admin.register(Commitment)
class CommitmentAdmin(AddedAdmin):
    form = CommitmentForm
    list_display = ["id", "third_party", "valid_from", "valid_until", "ended_at", "in_force"]
    when_empty = _("No commitment was signed yet. Add one, with the signed document.")
    list_select_related = ["third_party"]
    list_filter = [("ended_at", Happened)]
    acts = [EndCommitment]

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["third_party", "valid_from", "valid_until", "file"]
        return ["third_party", "valid_from", "valid_until", "in_force", "document", "reminded_at", "ended_at"]

    @admin.display(description=_("in force today"))
    def in_force(self, commitment):
        today = timezone.localdate()
        return _("yes") if commitment.ended_at is None and commitment.valid_from <= today <= commitment.valid_until else _("no")

    def get_readonly_fields(self, request, obj=None):
        return ["in_force", *super().get_readonly_fields(request, obj)]

    def save_model(self, request, obj, form, change):
        obj.sign(form.data_of_file, by=request.user)


class ReadDocument(Act):
    name, label = "read", _("Read it")
    permission = "disclosures.read_document"
    explanation = _("Opens the signed document. That you read it is written down first.")

    def act(self):
        response = HttpResponse(self.row.read(by=self.by), content_type=self.row.media_type)
        response["Content-Disposition"] = f'attachment; filename="{self.row.file_name}"'
        return response


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["id", "media_type", "size", "added_at"]
    when_empty = _("There are no documents yet. They come with commitments, requests and statements.")
    list_filter = [("added_at", Lately)]
    fields = ["media_type", "size", "digest", "added_at", "content"]
    acts = [ReadDocument]


# What customers permit


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


@admin.register(TermRule)
class TermRuleAdmin(TrackedAdmin):
    list_display = ["code", "hours", "source"]
    fields = ["code", "hours", "source"]
    readonly_fields = ["code"]


# Requests


class Verify(Act):
    name, label = "verify", _("Verify the requester")
    permission = "disclosures.change_disclosurerequest"
    explanation = _("You made sure that the request comes from whom it names, through a contact that the request itself did not tell.")
    how = forms.ChoiceField(label=_("How"), choices=DisclosureRequest.Verification, widget=forms.RadioSelect)
    reference = forms.CharField(label=_("Number"), max_length=60, help_text=_("Of the call, the certificate, the visit. No personal data."))

    def offered(self):
        return self.row.is_open and not self.row.verified_at

    def to_read(self):
        return [(self.row.third_party.name, self.row.third_party.contact)]

    def act(self):
        self.row.verify(by=self.by, how=self.cleaned_data["how"], reference=self.cleaned_data["reference"])


class Assess(Act):
    name, label = "assess", _("Assess and narrow")
    permission = "disclosures.change_disclosurerequest"
    explanation = _("Take away what the ground does not reach. Nothing can be added. What was approved before has to be approved again.")
    fields_kept = checkboxes(_("Fields"), Field)
    refs = forms.CharField(label=_("Customers"), help_text=REFS_HELP, **REFS)
    period_from = day(_("Period from"))
    period_until = day(_("Period until"))
    assessment = forms.CharField(label=_("Why this much and no more"), max_length=1000, **NOTE)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["fields_kept"].choices = [(name, Field(name).label) for name in row.fields_asked]
        self.initial = {
            "fields_kept": row.fields or row.fields_asked,
            "refs": " ".join(refs_of(row.customers or row.customers_asked)),
            "period_from": row.period_from or row.asked_from,
            "period_until": row.period_until or row.asked_until,
            "assessment": row.assessment,
        }

    def offered(self):
        return self.row.is_open

    def act(self):
        told = {name: self.cleaned_data[name] for name in ("period_from", "period_until", "assessment")}
        self.row.assess(
            by=self.by, fields=self.cleaned_data["fields_kept"], refs=self.cleaned_data["refs"].replace(",", " ").split(), **told
        )


class Decide(Act):
    permission = "disclosures.approve_disclosurerequest"
    step_up = True

    def to_read(self):
        return [(_("What would be handed over"), summary(self.row)), (_("What was asked for"), asked(self.row))]


class Approve(Decide):
    name, label = "approve", _("Approve")
    explanation = _(
        "You have read what would be handed over and say that the ground reaches it. Nobody approves what they assessed themselves."
    )
    scope = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["scope"].initial = row.scope

    def offered(self):
        return self.row.status == DisclosureRequest.Status.ASSESSED

    def act(self):
        self.row.approve(by=self.by, scope=self.cleaned_data["scope"])


class RefuseRequest(Decide):
    name, label = "refuse", _("Refuse")
    explanation = _("Nothing is handed over, and the requester is told why.")
    ground = forms.ChoiceField(label=_("Ground of the refusal"), choices=DisclosureRequest.RefusalGround, widget=forms.RadioSelect)
    note = forms.CharField(label=_("What else is to be said"), max_length=500, required=False, **NOTE)

    def offered(self):
        return self.row.status in (DisclosureRequest.Status.RECEIVED, DisclosureRequest.Status.ASSESSED)

    def act(self):
        self.row.refuse(by=self.by, ground=self.cleaned_data["ground"], note=self.cleaned_data["note"])


class HandOver(Act):
    name, label = "hand-over", _("Hand over")
    permission = "disclosures.change_disclosurerequest"
    step_up = True
    explanation = _(
        "Makes the package, encrypted to the third party's key. You then fetch it once and send it over the third party's published"
        " contact. The gate is asked now, and again when you fetch it."
    )

    def offered(self):
        return self.row.status == DisclosureRequest.Status.APPROVED

    def to_read(self):
        return [(_("What will be handed over"), summary(self.row))]

    def act(self):
        decision, token = handover.prepare(self.row, by=self.by)
        if decision.allowed:
            return redirect("admin:disclosures_disclosurerequest_package", token)
        return redirect("admin:disclosures_disclosurerequest_change", self.row.pk)  # where the gate's answer stands


def scope_text(fields, customers, since, until):
    kinds = ", ".join(str(Field(name).label) for name in fields) or "—"
    return (
        f"{_('fields')}: {kinds}\n{_('customers')}: {' '.join(refs_of(customers)) or '—'}\n{_('period')}: {since or '—'} – {until or '—'}"
    )


def asked(request):
    return scope_text(request.fields_asked, request.customers_asked, request.asked_from, request.asked_until)


def summary(request):
    law = ", ".join(filter(None, [request.document_number, request.legal_article]))
    head = f"{request.third_party}\n{request.get_ground_display()}{': ' + law if law else ''}\n"
    said = f"\n{_('assessment')}: {request.assessment}" if request.assessment else ""
    return head + scope_text(request.fields, request.customers, request.period_from, request.period_until) + said


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


PARTS = {
    "ground": _("Requests by ground"),
    "kind": _("Requests by who asked"),
    "outcome": _("Requests by outcome"),
    "fields": _("Handed over, by kind of data"),
    "time": _("Time to the answer"),
    "clock": _("Answers with a time limit"),
}
OUTCOMES = {
    "disclosed": _("handed over in full"),
    "narrowed": _("handed over in part"),
    "refused": _("refused"),
    "open": _("open"),
    "in time": _("in time"),
    "late": _("late"),
}
BAR, GAP, WIDEST = 20, 28, 300  # of the chart, in its own units


def parts(said):
    """Return the parts of a report with what their charts need: (title, height, [(label, number, y, width)])."""
    made = []
    for code, numbers in said.items():
        most = max(number for _label, number in numbers) or 1
        bars = [
            (OUTCOMES.get(label, label), number, place * (BAR + GAP), round(WIDEST * number / most))
            for place, (label, number) in enumerate(numbers)
        ]
        made.append((PARTS[code], len(bars) * (BAR + GAP), bars))
    return made


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


# The register


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


# Breaches


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
