"""The whole trail as lines, for an export or for our own verification. Changes nothing."""

import itertools
import json
import time
from base64 import b64encode
from collections import defaultdict
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.apps import apps
from django.db import connection, transaction

from audit import sealing, verify_audit
from audit.history import Salted, opened, personal_values, public_values
from audit.models import Checkpoint, Verification, record
from privacy_office.fields import UndecryptableValue
from privacy_office.models import Staff, StaffNotice

GROUP = 5_000  # entries, or rows, read at once
LINES = f"""
SELECT c.number, e.id, {sealing.LINE}, e.object, e.kept, e.commitment, e.subject
  FROM audit_checkpoint c CROSS JOIN LATERAL unnest(c.entries) WITH ORDINALITY u (id, place) JOIN audit_entry e ON e.id = u.id
 WHERE c.number BETWEEN %s AND %s ORDER BY c.number, u.place
"""
UNSEALED = f"""
SELECT 0, e.id, {sealing.LINE}, e.object, e.kept, e.commitment, e.subject
  FROM audit_unsealed u JOIN audit_entry e ON e.id = u.entry_id ORDER BY e.id
"""
OUTSIDE = """
SELECT e.id FROM audit_entry e LEFT JOIN audit_unsealed u ON u.entry_id = e.id
  LEFT JOIN (SELECT unnest(entries) AS id FROM audit_checkpoint) c ON c.id = e.id
 WHERE u.entry_id IS NULL AND c.id IS NULL ORDER BY e.id LIMIT 20
"""
KEPT_BY_NONE = """
SELECT h.history_id FROM {history} h LEFT JOIN (SELECT unnest(kept) AS id FROM audit_entry WHERE object LIKE %s) k ON k.id = h.history_id
 WHERE k.id IS NULL ORDER BY h.history_id LIMIT 20
"""
WHOLE_BY_NONE = """
SELECT r.id FROM {table} r LEFT JOIN audit_entry e ON e.object = %s || r.id AND e.commitment <> '' WHERE e.id IS NULL ORDER BY r.id LIMIT 20
"""
GONE = """
SELECT h.id FROM (SELECT DISTINCT ON (id) id, history_type FROM {history} ORDER BY id, history_id DESC) h
  LEFT JOIN {table} r ON r.id = h.id WHERE r.id IS NULL AND h.history_type <> '-' ORDER BY h.id LIMIT 20
"""
BLANKED = """
SELECT h.history_id FROM {history} h
  LEFT JOIN (SELECT unnest(kept) AS id, subject FROM audit_entry WHERE object LIKE %s) k ON k.id = h.history_id
 WHERE h.salt IS NULL AND NOT EXISTS (SELECT FROM audit_entry e WHERE e.action = ANY(%s) AND e.subject = k.subject)
 ORDER BY h.history_id LIMIT 20
"""
BLANKS = ["customer.erase", "erasure.blank", "retention.blank"]  # actions that take personal values out of the history


def tracked():
    """Return {label: model} of the models with history."""
    return {m._meta.label_lower: m for m in apps.get_models() if hasattr(m._meta, "simple_history_manager_attribute")}


def whole():
    """Return {label: model} of the models whose rows an entry vouches for as they are, for good."""
    return {m._meta.label_lower: m for m in apps.get_models() if getattr(m, "kept_whole", False)}


@contextmanager
def one_moment():
    """See the database as it is now, whatever is written meanwhile; inside somebody's transaction, as that sees it."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


# Lines


class Line(NamedTuple):
    checkpoint: int  # 0: not sealed yet
    entry: int
    text: str
    object: str
    kept: list
    commitment: str
    subject: UUID | None


def lines(opens):
    """Yield the trail's lines as bytes: entries, the rows they vouch for where `opens(line)` says so, and checkpoints."""
    yield _control("header", {"format": verify_audit.FORMAT, "keys": sealing.public_keys()})
    for checkpoints in _groups():
        asked = [checkpoints[0].number, checkpoints[-1].number]
        sealed = {number: list(some) for number, some in groupby(_entries(LINES, asked), attrgetter("checkpoint"))}
        for checkpoint in checkpoints:
            yield from _with_rows(sealed.get(checkpoint.number, []), opens)
            helpers = {"entries": checkpoint.entries, "leaves": b64encode(checkpoint.leaves).decode()}
            yield _control("checkpoint", {**sealing.told(checkpoint), **helpers})
    waiting = list(_entries(UNSEALED, []))
    yield from _with_rows(waiting, opens)
    yield _control("unsealed", len(waiting))


def _control(kind, content):
    return json.dumps({kind: content}, ensure_ascii=False).encode()


