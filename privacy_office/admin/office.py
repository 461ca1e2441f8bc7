"""What every page of the staff's admin has in common. Refuses to delete, to unmask, and to answer guesses."""

import functools
import itertools
import time

from cryptography.fernet import InvalidToken
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.utils import display_for_field, unquote
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _
from encrypted_model_fields import fields as library
from simple_history.admin import SimpleHistoryAdmin
from simple_history.template_utils import ObjDiffDisplay

from audit import models as audit
from audit.unrecorded import Unrecorded
from privacy_office import accounts, errors
from privacy_office.fields import UndecryptableValue, is_encrypted
from privacy_office.forms import ProofForm, code_field

MASK, EMPTY = "•••", "—"
SEARCH_LASTS = 3600  # seconds
SEARCH_TAKES = 254  # characters, as the longest e-mail address has; sealed, an address of the office must still hold them


def encrypted(model):
    return [field for field in model._meta.concrete_fields if is_encrypted(field)]


@functools.cache
def masked(field):
    """Return a column that tells of an encrypted field only whether there is something, and whether it can be read."""

    def column(row):
        try:
            return MASK if getattr(row, field.name) else EMPTY
        except UndecryptableValue:
            return _("cannot be decrypted")

    column.__name__, column.short_description, column.hides = field.name, field.verbose_name, field.name
    return column


class EstimatedPaginator(Paginator):
    """Counts a large table by the database's estimate, and what was filtered up to a limit: a true count takes longer than the page."""

    MOST = 10_000

    @functools.cached_property
    def count(self):
        if not self.object_list.query.where and (estimate := self.estimate()) > self.MOST:
            return estimate
        return self.object_list.order_by()[: self.MOST].count()

    def estimate(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [self.object_list.model._meta.db_table])
            return cursor.fetchone()[0]


def sealed_search(text, by, at=None):
    """Return `text` as it may stand in an address: for one member of the staff, and for an hour from `at` (now)."""
    return library.CRYPTER.encrypt_at_time(f"search.{by.pk}|{text}".encode(), int(at or time.time())).decode()


def opened_search(token, by):
    """Return the text of a sealed search; None if it is too old, broken, another's, or was sealed for anything else."""
    try:
        context, _separator, text = library.CRYPTER.decrypt(token.encode(), ttl=SEARCH_LASTS).decode().partition("|")
    except InvalidToken:
        return None
    return text if context == f"search.{by.pk}" else None


class OfficeList(ChangeList):
    """A list that loads no encrypted column but those it shows masked, sorts by nothing undeclared, and opens sealed searches alone."""

    longest_search = SEARCH_TAKES

    def get_queryset(self, request, exclude_parameters=None):
        text = self.query and self.open_search(request)
        self.query = text or ""
        shown = {getattr(column, "hides", None) for column in self.list_display}
        hidden = [field.name for field in encrypted(self.model) if field.name not in shown]
        for name in self.list_select_related:
            hidden += [f"{name}__{field.name}" for field in encrypted(self.opts.get_field(name).related_model)]
        rows = super().get_queryset(request, exclude_parameters).defer(*hidden)
        return rows.none() if text is None else rows

    def open_search(self, request):
        if not self.query.startswith("gAAAAA"):  # as every Fernet token does until 2106
            raise DisallowedModelAdminLookup("A search does not stand in an address in clear.")
        text = opened_search(self.query, request.user)
        if text is None:
            messages.warning(request, _("This search can no longer be opened: please search again."))
        return text

    def get_ordering_field(self, field_name):
        return super().get_ordering_field(field_name) if field_name in self.sortable_by else None


class Act(forms.Form):
    """A verb of a row that staff may call, with what it needs to be told: one page, GET asks and POST acts."""

    name = label = explanation = ""
    permission = None  # "app.codename"
    preselected = ()  # fields that the address may fill in
    step_up = False  # whether the second factor is asked for once more, unless it was given a few minutes ago

    def __init__(self, row, by, data=None):
        self.row, self.by = row, by
        super().__init__(data)

    def ask_for_code(self):
        """Have one more field, so that nothing typed is lost over it."""
        self.fields["code"] = code_field(help_text=_("From your authenticator app, or a recovery code: this is a sensitive act."))

    def prove(self):
        """Take the code, if one was asked for. ValidationError says why not; the field of a right one goes, as it is used up."""
        if "code" in self.fields:
            proof = ProofForm({"code": self.cleaned_data["code"]}, user=self.by)
            if not proof.is_valid():
                raise ValidationError(proof.errors.as_data()["code"])
            proof.save()
            del self.fields["code"]

    def offered(self):
        """Return whether the row, as it stands, is one to do this to."""
        return True

    def to_read(self):
        """Return (title, text) of what one has to have read before doing this."""
        return []

    def act(self):
        """Call the verb; return what is to be told once and never again, or where to go on, or None."""
        raise NotImplementedError


