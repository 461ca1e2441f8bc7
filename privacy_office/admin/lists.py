"""What every list of the office has in common. Refuses guesses at what it does not show, and counts that take longer than the page."""

import functools
import math
import time
from urllib.parse import parse_qsl

from cryptography.fernet import InvalidToken
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from encrypted_model_fields import fields as library

from privacy_office.admin import exports, saved
from privacy_office.admin.masks import EMPTY, encrypted, masked

EXPORT = "privacy_office.export_list"
SEARCH_LASTS = 3600  # seconds
SEARCH_TAKES = 254  # characters, as the longest e-mail address has; sealed, an address of the office must still hold them


class EstimatedPaginator(Paginator):
    """Counts a large table by the database's estimate, and what was filtered up to a limit: a true count takes longer than the page."""

    MOST = 10_000

    @functools.cached_property
    def count(self):
        if not self.object_list.query.where and (estimate := self.estimate()) > self.MOST:
            return estimate
        # Of the key alone: a column that is only shown would be made for each row.
        return self.object_list.order_by().values("pk")[: self.MOST].count()

    @functools.cached_property
    def num_pages(self):
        """Pages end with the limit: to skip more rows than that takes longer than to filter them."""
        return max(math.ceil(min(self.count, self.MOST) / self.per_page), 1)

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

    def __init__(self, request, *args, **kwargs):
        self.member = request.user
        super().__init__(request, *args, **kwargs)
        # To a row's address `url_for_result` adds the way back: Django would resolve each, only to learn that it leads to a row.
        self.way_back, self.preserved_filters = self.preserved_filters, ""

    def url_for_result(self, result):
        url = super().url_for_result(result)
        return f"{url}?{self.way_back}" if self.way_back else url

    @functools.cached_property
    def chosen(self):
        """The filter as it stands, as a query, where it is one that may be kept."""
        chosen = saved.asked(self)
        return saved.as_query(chosen) if chosen and chosen <= saved.offered(self) else ""

    @functools.cached_property
    def kept(self):
        """The member's own filters of this list, as far as it still offers them."""
        return [row for row in saved.of(self.member, self.model) if self.opens(row)]

    def opens(self, row):
        return {name for name, _value in parse_qsl(row.query)} <= set(self.model_admin.parameters())

    @property
    def keepable(self):
        return bool(self.chosen) and self.chosen not in {row.query for row in self.kept}

    @property
    def may_export(self):
        return self.member.has_perm(EXPORT) and self.result_count > 0

    @property
    def when_empty(self):
        return self.model_admin.when_empty

    @property
    def narrowed(self):
        return bool(saved.asked(self)) or SEARCH_VAR in self.params

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
    when_empty = _("There is nothing here yet.")
    export_display = ()  # the columns of an export; those of the list where it names none

    def parameters(self):
        """Yield what an address may say of the declared filters."""
        for name in self.list_filter:
            if not isinstance(name, str | tuple):
                yield name.parameter_name
            elif isinstance(name, tuple):
                yield name[1].parameter % name[0]
            else:
                field = self.opts.get_field(name)
                yield f"{name}__{field.target_field.name}__exact" if field.is_relation else f"{name}__exact"
                yield f"{name}__isnull"

    def lookup_allowed(self, lookup, value, request):
        """Allow a declared filter's own parameters: any other is a guess at what is not shown."""
        return lookup in self.parameters()

    def get_changelist(self, request, **kwargs):
        return OfficeList

    def get_search_fields(self, request):
        # Django's autocomplete, which no form here uses, would answer a search that stands in the address.
        return () if request.path == reverse("admin:autocomplete") else super().get_search_fields(request)

    def changelist_view(self, request, extra_context=None):
        """Take by POST what a list is asked for beside being looked at: a search, a filter to keep or to delete, an export."""
        asked = next((name for name in (SEARCH_VAR, *POSTS) if name in request.POST), None)
        if not (request.method == "POST" and asked and self.has_view_permission(request)):
            return super().changelist_view(request, extra_context)
        return self.search(request) if asked == SEARCH_VAR else self.post(request, POSTS[asked])

    def search(self, request):
        """Lead to a search sealed: histories and logs keep addresses, and a search may be a person's e-mail."""
        query = request.GET.copy()
        for name in (SEARCH_VAR, PAGE_VAR):
            query.pop(name, None)
        if text := request.POST[SEARCH_VAR].replace("\0", "").strip()[:SEARCH_TAKES]:
            query[SEARCH_VAR] = sealed_search(text, request.user)
        return redirect(f"{request.path}?{query.urlencode()}")

    def post(self, request, do):
        """Do something to the list as its address says, and lead back to it, with a word where it was refused."""
        try:
            with transaction.atomic():
                answer = do(self, request)
        except IncorrectLookupParameters:
            return super().changelist_view(request)  # which says so
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            answer = None
        return answer or redirect(request.get_full_path())

    def keep_filter(self, request):
        saved.keep(self.get_changelist_instance(request), request.POST["keep"], by=request.user)

    def forget_filter(self, request):
        number = request.POST["forget"]
        saved.forget(self.model, int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0, by=request.user)

    def export(self, request):
        if not request.user.has_perm(EXPORT):
            raise PermissionDenied
        return exports.as_file(self.get_changelist_instance(request), by=request.user)

    def exported(self):
        """Return the names of the columns that an export has: none of them is encrypted."""
        hidden = {field.name for field in encrypted(self.model)}
        return [name for name in self.export_display or self.list_display if name not in hidden]

    def shown(self, names):
        hidden = {field.name: masked(field) for field in encrypted(self.model)}
        return [hidden.get(name, name) for name in names]

    def get_list_display(self, request):
        return self.shown(super().get_list_display(request))


POSTS = {"keep": ListAdmin.keep_filter, "forget": ListAdmin.forget_filter, "export": ListAdmin.export}