def _groups():
    """Yield lists of checkpoints that cover some thousands of entries together."""
    group, size = [], 0
    for checkpoint in Checkpoint.objects.order_by("number").iterator(chunk_size=100):
        group.append(checkpoint)
        size += checkpoint.size
        if size >= GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _entries(sql, params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        yield from map(Line._make, cursor)


def _with_rows(entries, opens):
    for start in range(0, len(entries), GROUP):
        some = entries[start : start + GROUP]
        rows = _opened([line for line in some if line.commitment and opens(line)])
        for line in some:
            yield line.text.encode()
            if line.entry in rows:
                yield _control("rows", rows[line.entry])


def _opened(entries):
    """Return {entry: the rows that it vouches for, opened}; a row that is gone is left out, so that the digest does not fit."""
    models, wanted = whole() | {label: model.history.model for label, model in tracked().items()}, defaultdict(set)
    named = {line.entry: _named(line, models) for line in entries}
    for model, numbers in named.values():
        wanted[model] |= set(numbers)
    found = {model: model._base_manager.in_bulk(numbers) if model else {} for model, numbers in wanted.items()}
    return {entry: [_open(row) for row in map(found[model].get, numbers) if row] for entry, (model, numbers) in named.items()}


def _named(line, models):
    """Return the model and the numbers of the rows that an entry names; None and none where somebody made it name nothing there is."""
    label, _, number = line.object.partition(":")
    if label not in models or not (line.kept or number.isdecimal()):
        return None, []
    return models[label], line.kept or [int(number)]


def _open(row):
    try:
        return opened(row)
    except UndecryptableValue as error:
        return {"public": {"unreadable": str(error)}}


# Our own verification: the same lines, every row opened, and what is in the database beside them


def verify():
    """Verify the whole trail and every row that it vouches for, as of one moment; return the unsaved Verification."""
    started, anchored = time.monotonic(), sealing.anchors()
    with one_moment():
        verifier = verify_audit.Verifier(sealing.public_keys(), anchored).read(lines(lambda line: True))
        beside = itertools.chain(_outside(), _unkept(), _changed(), _blanked())
        problems = [*verifier.problems, *beside]
    return Verification(
        entries=verifier.entries + verifier.unsealed,
        checkpoints=verifier.checkpoints,
        rows=verifier.opened,
        problems=[f"{where}: {what}" for where, what in problems[:100]],
        seconds=round(time.monotonic() - started, 3),
    )


def _numbers_of(sql, params=(), **models):
    with connection.cursor() as cursor:
        cursor.execute(sql.format(**{name: model._meta.db_table for name, model in models.items()}), params)
        return [number for (number,) in cursor.fetchall()]


def _outside():
    """Yield entries that neither a checkpoint covers nor the sealer waits for."""
    for number in _numbers_of(OUTSIDE):
        yield f"entry {number}", "was put in past the sealing"


def _unkept():
    """Yield rows that no entry vouches for, and objects that are gone though nothing is ever deleted."""
    for label, model in tracked().items():
        for number in _numbers_of(KEPT_BY_NONE, [f"{label}:%"], history=model.history.model):
            yield f"{model.history.model._meta.label_lower}:{number}", "is history that no entry vouches for"
        for number in _numbers_of(GONE, history=model.history.model, table=model):
            yield f"{label}:{number}", "is gone, and nothing says why"
    for label, model in whole().items():
        for number in _numbers_of(WHOLE_BY_NONE, [f"{label}:"], table=model):
            yield f"{label}:{number}", "is a row that no entry vouches for"


def _changed():
    """Yield objects that are not what the newest row of their history says."""
    for label, model in tracked().items():
        last = 0
        while rows := model._base_manager.filter(pk__gt=last).order_by("pk")[:GROUP]:
            newest = model.history.filter(id__in=[row.pk for row in rows]).order_by("id", "-history_id").distinct("id")
            history = {row.id: row for row in newest}
            for row in rows:
                if row.pk not in history:
                    yield f"{label}:{row.pk}", "has no history"
                elif not same(row, history[row.pk]):
                    yield f"{label}:{row.pk}", "is not what its history says"
            last = rows[len(rows) - 1].pk


def same(row, history):
    try:
        now, then = (public_values(each) | personal_values(each) for each in (row, history))
    except UndecryptableValue:
        return False
    names = [f.name for f in history._history_m2m_fields]
    now |= {name: sorted(getattr(row, name).values_list("pk", flat=True)) for name in names}
    if any(now[name] != then.get(name, []) for name in names):
        return False
    return all(now.get(f.attname) == then.get(f.attname) for f in history.tracked_fields)


def _blanked():
    """Yield history whose personal values were taken away though nobody erased the customer."""
    for label, model in tracked().items():
        if issubclass(model.history.model, Salted):
            for number in _numbers_of(BLANKED, [f"{label}:%", BLANKS], history=model.history.model):
                yield f"{model.history.model._meta.label_lower}:{number}", "was blanked, and no erasure says why"


def verify_and_keep(*, by):
    """Verify, write down what was found with its entry, tell the officers if that is bad, and return it."""
    found = verify()
    with transaction.atomic():
        found.save()
        if found.problems:
            StaffNotice.objects.tell(Staff.objects.in_role("officer"), StaffNotice.Kind.AUDIT_BROKEN)
        record("audit.verify", by=by, obj=found, clause="§6.2", entries=found.entries, problems=len(found.problems))
    return found
