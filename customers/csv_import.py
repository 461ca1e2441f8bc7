"""Takes customers and services from the company's CSV export. Refuses rows by line, field and reason, never by value."""

import csv
import unicodedata
from collections import Counter, defaultdict, deque
from datetime import date
from itertools import islice

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection

from audit.models import Entry
from customers.models import Customer, EmailHold, Service
from privacy_office.fields import UndecryptableValue, blinds, normal_email, normal_phone

SOURCE = "import"
BY_PEOPLE = ["customer.correct", "customer.end_association"]  # acts on customers whose outcome an older export would undo
MOST_LINES = 20  # of one record: an address has a few
PADDING = "\ufeff\u200b\u00a0 \t\r\n"


class Unreadable(Exception):
    """A file that is not what it should be as a whole: nothing of it is taken."""


class Table:
    """One CSV file with a known header, in UTF-8 with or without BOM; read through once before anything is written."""

    def __init__(self, path, columns, required):
        self.path, self.name = path, path.name
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                header = next(csv.reader(file), [])
                self.rows = sum(block.count("\n") for block in iter(lambda: file.read(1 << 20), "")) + 1  # an estimate, for the bar
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from None
        except (UnicodeDecodeError, csv.Error):
            raise Unreadable(f"{path}: not a CSV file in UTF-8") from None
        self.header = [cell.strip(PADDING).lower() for cell in header]
        if missing := [name for name in required if name not in self.header]:
            raise Unreadable(f"{path}: the header lacks {', '.join(missing)}")
        if unknown := [name for name in self.header if name not in columns]:
            raise Unreadable(f"{path}: the header has unknown columns: {', '.join(unknown)}")
        if len(set(self.header)) < len(self.header):
            raise Unreadable(f"{path}: the header names a column twice")

    def batches(self, size, reject):
        """Yield lists of (line, {column: text}) of at most `size` rows; a row that is no row is rejected."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            rows = self._rows(file, reject)
            while batch := list(islice(rows, size)):
                yield batch

    def _rows(self, file, reject):
        records = _records(file)
        next(records)
        for line, cells in records:
            if cells is None:
                reject(line, "", "cannot be read as CSV: a quote that is never closed")
            elif len(cells) > len(self.header):
                reject(line, "", "has more cells than the header")
            elif any(cell.strip(PADDING) for cell in cells):
                padded = cells + [""] * (len(self.header) - len(cells))
                yield line, dict(zip(self.header, (cell.strip(PADDING) for cell in padded), strict=True))


def _records(file):
    """Yield (line, cells) of each record; None for a line whose quote is not closed soon, so that it costs one row and not the rest."""
    waiting, number = deque(), 0
    while True:
        held, spoilt = [], []

        def lines(held=held, spoilt=spoilt):
            while len(held) < MOST_LINES and (line := waiting.popleft() if waiting else file.readline()):
                held.append(line)
                yield line
            spoilt.append(True)  # the reader wants more than there is

        try:
            cells = next(csv.reader(lines()), None)
        except csv.Error:
            cells, spoilt = None, [True]
        if not held:
            return
        if spoilt:
            waiting.extendleft(reversed(held[1:]))
            yield number + 1, None
            number += 1
        else:
            yield number + 1, cells
            number += len(held)


# What a cell may hold. Each takes the trimmed text and returns the value, or raises ValueError with a reason that does not repeat it.


def text(most, lines=False):
    def clean(cell):
        if len(cell) > most:
            raise ValueError(f"longer than {most} characters")
        if any(unicodedata.category(c) == "Cc" and not (lines and c in "\r\n\t") for c in cell):
            raise ValueError("holds control characters")
        return cell

    return clean


def one_of(values, default=""):
    def clean(cell):
        if (value := cell.lower() or default) not in values:
            raise ValueError("is none of " + ", ".join(values))
        return value

    return clean


def email(cell):
    try:
        address = normal_email(cell)
        validate_email(address)
    except (ValueError, ValidationError):
        raise ValueError("is no valid e-mail address") from None
    return address


def phone(cell):
    try:
        return normal_phone(cell) if cell else None
    except ValueError:
        raise ValueError("is no valid telephone number") from None


def day(cell):
    try:
        return date.fromisoformat(cell) if cell else None
    except ValueError:
        raise ValueError("is no date (YYYY-MM-DD)") from None


def language(cell):
    return one_of(Customer.Locale.values, Customer.Locale.VI)(cell[:2])


def parsed(batch, cleaners, required, reject):
    """Yield (line, values) of the rows whose every cell is right; reject each wrong cell of the others."""
    for line, row in batch:
        values, wrong = {}, []
        for name in row:  # a column that the file has not says nothing about anybody
            cell, clean = row[name], cleaners[name]
            try:
                if not cell and name in required:
                    raise ValueError("is missing")
                values[name] = clean(cell)
            except ValueError as error:
                wrong.append((name, str(error)))
        for name, reason in wrong:
            reject(line, name, reason)
        if not wrong:
            yield line, values


class Seen:
    """Which rows of this file were taken, by a key that names no person; kept by the database, so that memory stays flat."""

    def __init__(self, kind):
        self.table = f"seen_{kind}"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.table} (key text PRIMARY KEY, line integer)")
            cursor.execute(f"TRUNCATE {self.table}")

    def lines(self, keys):
        """Return {key: line} of those taken before."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT key, line FROM {self.table} WHERE key = ANY(%s)", [list(keys)])
            return dict(cursor.fetchall())

    def add(self, lines):
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {self.table} SELECT * FROM unnest(%s::text[], %s::int[]) ON CONFLICT DO NOTHING",
                [list(lines), list(lines.values())],
            )


