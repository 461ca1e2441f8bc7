"""Purposes, the law's rules, policy versions and the ledger of consent for staff. Refuses to write a consent: customers and verbs do."""

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from consent import outreach, receipts
from consent.differences import differences, layout
from consent.models import (
    Acknowledgement,
    Announcement,
    Approach,
    Channel,
    ChannelRule,
    ConsentEvent,
    ConsentState,
    PolicyVersion,
    Purpose,
    Source,
    Suppression,
)
from privacy_office.admin import EMPTY, Act, Happened, Lately, ReadOnlyAdmin, TrackedAdmin, clauses
from privacy_office.uploads import ScanField

# What each rule of the gate asks, in the order of the rules.
QUESTIONS = {
    "known": _("Do we know this customer, and was nothing erased?"),
    "unrestricted": _("May the data be used, or did the customer restrict it?"),
    "pursued_by_this_channel": _("Is this channel foreseen for the purpose?"),
    "associated": _("Is the customer still associated with us, where that is needed?"),
    "unsuppressed": _("Has the address, or number, never said no?"),
    "reachable": _("Is there an address, or number, that works and is not on hold?"),
    "consented": _("Did the customer agree, where that is needed?"),
    "up_to_date": _("Was that after the last policy version that changed the purpose?"),
    "under_the_cap": _("Is there room under the cap of 24 hours?"),
    "within_hours": _("Is it the hour for it?"),
}


# Acts on a customer


