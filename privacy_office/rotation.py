"""Brings all that is stored under the newest keys, while the office works. What no key opens is left as it is, and named by its place."""

import json
import re
from functools import partial
from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg import errors

from privacy_office.fields import Blind, UndecryptableValue, is_encrypted
from privacy_office.models import Canary
from privacy_office.tokens import Key, turn

BATCH = 1000  # rows in one transaction
HEAVY = {"customers.attachment": 10, "disclosures.document": 10}  # rows of files, of which each may have megabytes
PATIENCE = "500ms"  # for a lock, less than PostgreSQL's deadlock_timeout: whoever else waits for us is never the one that is ended
TOKEN = re.compile(r"gAAAAA[\w-]{90,}={0,2}")

# Columns, beside the encrypted fields, in which text or JSON holds tokens among other things: {model: columns}.
TOKENS_INSIDE = {"mfa.authenticator": ["data"]}


class Done(NamedTuple):
    """What became of one batch: rows looked at, values that were older keys', values that no key opens, and lines that name troubles."""

    rows: int
    older: int
    lost: int
    troubles: list


def patiently(work, *, again=()):
    """Return what `work(cursor)` returns, in a transaction that gives way to others and starts anew; so it does on the errors `again`."""
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
                return work(cursor)
        except (OperationalError, IntegrityError) as error:
            if not isinstance(error.__cause__, (errors.LockNotAvailable, errors.DeadlockDetected, *again)):
                raise


class Table:
    """One model's table, walked in batches by its primary key, each in a short transaction of its own."""

    def __init__(self, model):
        self.model, self.name = model, model._meta.db_table
        self.pk, self.batch = model._meta.pk.column, HEAVY.get(model._meta.label_lower, BATCH)

    @property
    def size(self):
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT count(*) FROM "{self.name}"')
            return cursor.fetchone()[0]

    def _walk(self, take):
        """Yield what `take` makes of each batch that comes after the last key, until there is none."""
        last, done = patiently(partial(take, None))
        while done:
            yield done
            last, done = patiently(partial(take, last))

    def _after(self, last):
        return ("TRUE", []) if last is None else (f"{self.pk} > %s", [last])

    def _write(self, cursor, columns, rows):
        """Update rows of (key, each column's value) in one statement; JSON gives every value the type of its column."""
        names, types = [self.pk, *columns], {field.column: field.db_type(connection) for field in self.model._meta.concrete_fields}
        # JSON in a column comes as text, like all else.
        sets = ", ".join(f"{c} = (new.{c} #>> '{{}}')::jsonb" if types[c] == "jsonb" else f"{c} = new.{c}" for c in columns)
        new = f'json_populate_recordset(NULL::"{self.name}", %s) new'
        cursor.execute(
            f'UPDATE "{self.name}" t SET {sets} FROM {new} WHERE t.{self.pk} = new.{self.pk}',
            [json.dumps([dict(zip(names, row, strict=True)) for row in rows])],
        )


