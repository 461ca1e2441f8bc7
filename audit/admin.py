"""Shows the audit trail. Refuses to change it."""

from uuid import UUID

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from audit.models import Entry
from privacy_office.admin import ReadOnlyAdmin


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "at", "actor", "action", "object", "subject", "clause"]
    fields = ["at", "actor", "action", "object", "subject", "clause", "detail"]
    search_fields = ["subject"]  # shows the box; what it takes stands below
    search_help_text = _(
        "A customer's identifier, an object (customers.customer:12), an actor (staff:3) or an action (hold.place), in full."
    )

    def get_search_results(self, request, queryset, search_term):
        """Tell by its form what the term is, so that the database looks in one column."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(subject=UUID(term)), False
        except ValueError:
            column = "action" if ":" not in term else "object" if "." in term else "actor"
            return queryset.filter(**{column: term}), False
