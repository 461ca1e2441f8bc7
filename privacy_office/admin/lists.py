"""What every list of the office has in common. Refuses guesses at what it does not show, and counts that take longer than the page."""

import functools
import time

from cryptography.fernet import InvalidToken
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import connection
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from encrypted_model_fields import fields as library

from privacy_office.admin.masks import EMPTY, encrypted, masked

SEARCH_LASTS = 3600  # seconds
SEARCH_TAKES = 254  # characters, as the longest e-mail address has; sealed, an address of the office must still hold them


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


class ListAdmin(admin.ModelAdmin):
    """Any list: encrypted fields masked, only declared filters answered, nothing sorted or counted that the database would have to read."""

    actions = None
    empty_value_display = EMPTY
    list_max_show_all = list_per_page = 50
    list_select_related = ()  # every list names what it needs; Django would follow all relations
    paginator = EstimatedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

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

    def shown(self, names):
        hidden = {field.name: masked(field) for field in encrypted(self.model)}
        return [hidden.get(name, name) for name in names]

    def get_list_display(self, request):
        return self.shown(super().get_list_display(request))
