"""How the audit trail stands, for the first page. Tells those alone who may look at the trail."""

from django.utils.translation import gettext_lazy as _

from audit import sealing
from audit.models import Checkpoint
from privacy_office.dashboard import Panel, list_of


def tasks(user, now):
    return []


def deadlines(user, now):
    return []


def panels(user, now):
    if user.has_perm("audit.view_checkpoint"):
        state = sealing.state()
        broken = state["verification"] and state["verification"].problems
        alarm = bool(broken or state["overdue"] or state["late"] or not state["anchored"])
        yield Panel(_("Audit trail"), "admin/dashboard/trail.html", state, list_of(Checkpoint), alarm=alarm)
