"""What a row was: history as this house keeps it, and the digests by which an entry vouches for it (docs/AUDIT_FORMAT.md)."""

import os
from datetime import UTC, date, datetime, time
from functools import cache
from uuid import UUID

from django.db import connection, models, transaction
from django.dispatch import receiver
from django.utils.translation import gettext_lazy as _
from simple_history.manager import HistoryManager
from simple_history.models import HistoricalRecords
from simple_history.signals import post_create_historical_record
from simple_history.utils import get_m2m_reverse_field_name

from audit import verify_audit
from privacy_office.fields import is_encrypted
from privacy_office.querysets import CopyQuerySet


def new_salt():
    return os.urandom(16)


class Salted(models.Model):
    """Stands under the history of a model with personal data: simple-history takes such columns by a base class alone."""

    salt = models.BinaryField(
        _("salt"), null=True, default=new_salt, editable=False, help_text=_("Makes the digest of the personal values impossible to guess.")
    )
    personal_digest = models.BinaryField(
        _("digest of the personal values"), null=True, editable=False, help_text=_("Stands for the personal values once they are erased.")
    )
    objects = CopyQuerySet.as_manager()

    class Meta:
        abstract = True

    def blank(self):
        """Take the personal values away, and leave what still lets the rest be verified; unsaved. Nothing where it was done before."""
        if self.salt is None:
            return
        self.personal_digest, self.salt = verify_audit.personal_digest(opened(self)), None
        for column in columns(type(self)):
            if is_encrypted(column):
                setattr(self, column.attname, None)


class KeptHistory(HistoryManager):
    def bulk_history_create(self, objs, **options):
        objs = list(objs)
        rows = super().bulk_history_create(objs, **options)
        _await_entry(objs, rows)
        return rows


class History(HistoricalRecords):
    """simple-history's rows, each to be kept by an entry; `personal` says that the model has encrypted columns."""

    def __init__(self, *, personal=False, **options):
        bases = [Salted] if personal else [models.Model]
        super().__init__(history_id_field=models.BigAutoField(), bases=bases, history_manager=KeptHistory, **options)


# Between a history row and its entry


class _Written:
    """A mark in the transaction: whether it is still there tells whether what was written with it was rolled back."""

    def end(self):
        pass


def _await_entry(objs, rows):
    written = _Written()
    transaction.on_commit(written.end)
    for obj, row in zip(objs, rows, strict=True):
        obj.__dict__.setdefault("_unkept", []).append((written, row))


@receiver(post_create_historical_record)
def _history_row_was_written(instance, history_instance, **kwargs):
    _await_entry([instance], [history_instance])


def unkept(obj):
    """Return the history rows that were written of `obj` in this transaction and that no entry keeps yet; they count as kept now."""
    waiting = obj.__dict__.pop("_unkept", ())
    if not waiting:
        return []
    there = {getattr(call, "__self__", None) for _ids, call, _robust in connection.run_on_commit}
    return [row for written, row in waiting if written in there]


# Digests

EMPTY = ("", False, [], {})  # of a column that is never null; 0 is False


@cache
def columns(model):
    """Return the columns that a digest covers: all but what makes the digest."""
    return [column for column in model._meta.concrete_fields if column.name not in ("salt", "personal_digest")]


def canonical(value):
    """Return a value as JSON can say it, in one way only."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case list() | tuple() | set():
            return [canonical(each) for each in value]
    return value


def said(row, of):
    """Return {column: value} of a row. What is empty is left out: a column that the table gains later is empty on every row before it,
    and leaves the digests of those rows as they were."""
    values = {column: canonical(column.to_python(getattr(row, column.attname))) for column in of}
    return {column.attname: value for column, value in values.items() if value is not None and (column.null or value not in EMPTY)}


def public_values(row):
    """Return what a row says beside personal data, by column; of many-to-many fields the numbers of the rows they name."""
    values = said(row, [column for column in columns(type(row)) if not is_encrypted(column)])
    for field in getattr(row, "_history_m2m_fields", ()):
        named = getattr(row, field.name).values_list(f"{get_m2m_reverse_field_name(field)}_id", flat=True)
        values |= {field.name: sorted(named)} if named else {}
    return values


def personal_values(row):
    """Return the personal values of a row in the clear; UndecryptableValue when one cannot be read."""
    return said(row, [column for column in columns(type(row)) if is_encrypted(column)])


def opened(row):
    """Return a row as one may show it to a verifier; UndecryptableValue when a personal value cannot be read."""
    told = {"public": public_values(row)}
    if isinstance(row, Salted):
        told["personal"] = personal_values(row)
        if row.salt is not None and row.personal_digest is None:
            told["salt"] = bytes(row.salt).hex()
        elif row.salt is None and not any(told["personal"].values()):
            del told["personal"]
            told["personal_digest"] = bytes(row.personal_digest or b"").hex()
        else:
            told["salt"] = ""  # values without their salt, or a digest beside them: whoever wrote that was not the office
    return told


def commitment(rows):
    """Return the digest, in hex, by which an entry vouches for rows."""
    return verify_audit.commitment(map(opened, rows))