class Said(Act):
    """What a customer said to staff, of some purposes and channels."""

    permission = "consent.change_consentstate"
    sources = ()
    purposes = forms.ModelMultipleChoiceField(
        Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT), label=_("What it is about"), widget=forms.CheckboxSelectMultiple
    )
    channels = forms.MultipleChoiceField(label=_("By which channels"), choices=Channel, widget=forms.CheckboxSelectMultiple)
    source = forms.ChoiceField(label=_("How it reached us"))
    at = forms.DateTimeField(
        label=_("When it was said"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("It counts from this moment, unless the customer said something else later. Empty: now."),
    )
    evidence = forms.CharField(
        label=_("Evidence"),
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Where it can be shown: the ticket, the recording, the paper and where it lies. Encrypted."),
    )

    file = ScanField(label=_("Scan"), required=False, help_text=_("A photo or a PDF of what was signed, if there is one. Encrypted."))

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["purposes"].label_from_instance = lambda purpose: purpose.title
        self.fields["source"].choices = [(source.value, source.label) for source in self.sources]
        self.initial["at"] = timezone.localtime()

    def offered(self):
        return self.row.erased_at is None

    def clean_at(self):
        at = self.cleaned_data["at"]
        if at and at > timezone.now():
            raise forms.ValidationError(_("This lies in the future."))
        return at

    def wishes(self, yes):
        """Return what was said as the ledger takes it: each purpose by those of the channels that are foreseen for it."""
        chosen = self.cleaned_data["channels"]
        return {(p, Channel(channel)): yes for p in self.cleaned_data["purposes"] for channel in chosen if channel in p.channels}

    def told(self):
        return {"by": self.by, **{name: self.cleaned_data[name] for name in ("source", "at", "evidence", "file")}}


class Refuse(Said):
    name, label = "refuse", _("Write down a refusal")
    explanation = _("The customer says no by phone or in a ticket. It takes effect at once, and where a no stands already nothing changes.")
    sources = (Source.PHONE_CALL, Source.SUPPORT_TICKET, Source.REPLY, Source.PAPER)

    def act(self):
        ConsentEvent.objects.say(self.row, self.wishes(False), **self.told())


class Consent(Said):
    name, label = "consent", _("Write down a consent")
    explanation = _(
        "The customer says yes, of their own accord and after hearing what it is about, how often it comes, and that they may refuse at"
        " any time. Silence is no yes, and nothing is ticked for them."
    )
    sources = (Source.PHONE_CALL, Source.PAPER, Source.SUPPORT_TICKET, Source.SIGNUP_FORM)
    policy = forms.ModelChoiceField(
        PolicyVersion.objects.published(), label=_("Policy version"), help_text=_("The one that the customer was shown or told of.")
    )

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.initial["policy"] = PolicyVersion.objects.published().first()

    def clean(self):
        data = super().clean()
        policy, at = data.get("policy"), data.get("at") or timezone.now()
        in_force = PolicyVersion.objects.published().filter(published_at__lte=at).first()
        if policy and at < policy.published_at:
            self.add_error("policy", _("This version was not published yet when it was said."))
        elif policy and policy != in_force:
            self.add_error("policy", _("A newer version was in force when it was said: the customer has to be told of that one."))
        return data

    def act(self):
        ConsentEvent.objects.say(self.row, self.wishes(True), policy=self.cleaned_data["policy"], **self.told())


class Acknowledge(Act):
    name, label = "acknowledge", _("Write down an acknowledgement")
    permission = "consent.add_acknowledgement"
    explanation = _("The customer took note of one exact version of the policy (§0). This is no consent: nothing more is sent for it.")
    version = forms.ModelChoiceField(PolicyVersion.objects.published(), label=_("Policy version"), empty_label=None)
    at = forms.DateTimeField(label=_("When"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"))
    source = forms.ChoiceField(
        label=_("How it reached us"),
        choices=[(s.value, s.label) for s in Acknowledgement.Source if s != Acknowledgement.Source.CUSTOMER_PAGE],
    )
    evidence = Said.base_fields["evidence"]

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.initial["at"] = timezone.localtime()

    def offered(self):
        return self.row.erased_at is None

    clean_at = Said.clean_at

    def act(self):
        told = {name: self.cleaned_data[name] for name in ("at", "source", "evidence")}
        Acknowledgement.record(self.row, self.cleaned_data["version"], by=self.by, **told)


class AskContact(Act):
    name, label = "ask-contact", _("Ask before a contact")
    permission = "consent.add_approach"
    explanation = _("Before an SMS or a call: the gate answers yes or no and why, and the answer is written down.")
    purpose = forms.ModelChoiceField(Purpose.objects.all(), label=_("What for"))
    channel = forms.ChoiceField(label=_("By which channel"), choices=[(c.value, c.label) for c in (Channel.PHONE, Channel.SMS)])
    off_register = forms.BooleanField(
        label=_("I looked the number up: it is not in the Do-Not-Call register"),
        required=False,
        help_text=_("Advertising by SMS or phone to a number in the register is forbidden, whatever the customer agreed to."),
    )

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["purpose"].label_from_instance = lambda purpose: purpose.title

    def act(self):
        asked = {name: self.cleaned_data[name] for name in ("purpose", "channel", "off_register")}
        approach = outreach.ask(self.row, **asked, by=self.by)
        return redirect("admin:consent_approach_change", approach.pk)


# Pages


@admin.register(Purpose)
class PurposeAdmin(TrackedAdmin):
    list_display = ["code", "title", "clause", "legal_basis", "kind"]
    list_filter = ["legal_basis", "kind"]
    fields = [
        "code", "title_vi", "title_en", "meaning_vi", "meaning_en", "frequency_vi", "frequency_en",
        "clause", "legal_basis", "kind", "channels", "fields", "while_associated", "retention_days",
    ]  # fmt: skip
    readonly_fields = ["code", "clause", "legal_basis", "kind", "fields", "while_associated"]

    @admin.display(description=_("title"))
    def title(self, purpose):
        return purpose.title

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name == "channels":
            return forms.MultipleChoiceField(
                label=capfirst(db_field.verbose_name), help_text=db_field.help_text, choices=Channel, widget=forms.CheckboxSelectMultiple
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(ChannelRule)
class ChannelRuleAdmin(TrackedAdmin):
    list_display = ["channel", "cap", "opens", "closes", "label", "register", "source"]
    fields = ["channel", "cap", "opens", "closes", "label", "register", "source"]
    readonly_fields = ["channel"]


class Publish(Act):
    name, label = "publish", _("Publish")
    permission = "consent.change_policyversion"
    explanation = _(
        "Puts this version into effect now and for good: it can never be changed again. Nobody publishes what they wrote at."
        " After a major version, customers concerned are told once, and are asked anew for the purposes it changes."
    )

    def offered(self):
        return self.row.published_at is None and not self.row.written_by(self.by)

    def to_read(self):
        texts = [(language, text) for language, text in (("Tiếng Việt", self.row.text_vi), ("English", self.row.text_en)) if text]
        told = [
            (f"{_('What customers are told')}: {language}", text)
            for language, text in (("Tiếng Việt", self.row.summary_vi), ("English", self.row.summary_en))
            if text
        ]
        purposes = ", ".join(purpose.code for purpose in self.row.changes.all())
        return [(f"{self.row.get_severity_display()}: {purposes or EMPTY}", self.row.summary("vi") or EMPTY), *told, *texts]

    def act(self):
        self.row.publish(by=self.by)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(TrackedAdmin):
    list_display = ["number", "severity", "published_at", "drafted_by", "published_by"]
    when_empty = _("There is no policy yet. Add the first version, and have a colleague publish it.")
    list_select_related = ["drafted_by", "published_by"]
    list_filter = ["severity", ("published_at", Happened)]
    fields = [
        "number", "severity", "changes", "summary_vi", "summary_en", "text_vi", "text_en",
        "drafted_by", "published_by", "published_at", "digest", "announced",
    ]  # fmt: skip
    readonly_fields = ["drafted_by", "published_by", "published_at", "digest", "announced"]
    acts = [Publish]

    @admin.display(description=_("customers told"))
    def announced(self, version):
        announcement = Announcement.objects.filter(policy_version=version.pk).first()
        if announcement is None:
            return None
        return f"{announcement.told} ({_('done') if announcement.done_at else _('going on')})"

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and (obj is None or obj.published_at is None)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return super().formfield_for_manytomany(db_field, request, widget=forms.CheckboxSelectMultiple, **kwargs)

    def get_changeform_initial_data(self, request):
        """Begin a new draft with the number and the texts of the version before: what is written is what changes."""
        latest = PolicyVersion.objects.first()
        if latest is None:
            return {"number": 1}
        return {"number": latest.number + 1, "text_vi": latest.text_vi, "text_en": latest.text_en}

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            values = {name: form.cleaned_data[name] for name in form.changed_data if name != "changes"}
            if not change:
                values = {name: value for name, value in form.cleaned_data.items() if name != "changes"}
            obj.draft(by=request.user, changes=form.cleaned_data["changes"], **values)

    def get_urls(self):
        views = {"preview": self.preview_view, "changes": self.changes_view}
        pages = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=f"consent_policyversion_{name}")
            for name, view in views.items()
        ]
        by_clause = path("clauses/", self.admin_site.admin_view(clauses.page), name="consent_policyversion_clauses")
        return [*pages, by_clause, *super().get_urls()]

    def version(self, request, object_id):
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=object_id)

    def preview_view(self, request, object_id):
        """Show the version laid out as on the public page, in every language it has."""
        version = self.version(request, object_id)
        texts = [(code, name, layout(version.text(code))) for code, name in settings.LANGUAGES if version.language(code) == code]
        return self.page(request, "admin/consent/policyversion/preview.html", version, _("Preview"), texts=texts)

    def changes_view(self, request, object_id):
        """Show what differs from the last version that was published before, in every language that either has."""
        version = self.version(request, object_id)
        old = version.previous() or PolicyVersion(number=0)
        codes = [code for code in ("vi", "en") if getattr(version, f"text_{code}") or getattr(old, f"text_{code}")]
        texts = [
            (code, dict(settings.LANGUAGES)[code], differences(getattr(old, f"text_{code}"), getattr(version, f"text_{code}")))
            for code in codes
        ]
        context = {"old": old, "new": version, "texts": texts}
        return self.page(request, "admin/consent/policyversion/changes.html", version, _("Differences"), **context)


@admin.register(Acknowledgement)
class AcknowledgementAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "policy_version", "at", "source", "by"]
    when_empty = _("Nobody has taken note of a version yet. Customers do so on their page, staff write it down on the customer's.")
    list_select_related = ["customer", "policy_version"]
    list_filter = ["source", "policy_version", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "policy_version", "at", "recorded_at", "source", "shown_digest", "evidence", "by"]


