"""Filters that several lists of customers' rows have."""

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from privacy_office.admin import Choice


class Due(Choice):
    """What is open, by the date that comes next."""

    title, parameter_name = _("due"), "due"

    def lookups(self, request, model_admin):
        return [("late", _("late")), ("week", _("in 7 days"))]

    def chosen(self, rows, value, member):
        today = timezone.localdate()
        return rows.late(today) if value == "late" else rows.due_within(today, 7)
