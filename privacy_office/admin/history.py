"""A model with history in the admin. Refuses to unmask old values, and to write through the history."""

import itertools

from django.contrib.admin.utils import display_for_field, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.text import capfirst
from simple_history.admin import SimpleHistoryAdmin
from simple_history.template_utils import ObjDiffDisplay

from privacy_office.admin.masks import EMPTY, masked
from privacy_office.admin.office import OfficeAdmin
from privacy_office.fields import UndecryptableValue, is_encrypted


class TrackedAdmin(OfficeAdmin, SimpleHistoryAdmin):
    """A model with history: who changed what, encrypted values masked, and no way to write through the history."""

    object_history_list_template = "admin/history_list.html"

    def may_see_history(self, request):
        return self.has_view_history_permission(request)

    def history_view(self, request, object_id, extra_context=None):
        if self.get_object(request, unquote(object_id)) is None:
            raise Http404  # simple-history takes whatever the address says for a number
        return super().history_view(request, object_id, extra_context)

    def history_form_view(self, request, object_id, version_id, extra_context=None):
        # simple-history asks for the view permission alone here, even to save.
        raise PermissionDenied

    def set_history_delta_changes(self, request, historical_records, foreign_keys_are_objs=True):
        for new, old in itertools.pairwise(historical_records):
            new.history_delta_changes = [
                {"field": capfirst(field.verbose_name), "old": before, "new": after}
                for field in new.tracked_fields
                for before, after in difference(field, old, new)
            ]
            if several := [field.name for field in new._history_m2m_fields]:
                delta = new.diff_against(old, included_fields=several, foreign_keys_are_objs=True)
                new.history_delta_changes += self.get_historical_record_context_helper(request, new).context_for_delta_changes(delta)


def difference(field, old, new):
    """Yield (before, after) as they may be shown, if the field's value differs; an encrypted one that cannot be read always does."""
    try:
        if getattr(old, field.attname) == getattr(new, field.attname):
            return
    except UndecryptableValue:
        pass
    if is_encrypted(field):
        yield masked(field)(old), masked(field)(new)
    else:
        yield ObjDiffDisplay().common_shorten_repr(*(display_for_field(getattr(row, field.name), field, EMPTY) for row in (old, new)))