class LedgerAdmin(ReadOnlyAdmin):
    """Rows of which there is a document, to print at `…/NAME/` and as JSON at `…/NAME.json`."""

    document = ""
    list_select_related = ["customer", "purpose"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")

    def get_urls(self):
        view, name = self.admin_site.admin_view(self.document_view), f"consent_{self.opts.model_name}_{self.document}"
        as_page = path(f"<int:object_id>/{self.document}/", view, {"as_json": False}, name=name)
        as_json = path(f"<int:object_id>/{self.document}.json", view, {"as_json": True}, name=f"{name}_json")
        return [as_page, as_json, *super().get_urls()]

    @method_decorator(require_GET)
    def document_view(self, request, object_id, as_json):
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(self.get_queryset(request).select_related("customer", "purpose", "policy_version"), pk=object_id)
        told = self.told(row)
        if as_json:
            return JsonResponse(told, json_dumps_params={"ensure_ascii": False, "indent": 2})
        pages = {"json_url": f"../{self.document}.json", "back_url": self.url_of(row)}
        return render(request, f"consent/{self.document}.html", {"row": row, self.document: told, "history": self.history(row), **pages})

    def history(self, row):
        return []

    @admin.display(description=_("document"))
    def documents(self, row):
        url = reverse(f"admin:consent_{self.opts.model_name}_{self.document}", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, _("show"))


@admin.register(ConsentState)
class ConsentStateAdmin(LedgerAdmin):
    document = "record"
    list_display = ["customer", "purpose", "channel", "state", "at", "policy_version"]
    when_empty = _(
        "Nobody has said anything yet. Customers choose on their page; what they say otherwise is written down on the customer's."
    )
    list_select_related = ["customer", "purpose", "policy_version"]
    list_filter = ["state", "channel", "purpose"]
    fields = ["customer", "purpose", "channel", "state", "at", "event", "policy_version", "documents"]
    readonly_fields = ["documents"]

    def told(self, state):
        return receipts.record(state.customer, state.purpose, state.channel)

    def history(self, state):
        """Return (event, address of its receipt) of all that was said."""
        said = ConsentEvent.objects.filter(customer=state.customer, purpose=state.purpose, channel=state.channel)
        events = said.select_related("policy_version").order_by("at", "pk")
        return [(event, reverse("admin:consent_consentevent_receipt", args=[event.pk])) for event in events]


@admin.register(ConsentEvent)
class ConsentEventAdmin(LedgerAdmin):
    document = "receipt"
    list_display = ["id", "customer", "purpose", "channel", "event", "at", "source", "by"]
    when_empty = _(
        "Nobody has said anything yet. Customers choose on their page; what they say otherwise is written down on the customer's."
    )
    list_filter = ["event", "channel", "source", "purpose", ("recorded_at", Lately)]
    fields = [
        "customer", "purpose", "channel", "event", "at", "recorded_at", "source", "policy_version", "shown_digest", "evidence", "by",
        "documents",
    ]  # fmt: skip
    readonly_fields = ["documents"]

    def told(self, event):
        return receipts.receipt(event)


class MakeContact(Act):
    name, label = "make", _("Contact made")
    permission = "consent.add_approach"
    explanation = _("Press this as you send the SMS or as you call: the gate is asked once more, and the contact counts under the cap.")

    def offered(self):
        return self.row.allowed and self.row.made_at is None

    def act(self):
        outreach.make(self.row, by=self.by)
        return redirect("admin:consent_approach_change", self.row.pk)


@admin.register(Approach)
class ApproachAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "purpose", "channel", "answer", "asked_at", "asked_by", "made_at"]
    when_empty = _("Nobody was to be called or sent an SMS yet. Ask before a contact, on the customer's page.")
    list_select_related = ["customer", "purpose", "asked_by"]
    list_filter = ["channel", "allowed", "purpose", ("made_at", Happened), ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "customer", "purpose", "channel", "answer", "reason", "clause", "evidence", "not_before",
        "off_register", "asked_at", "asked_by", "made_at",
    ]  # fmt: skip
    readonly_fields = ["answer"]
    acts = [MakeContact]

    @admin.display(description=_("answer"))
    def answer(self, approach):
        return format_html('<strong class="{}">{}</strong>', *(("yes", _("allowed")) if approach.allowed else ("no", _("refused"))))


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    list_display = ["id", "purpose", "channel", "since", "lifted_at"]
    when_empty = _("No address has said no yet. A refusal is kept here by itself, also after an erasure.")
    list_select_related = ["purpose"]
    list_filter = ["channel", "purpose", ("lifted_at", Happened)]
    fields = ["purpose", "channel", "since", "lifted_at"]
