"""Filters that a member keeps as links above a list. Refuses what the list does not offer: an address holds nothing that was typed."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from privacy_office.models import SavedFilter


def offered(changelist):
    """Return (parameter, value) of every choice that the filters of a list offer."""
    found = set()
    for spec in changelist.filter_specs:
        for choice in spec.choices(changelist):
            query = QueryDict(choice["query_string"].lstrip("?"))
            found |= {(name, value) for name in spec.expected_parameters() for value in query.getlist(name)}
    return found


def asked(changelist):
    return {(name, value) for name, values in changelist.get_filters_params().items() for value in values}


def chosen(changelist):
    """Return the filter of a list as it stands, as a query; ValidationError where an address says what the list does not offer."""
    found = asked(changelist)
    if found - offered(changelist):
        raise ValidationError(_("This list has no such filter."))
    return as_query(found)


def as_query(pairs):
    return urlencode(sorted(pairs))


def of(member, model):
    return SavedFilter.objects.filter(member=member, list=model._meta.label_lower)


def keep(changelist, name, *, by):
    """Keep the filter of a list as it stands, in the place of one that had this name; ValidationError says why not."""
    query, name, kept = chosen(changelist), name.replace("\0", "").strip(), of(by, changelist.model)
    if not query:
        raise ValidationError(_("First choose a filter: what is searched for is not kept."))
    if not name or len(name) > SavedFilter._meta.get_field("name").max_length:
        raise ValidationError(_("Give it a name of at most 40 characters."))
    with transaction.atomic():
        if kept.exclude(name=name).count() >= SavedFilter.MOST:
            raise ValidationError(_("You keep as many filters of this list as there may be: delete one first."))
        told = {"list": changelist.model._meta.label_lower}
        row, _made = SavedFilter.objects.update_or_create(member=by, name=name, **told, defaults={"query": query})
        audit.record("filter.keep", by=by, obj=row, **told, filter=row.query)


def forget(model, number, *, by):
    """Delete one of one's own; where it is gone already there is nothing to do."""
    with transaction.atomic():
        row = of(by, model).select_for_update().filter(pk=number).first()
        if row:
            audit.record("filter.forget", by=by, obj=row, list=row.list, filter=row.query)
            row.delete()
