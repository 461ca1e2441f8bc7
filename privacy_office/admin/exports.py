"""A list as CSV. Refuses columns that hold a person, and to give a byte before the entry stands."""

from datetime import date, datetime

from django.conf import settings
from django.contrib.admin.utils import lookup_field
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.http import StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.html import strip_tags
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from privacy_office.admin import saved
from privacy_office.spreadsheets import MARK, lines

BATCH = 500  # rows in memory at a time


def as_file(changelist, *, by):
    """Return the rows of a list as it stands as a file that is made while it is sent; ValidationError says why not.

    The request's transaction, and with it the entry, is committed before the first line is asked for.
    """
    numbers = list(changelist.queryset.values_list("pk", flat=True)[: settings.EXPORT_MOST + 1])
    if not numbers:
        raise ValidationError(_("There is nothing to export."))
    if len(numbers) > settings.EXPORT_MOST:
        raise ValidationError(_("These are more than %(most)s rows: choose a filter first."), params={"most": settings.EXPORT_MOST})
    name, columns = changelist.model._meta.label_lower, changelist.model_admin.exported()
    told = {"list": name, "filter": saved.chosen(changelist), "searched": bool(changelist.query)}
    audit.record("list.export", by=by, **told, rows=len(numbers), columns=columns)
    made = written(changelist.queryset, numbers, columns, changelist.model_admin, translation.get_language())
    response = StreamingHttpResponse(made, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name.replace(".", "-")}.csv"'
    return response


def written(rows, numbers, columns, model_admin, language):
    """Yield the file piece by piece, the rows in the order of their numbers."""
    yield MARK + lines([columns])
    for start in range(0, len(numbers), BATCH):
        some = numbers[start : start + BATCH]
        with translation.override(language):
            found = {row.pk: row for row in rows.filter(pk__in=some)}
            piece = lines([cell(found[number], column, model_admin) for column in columns] for number in some if number in found)
        yield piece


def cell(row, column, model_admin):
    """Return what stands in a column, for a program to read: a code and not its label, a moment in ISO 8601."""
    try:
        field, _attribute, value = lookup_field(column, row, model_admin)
    except ObjectDoesNotExist:
        return None
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat()
    if isinstance(value, date) or value is None:
        return value and value.isoformat()
    return str(value) if field else strip_tags(str(value))