def differing(row, values):
    """Return the names of the fields in which a stored row differs from `values`; UndecryptableValue where it cannot be told."""
    return [name for name, value in values.items() if getattr(row, name) != value]


class Customers:
    """ref,full_name,email,phone,address,locale,association,association_ended_on"""

    required = ("ref", "full_name", "email")
    cleaners = {
        "ref": text(40),
        "full_name": text(200),
        "email": email,
        "phone": phone,
        "address": lambda cell: text(500, lines=True)(cell) or None,
        "locale": language,
        "association": one_of(Customer.Association.values, Customer.Association.ACTIVE),
        "association_ended_on": day,
    }

    def __init__(self):
        self.seen = Seen("customers")

    def touched(self, customers):
        """Return the names of the fields that people changed here, by customer: the export does not overrule them (§4)."""
        fields = defaultdict(set)
        entries = Entry.objects.filter(subject__in=[c.public_id for c in customers], action__in=BY_PEOPLE)
        for subject, detail in entries.values_list("subject", "detail"):
            fields[subject] |= set(detail["fields"])
        return fields

    def take(self, batch, reject):
        """Write one batch; return counts of what became of its rows."""
        rows = list(parsed(batch, self.cleaners, self.required, reject))
        known = Customer.objects.filter(ref__in=[values["ref"] for _, values in rows])
        there = {c.ref: c for c in known.select_for_update().order_by("pk")}
        indexes = {values["email"]: blinds("email", values["email"]) for _, values in rows}
        known_as = Customer.objects.filter(email_index__in=[index for every in indexes.values() for index in every])
        owners = {bytes(index): ref for index, ref in known_as.values_list("email_index", "ref")}
        seen, counts, new, changed = self.seen.lines([values["ref"] for _, values in rows]), Counter(), [], {}
        touched = self.touched(there.values())
        held = set(EmailHold.objects.open().filter(customer__in=known).values_list("customer", flat=True))
        for line, values in rows:
            ref, index = values["ref"], indexes[values["email"]][0]
            if any(owners.get(each, ref) != ref for each in indexes[values["email"]]):
                reject(line, "email", "belongs to another customer already")
                continue
            customer = there.get(ref)
            if customer is None:
                customer = Customer(**values, email_state=Customer.EmailState.VERIFIED)
                there[ref], owners[index], seen[ref] = customer, ref, line
                new.append(customer)
                continue
            try:
                names = differing(customer, values)
            except UndecryptableValue:
                reject(line, "ref", "is a customer whose stored data cannot be decrypted")
                continue
            if customer.erased_at:
                reject(line, "ref", "is a customer who was erased")
            elif not names:
                counts["unchanged"] += 1
                seen.setdefault(ref, line)
            elif ref in seen:
                reject(line, "ref", f"is on line {seen[ref]} already, with other values")
            elif ours := sorted(set(names) & touched[customer.public_id]):
                reject(line, ours[0], "was changed here since: the export must be brought up to date")
            elif "email" in names and customer.pk in held:
                reject(line, "email", "is on hold here, and is changed after the hold is released")
            else:
                for name in names:
                    setattr(customer, name, values[name])
                if "email" in names:
                    customer.email_state = Customer.EmailState.VERIFIED
                    names.append("email_state")
                    owners[index] = ref
                changed[customer.pk] = names
                seen[ref] = line
        Customer.objects.enrol(new, by=None, source=SOURCE)
        if changed:
            Customer.objects.amend([c for c in there.values() if c.pk in changed], changed, by=None, source=SOURCE)
        self.seen.add(seen)
        return counts + Counter(created=len(new), amended=len(changed))


