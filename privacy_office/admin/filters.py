"""Filters that staff ask for, each with fixed choices that may be kept under a name."""

from datetime import timedelta

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Happened(admin.EmptyFieldListFilter):
    """Whether the moment of something is written down."""

    parameter = "%s__isempty"

    def choices(self, changelist):
        for value, label in ((None, pgettext_lazy("filter", "All")), ("0", _("yes")), ("1", _("not yet"))):
            query = changelist.get_query_string({self.lookup_kwarg: value})
            yield {"selected": self.lookup_val == value, "query_string": query, "display": label}


class Within(admin.FieldListFilter):
    """The latest hours and days, or those that come: counted from now whenever the list is looked at."""

    parameter = "%s__within"
    spans = ()  # (value, label, timedelta since when, timedelta until when)

    def __init__(self, field, request, params, model, model_admin, field_path):
        self.name = self.parameter % field_path
        super().__init__(field, request, params, model, model_admin, field_path)
        self.value = self.used_parameters.get(self.name, [None])[-1]

    def expected_parameters(self):
        return [self.name]

    def queryset(self, request, queryset):
        if self.value is None:
            return queryset
        span = next((span for span in self.spans if span[0] == self.value), None)
        if span is None:
            raise IncorrectLookupParameters
        return queryset.filter(**{f"{self.field_path}__{name}": at for name, at in self.bounds(*span[2:]).items()})

    def bounds(self, since, until):
        now = timezone.now()
        return {name: now + span for name, span in (("gte", since), ("lt", until)) if span is not None}

    def choices(self, changelist):
        for value, label in ((None, pgettext_lazy("filter", "All")), *((span[0], span[1]) for span in self.spans)):
            query = changelist.get_query_string({self.name: value})
            yield {"selected": self.value == value, "query_string": query, "display": label}


class Lately(Within):
    spans = (
        ("day", _("the last 24 hours"), -timedelta(days=1), None),
        ("week", _("the last 7 days"), -timedelta(days=7), None),
        ("month", _("the last 30 days"), -timedelta(days=30), None),
    )


class Coming(Within):
    """Of days: today is not past yet."""

    spans = (
        ("past", _("past"), None, timedelta(0)),
        ("week", _("in 7 days"), timedelta(0), timedelta(days=8)),
        ("month", _("in 30 days"), timedelta(0), timedelta(days=31)),
    )

    def bounds(self, since, until):
        today = timezone.localdate()
        return {name: today + span for name, span in (("gte", since), ("lt", until)) if span is not None}


class Choice(admin.SimpleListFilter):
    """One of some choices, each of which is a question of the list's own."""

    def queryset(self, request, queryset):
        if self.value() is None:
            return queryset
        if self.value() not in {value for value, _label in self.lookup_choices}:
            raise IncorrectLookupParameters
        return self.chosen(queryset, self.value(), request.user)

    def chosen(self, rows, value, member):
        """Return the rows of a choice, for a member of the staff."""
        raise NotImplementedError


class Mine(Choice):
    """What the member who looks has taken on, and what nobody has."""

    field = ""
    parameter_name = "whose"

    def lookups(self, request, model_admin):
        return [("mine", _("mine")), ("nobodys", _("nobody's"))]

    def chosen(self, rows, value, member):
        return rows.filter(**{self.field: member if value == "mine" else None})
