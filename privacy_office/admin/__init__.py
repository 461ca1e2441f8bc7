"""The staff's admin: what all its pages have in common, which the apps build on, and the staff's own accounts."""

from django.conf import settings
from django.contrib import admin
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from privacy_office.admin.acts import Act, refusal
from privacy_office.admin.filters import Choice, Coming, Happened, Lately, Mine
from privacy_office.admin.history import TrackedAdmin
from privacy_office.admin.lists import EstimatedPaginator, sealed_search
from privacy_office.admin.masks import EMPTY, MASK, encrypted, masked
from privacy_office.admin.office import OfficeAdmin, ReadOnlyAdmin, forbidden
from privacy_office.admin.staff import StaffAdmin

__all__ = [
    "EMPTY",
    "MASK",
    "Act",
    "Choice",
    "Coming",
    "EstimatedPaginator",
    "Happened",
    "Lately",
    "Mine",
    "OfficeAdmin",
    "ReadOnlyAdmin",
    "StaffAdmin",
    "TrackedAdmin",
    "encrypted",
    "forbidden",
    "masked",
    "refusal",
    "sealed_search",
]

admin.site.site_title = _("Privacy office")
admin.site.site_header = format_lazy("{} · {}", settings.COMPANY["name"], _("Privacy office"))
admin.site.index_title = _("Today in the office")