class OfficeAdmin(admin.ModelAdmin):
    """Any model: nothing deleted, encrypted fields masked, only declared filters answered, every change with its entry."""

    actions = None
    acts = ()
    empty_value_display = EMPTY
    list_max_show_all = list_per_page = 50
    list_select_related = ()  # every list names what it needs; Django would follow all relations
    paginator = EstimatedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()
    view_on_site = False

    def has_delete_permission(self, request, obj=None):
        return False

    # What is asked

    def lookup_allowed(self, lookup, value, request):
        """Allow a declared filter's own parameters: any other is a guess at what is not shown."""
        allowed = set()
        for name in self.get_list_filter(request):
            field = self.opts.get_field(name)
            target = f"{name}__{field.target_field.name}" if field.is_relation else name
            allowed |= {f"{target}__exact", f"{name}__isnull"}
        return lookup in allowed

    def get_changelist(self, request, **kwargs):
        return OfficeList

    def get_search_fields(self, request):
        # Django's autocomplete, which no form here uses, would answer a search that stands in the address.
        return () if request.path == reverse("admin:autocomplete") else super().get_search_fields(request)

    def changelist_view(self, request, extra_context=None):
        """Take a search by POST and lead to it sealed: histories and logs keep addresses, and a search may be a person's e-mail."""
        if not (request.method == "POST" and SEARCH_VAR in request.POST and self.has_view_permission(request)):
            return super().changelist_view(request, extra_context)
        query = request.GET.copy()
        for name in (SEARCH_VAR, PAGE_VAR):
            query.pop(name, None)
        if text := request.POST[SEARCH_VAR].replace("\0", "").strip()[:SEARCH_TAKES]:
            query[SEARCH_VAR] = sealed_search(text, request.user)
        return redirect(f"{request.path}?{query.urlencode()}")

    # What is shown

    def shown(self, names):
        hidden = {field.name: masked(field) for field in encrypted(self.model)}
        return [hidden.get(name, name) for name in names]

    def get_list_display(self, request):
        return self.shown(super().get_list_display(request))

    def get_fieldsets(self, request, obj=None):
        return [(title, {**options, "fields": self.shown(options["fields"])}) for title, options in super().get_fieldsets(request, obj)]

    def get_readonly_fields(self, request, obj=None):
        return [*super().get_readonly_fields(request, obj), *map(masked, encrypted(self.model))]

    def get_exclude(self, request, obj=None):
        return [*(super().get_exclude(request, obj) or ()), *(field.name for field in encrypted(self.model))]

    def may_see_history(self, request):
        return False

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj:
            acts = [act(obj, request.user) for act in self.acts if request.user.has_perm(act.permission)]
            context["acts"] = [act for act in acts if act.offered()]
            context["may_see_history"] = self.may_see_history(request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # What is changed

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """Show a refusal of the row's own verb on the form, with what was typed, after undoing what came before it."""
        try:
            with transaction.atomic():
                return super().changeform_view(request, object_id, form_url, extra_context)
        except (ValidationError, UndecryptableValue) as error:
            request.refusal = refusal(error)
            if request.method == "POST":
                row = self.get_object(request, unquote(object_id)) if object_id else None
                self.record_refusal(request, row, "change" if object_id else "add", error)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change, **kwargs)
        if not hasattr(request, "refusal"):
            return form

        class Refused(form):
            def clean(self):
                raise request.refusal

        return Refused

    def save_model(self, request, obj, form, change):
        """Save with history and entry; what is unchanged leaves no row."""
        if change and not form.changed_data:
            return
        obj._change_reason = action = f"{self.opts.model_name}.{'change' if change else 'add'}"
        super().save_model(request, obj, form, change)
        audit.record(action, by=request.user, obj=obj, fields=sorted(form.changed_data))

    def get_urls(self):
        act = self.admin_site.admin_view(self.act_view)
        return [path("<int:object_id>/do/<slug:name>/", act, name=f"{self.opts.app_label}_{self.opts.model_name}_act"), *super().get_urls()]

    def act_view(self, request, object_id, name):
        """Ask what an act needs to know, and do it; what its verb refuses comes back with what was typed."""
        act = next((act for act in self.acts if act.name == name), None)
        if act is None:
            raise Http404
        if not (self.has_view_permission(request) and request.user.has_perm(act.permission)):
            raise PermissionDenied
        rows = self.get_queryset(request)
        if request.method == "POST":
            rows = rows.select_for_update(of=["self"])  # a verb saves the whole row: it must not be one that another just changed
        row = get_object_or_404(rows, pk=object_id)
        form = act(row, request.user, request.POST if request.method == "POST" else None)
        form.files = request.FILES
        form.initial |= {name: request.GET[name] for name in act.preselected if name in request.GET}
        if act.step_up and not accounts.proved(request):
            form.ask_for_code()
        if form.is_valid() and self.proven(request, form):
            try:
                with transaction.atomic():
                    if not form.offered():
                        raise ValidationError(_("As things stand, this cannot be done."))
                    told = form.act()
            except (ValidationError, UndecryptableValue) as error:
                self.record_refusal(request, row, name, error)
                form.add_error(None, refusal(error))
            else:
                if isinstance(told, HttpResponse):
                    return told
                if told:
                    return self.tell_once(request, row, act.label, told)
                self.message_user(request, format_lazy("{} {}: {}.", row, act.label, _("done")), messages.SUCCESS)
                return redirect(self.url_of(row))
        return self.page(request, "admin/act.html", row, act.label, form=form)

    def proven(self, request, form):
        """Return whether the second factor, where it is asked for, is right; else say so on the form and leave the entry."""
        try:
            form.prove()
        except ValidationError as error:
            self.record_refusal(request, form.row, form.name, error)
            form.add_error("code", error)
            return False
        return True

    def record_refusal(self, request, row, name, error):
        """Leave the entry of an act that was undone; the answer that tells of it is a success, so the entry stays."""
        action = f"{self.opts.model_name}.{name}.refused"
        audit.record(action, by=request.user, obj=row, subject=getattr(row, "public_id", None), reason=reason(error))

    def tell_once(self, request, row, title, told):
        """Show what nobody can look up again. On the page itself: a message would lie in a cookie until it is read."""
        return self.page(request, "admin/told_once.html", row, title, told=told)

    def url_of(self, row):
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])

    def page(self, request, template, row, title, **context):
        context |= {"opts": self.opts, "original": row, "title": title, "row_url": self.url_of(row)}
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})