class Services:
    """customer_ref,service,plan,started_on,expires_on,access_username,access_secret"""

    required = ("customer_ref", "service")
    cleaners = {
        "customer_ref": text(40),
        "service": text(100),
        "plan": text(100),
        "started_on": day,
        "expires_on": day,
        "access_username": lambda cell: text(200)(cell) or None,
        "access_secret": lambda cell: text(500)(cell) or None,
    }

    def __init__(self):
        self.seen = Seen("services")

    def take(self, batch, reject):
        """Write one batch; return counts of what became of its rows."""
        rows = list(parsed(batch, self.cleaners, self.required, reject))
        owners = {c.ref: c for c in Customer.objects.living().filter(ref__in=[values["customer_ref"] for _, values in rows])}
        known = Service.objects.filter(customer__in=owners.values()).select_for_update().order_by("pk")
        there = {(s.customer_id, bytes(s.identity)): s for s in known}
        counts, new, changed, services = Counter(), [], {}, []
        for line, values in rows:
            owner = owners.get(values.pop("customer_ref"))
            if owner is None:
                reject(line, "customer_ref", "is unknown")
                continue
            service = Service(customer=owner, product=values.pop("service"), **values)
            keys = [(owner.pk, identity) for identity in service.identities()]
            service.identity = keys[0][1]
            services.append((line, service, keys, {name: values[name] for name in ("expires_on", "access_secret") if name in values}))
        seen = self.seen.lines({f"{s.customer_id}:{s.identity.hex()}" for _, s, _, _ in services})
        for line, service, keys, values in services:
            name = f"{service.customer_id}:{service.identity.hex()}"
            known = next((there[key] for key in keys if key in there), None)
            if known is None:
                there[keys[0]], seen[name] = service, line
                new.append(service)
                continue
            try:
                names = differing(known, values)
            except UndecryptableValue:
                reject(line, "service", "is a service whose stored data cannot be decrypted")
                continue
            if not names:
                counts["unchanged"] += 1
                seen.setdefault(name, line)
            elif name in seen:
                reject(line, "service", f"is on line {seen[name]} already, with other values")
            else:
                for field in names:
                    setattr(known, field, values[field])
                known.customer = service.customer
                changed[known.pk] = names
                seen[name] = line
        Service.objects.enrol(new, by=None, source=SOURCE)
        if changed:
            Service.objects.amend([s for s in there.values() if s.pk in changed], changed, by=None, source=SOURCE)
        self.seen.add(seen)
        return counts + Counter(created=len(new), amended=len(changed))
