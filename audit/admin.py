"""Shows the audit trail. Refuses to change it."""

from datetime import timedelta
from uuid import UUID

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from audit import sealing
from audit.models import Checkpoint, Entry, Verification
from privacy_office.admin import Lately, ReadOnlyAdmin


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "at", "actor", "action", "object", "subject", "clause"]
    when_empty = _("Nothing was done yet. Every act leaves an entry here by itself.")
    list_filter = [("at", Lately)]
    fields = ["at", "actor", "action", "object", "subject", "clause", "detail", "kept", "commitment", "checkpoint"]
    readonly_fields = ["checkpoint"]
    search_fields = ["subject"]  # shows the box; what it takes stands below
    search_help_text = _(
        "A customer's identifier, an object (customers.customer:12), an actor (staff:3) or an action (hold.place), in full."
    )

    @admin.display(description=_("checkpoint"))
    def checkpoint(self, entry):
        since = entry.at - timedelta(minutes=1)  # the clock that sealed is not the database's
        later = Checkpoint.objects.filter(at__gte=since, entries__contains=[entry.pk])
        return later.order_by("at").values_list("number", flat=True).first() or _("not sealed yet")

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


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ["number", "at", "size", "short_root"]
    when_empty = _("Nothing was sealed yet. A worker seals new entries every half minute, or ./manage.py seal_audit.")
    fields = ["number", "at", "size", "root", "previous", "key", "signature"]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("entries", "leaves")

    @admin.display(description=_("root"))
    def short_root(self, checkpoint):
        return f"{checkpoint.root[:16]}…"

    def changelist_view(self, request, extra_context=None):
        """Show the state of the chain above its checkpoints."""
        return super().changelist_view(request, {**(extra_context or {}), **sealing.state()})


@admin.register(Verification)
class VerificationAdmin(ReadOnlyAdmin):
    list_display = ["at", "result", "entries", "checkpoints", "rows", "seconds"]
    when_empty = _("The trail was not verified yet. That happens every night, or by ./manage.py verify_audit.")
    fields = ["at", "result", "entries", "checkpoints", "rows", "seconds", "found"]
    readonly_fields = ["result", "found"]

    @admin.display(description=_("result"))
    def result(self, verification):
        return _("something is wrong") if verification.problems else _("all is well")

    @admin.display(description=_("problems"))
    def found(self, verification):
        return format_html_join("", "{}<br>", ([problem] for problem in verification.problems)) or None