def refusal(error):
    """Return a refusal as one that any form can show: without field names."""
    if isinstance(error, UndecryptableValue):
        return ValidationError(_("This record holds a value that cannot be decrypted: nothing was changed."))
    return ValidationError(error.messages)


def reason(error):
    """Return why, for the trail: the code's own words, untranslated, with nothing set into them; what was typed may hold a person."""
    if isinstance(error, UndecryptableValue):
        return "undecryptable"
    said = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    with translation.override(None):
        return " ".join(str(e.message) for e in itertools.chain.from_iterable(said) if isinstance(e.message, Promise)) or "invalid"


def forbidden(request, exception):
    """Answer 403, and leave the entry of what was tried in the admin: by now the transaction of the request is rolled back."""
    match = request.resolver_match
    if match and "admin" in match.app_names and request.user.is_authenticated:
        page, number = match.view_name, str(match.kwargs.get("object_id", ""))
        owner = next(
            (a for m, a in admin.site._registry.items() if page.startswith(f"admin:{m._meta.label_lower.replace('.', '_')}_")), None
        )
        # A number that is a row's and nothing else: an address may hold whatever somebody typed. A row, also if they may not see it.
        row = owner.model._default_manager.filter(pk=number).first() if owner and number.isdecimal() else None
        told = {"page": page, "method": request.method} | ({"act": match.kwargs["name"]} if page.endswith("_act") else {})
        try:
            with transaction.atomic():
                audit.record("admin.refused", by=request.user, obj=row, subject=getattr(row, "public_id", None), **told)
        except Unrecorded:
            return errors.unrecorded(request)
    return errors.denied(request)


class TrackedAdmin(OfficeAdmin, SimpleHistoryAdmin):
    """A model with history: who changed what, encrypted values masked, and no way to write through the history."""

    object_history_list_template = "admin/history_list.html"

    def may_see_history(self, request):
        return self.has_view_history_permission(request)

    def history_view(self, request, object_id, extra_context=None):
        if self.get_object(request, unquote(object_id)) is None:
            raise Http404  # simple-history takes whatever the address says for a number
        return super().history_view(request, object_id, extra_context)

    def history_form_view(self, request, object_id, version_id, extra_context=None):
        # simple-history asks for the view permission alone here, even to save.
        raise PermissionDenied

    def set_history_delta_changes(self, request, historical_records, foreign_keys_are_objs=True):
        for new, old in itertools.pairwise(historical_records):
            new.history_delta_changes = [
                {"field": capfirst(field.verbose_name), "old": before, "new": after}
                for field in new.tracked_fields
                for before, after in difference(field, old, new)
            ]
            if several := [field.name for field in new._history_m2m_fields]:
                delta = new.diff_against(old, included_fields=several, foreign_keys_are_objs=True)
                new.history_delta_changes += self.get_historical_record_context_helper(request, new).context_for_delta_changes(delta)


def difference(field, old, new):
    """Yield (before, after) as they may be shown, if the field's value differs; an encrypted one that cannot be read always does."""
    try:
        if getattr(old, field.attname) == getattr(new, field.attname):
            return
    except UndecryptableValue:
        pass
    if is_encrypted(field):
        yield masked(field)(old), masked(field)(new)
    else:
        yield ObjDiffDisplay().common_shorten_repr(*(display_for_field(getattr(row, field.name), field, EMPTY) for row in (old, new)))


class ReadOnlyAdmin(OfficeAdmin):
    """A model whose rows only their verbs write: looked at, never filled in."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False
