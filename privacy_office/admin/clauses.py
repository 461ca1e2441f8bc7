"""The page of the clauses as they stand, for officers and auditors. Refuses to show anybody: it holds dates and words alone."""

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from privacy_office import clauses

RESULTS = {None: ("", _("not looked at yet")), True: ("yes", _("all is well")), False: ("no", _("needs attention"))}
NOT_YET, BY_CODE = ("no", _("not kept yet")), ("yes", _("kept by the code alone"))


@require_safe
def page(request):
    """Show every clause with where it is kept and what was last found of it."""
    if not request.user.has_perm("audit.view_verification"):
        raise PermissionDenied
    now, rows = timezone.now(), []
    for clause, seen in clauses.stand(now):
        look, result = standing(clause, seen)
        rows.append({"clause": clause, "checks": seen, "places": list(places(clause, request.user)), "look": look, "result": result})
    wrong = sum(row["look"] == "no" for row in rows)
    context = {"title": _("The policy, clause by clause"), "rows": rows, "wrong": wrong, "now": now}
    return render(request, "admin/clauses.html", admin.site.each_context(request) | context)


def standing(clause, seen):
    """Return (look, word) of the worst that was seen of a clause."""
    if not seen:
        return NOT_YET if clause.checks is None else BY_CODE
    wells = {found.well for _says, found in seen}
    return RESULTS[next(well for well in (False, None, True) if well in wells)]


def places(clause, user):
    """Yield the name and, for who may look there, the address of each list in which a clause is seen kept."""
    for label in clause.places:
        options = apps.get_model(label)._meta
        seen = user.has_perm(f"{options.app_label}.view_{options.model_name}")
        yield options.verbose_name_plural, reverse(f"admin:{options.app_label}_{options.model_name}_changelist") if seen else ""
