"""The admin's first page: what waits for who looks, by when, and how the office does. Refuses to count far, and to name a customer."""

from itertools import chain

from django.contrib import admin
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from audit import dashboard as audit
from consent import dashboard as consent
from customers import dashboard as customers
from disclosures import dashboard as disclosures
from mailings import dashboard as mailings
from privacy_office.dashboard import Task, list_of
from privacy_office.models import Staff

APPS = (mailings, consent, customers, disclosures, audit)
MOST = 24  # deadlines that are shown
WEEK = 7


@require_safe
def index(request):
    """Show what there is for this member, above the lists."""
    user, now = request.user, timezone.now()
    given = [part for app in APPS for part in app.panels(user, now)]
    board = {
        "tasks": [task for task in chain(accounts(user), *(app.tasks(user, now) for app in APPS)) if task.number],
        "timeline": timeline([deadline for app in APPS for deadline in app.deadlines(user, now)], now),
        "alarms": [panel for panel in given if panel.alarm],
        "wide": [panel for panel in given if panel.wide and not panel.alarm],
        "narrow": [panel for panel in given if not panel.wide and not panel.alarm],
        "has_deadlines": any(user.has_perm(right) for right in DATED),
    }
    board["tasks"].sort(key=lambda task: not task.late)
    request.current_app, context = admin.site.name, admin.site.each_context(request)  # as the admin's own, which lists the apps twice
    told = {"title": admin.site.index_title, "app_list": context["available_apps"], "board": board}
    return TemplateResponse(request, "admin/index.html", context | told)


# Who may look at none of these has no timeline.
DATED = ("customers.view_rightsrequest", "disclosures.view_disclosurerequest")


def accounts(user):
    """Yield what waits in the accounts of the staff."""
    if user.has_perm("privacy_office.change_staff"):
        new = Staff.objects.filter(is_active=True, one_time_password=True).exclude(pk=user.pk)
        yield Task(_("Accounts whose one-time password was not changed yet"), new.count(), list_of(Staff, is_active__exact=1))
        idle = Staff.objects.filter(is_active=True, groups=None)
        yield Task(_("Accounts without a role"), idle.count(), list_of(Staff, is_active__exact=1))


def timeline(deadlines, now):
    """Return [(title, look, [(deadline, days left)])], late ones first, what has no date last and the oldest first."""
    dated = sorted((d for d in deadlines if d.due), key=lambda deadline: deadline.at)
    undated = sorted((d for d in deadlines if not d.due), key=lambda deadline: deadline.since)
    groups = {"late": [], "today": [], "week": [], "later": [], "undated": undated[: MOST // 2]}
    for deadline in dated[:MOST]:
        groups[group(deadline, now)].append(deadline)
    return [(TITLES[name], name, [(d, d.days(now) if d.due else None) for d in rows]) for name, rows in groups.items() if rows]


TITLES = {
    "late": _("Late"),
    "today": _("Due today"),
    "week": _("Within 7 days"),
    "later": _("Later"),
    "undated": _("Without a date, the oldest first"),
}


def group(deadline, now):
    days = deadline.days(now)
    return "late" if deadline.at < now else "today" if days == 0 else "week" if days <= WEEK else "later"