class Tokens(Table):
    """The encrypted columns of one table, the history's like the others."""

    def __init__(self, model):
        super().__init__(model)
        whole = [field.column for field in model._meta.local_concrete_fields if is_encrypted(field)]
        inside = TOKENS_INSIDE.get(model._meta.label_lower, [])
        self.columns = [*whole, *inside]
        self.finders = [*[lambda cell: [cell]] * len(whole), *[TOKEN.findall] * len(inside)]

    def turn(self, *, write):
        """Yield each batch done: `older` are the tokens brought under the newest key, or with write=False those found under another."""
        keys = list(map(Key, settings.FIELD_ENCRYPTION_KEY))
        columns = ", ".join(f"{column}::text" for column in self.columns)

        def take(last, cursor):
            condition, values = self._after(last)
            cursor.execute(
                f'SELECT {self.pk}, {columns} FROM "{self.name}" WHERE {condition} ORDER BY {self.pk} LIMIT {self.batch}'
                + (" FOR UPDATE" if write else ""),
                values,
            )
            rows = list(map(list, cursor.fetchall()))
            if not rows:
                return None, None
            changed, older, troubles = self._turned(rows, keys)
            if write and changed:
                self._write(cursor, self.columns, changed)
            return rows[-1][0], Done(len(rows), older, len(troubles), troubles)

        return self._walk(take)

    def _turned(self, rows, keys):
        """Turn the tokens in `rows`; return the rows that changed, how many tokens did, and troubles."""
        found = [
            (row, place, token)
            for row in rows
            for place, finder in enumerate(self.finders, 1)
            if row[place] is not None
            for token in finder(row[place])
        ]
        changed, older, troubles = {}, 0, []
        for (row, place, token), turned in zip(found, turn([token for _, _, token in found], keys), strict=True):
            if turned is None:
                troubles.append(f"{self.name}.{self.columns[place - 1]} {row[0]}: no key opens it")
            elif turned is not token:
                row[place] = row[place].replace(token, turned)
                changed[row[0]] = row
                older += 1
        return list(changed.values()), older, troubles


class Indexes(Table):
    """The columns of one table that the index key makes of its values."""

    def __init__(self, model):
        super().__init__(model)
        self.fields = [field for field in model._meta.local_concrete_fields if isinstance(field, Blind)]
        self.outdated = " OR ".join(f"({field.outdated()})" for field in self.fields)
        names = {name for field in self.fields for name in getattr(field, "sources", None) or [field.source]}
        self.sources = [model._meta.get_field(name).column for name in sorted(names)]

    @property
    def left(self):
        """Return how many rows another key indexed."""
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT count(*) FROM "{self.name}" WHERE {self.outdated}')
            return cursor.fetchone()[0]

    def turn(self):
        """Yield each batch done: `older` are the rows indexed anew."""

        def take(last, cursor):
            condition, values = self._after(last)
            read = self.model._base_manager.raw(
                f'SELECT {", ".join([self.pk, *self.sources])} FROM "{self.name}" WHERE {condition} AND ({self.outdated}) '
                f"ORDER BY {self.pk} LIMIT {BATCH} FOR UPDATE",
                values,
            )
            found, rows, troubles, lost = list(read), [], [], 0
            for instance in found:
                try:
                    rows.append((instance.pk, *(_as_json(field.value(instance)) for field in self.fields)))
                except (UndecryptableValue, ValueError) as error:
                    why = str(error) if isinstance(error, UndecryptableValue) else "its value has no normal form"
                    troubles.append(f"{self.name} {instance.pk}: {why}")
                    lost += 1
            written = self._write_what_can_be(cursor, rows, troubles)
            return (found[-1].pk, Done(len(found), written, lost, troubles)) if found else (None, None)

        return self._walk(take)

    def _write_what_can_be(self, cursor, rows, troubles):
        """Write the rows, one by one where two of them cannot stand together; return how many were written."""
        columns = [field.column for field in self.fields]
        if not rows:
            return 0
        try:
            with transaction.atomic():
                self._write(cursor, columns, rows)
            return len(rows)
        except IntegrityError:
            if len(rows) == 1:
                troubles.append(f"{self.name} {rows[0][0]}: another row has its value already")
                return 0
            return sum(self._write_what_can_be(cursor, [row], troubles) for row in rows)


def _as_json(value):
    """Return a column's value as JSON has it and PostgreSQL reads it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return list(map(_as_json, value)) if isinstance(value, list) else value


def _models():
    return [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy and model is not Canary]


def tokens():
    """Return the tables that hold tokens, but the canary's: it comes last, so that it proves the end."""
    return [table for table in map(Tokens, _models()) if table.columns]


def indexes():
    """Return the tables that hold what the index key makes, but the canary's."""
    return [Indexes(model) for model in _models() if any(isinstance(field, Blind) for field in model._meta.local_concrete_fields)]
