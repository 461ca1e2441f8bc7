"""Takes customers and services from the company's CSV export. Refuses rows by line, field and reason, never by value."""

import csv
import unicodedata
from collections import Counter
from datetime import date
from itertools import islice

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection

from audit.models import Entry
from customers.models import Customer, Service
from privacy_office.fields import UndecryptableValue, blind, normal_email, normal_phone

SOURCE = "import"
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
            rows = self._rows(csv.reader(file), reject)
            while batch := list(islice(rows, size)):
                yield batch

    def _rows(self, reader, reject):
        next(reader)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                reject(line, "", "cannot be read as CSV")
                continue
            if len(cells) > len(self.header):
                reject(line, "", "has more cells than the header")
            elif any(cell.strip(PADDING) for cell in cells):
                padded = cells + [""] * (len(self.header) - len(cells))
                yield line, dict(zip(self.header, (cell.strip(PADDING) for cell in padded), strict=True))


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
        for name, clean in cleaners.items():
            cell = row.get(name, "")
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

    def take(self, batch, reject):
        """Write one batch; return counts of what became of its rows."""
        rows = list(parsed(batch, self.cleaners, self.required, reject))
        there = {c.ref: c for c in Customer.objects.filter(ref__in=[values["ref"] for _, values in rows])}
        indexes = {values["email"]: blind("email", values["email"]) for _, values in rows}
        owners = dict(Customer.objects.filter(email_index__in=indexes.values()).values_list("email_index", "ref"))
        owners = {bytes(index): ref for index, ref in owners.items()}
        seen, counts, new, changed = self.seen.lines([values["ref"] for _, values in rows]), Counter(), [], {}
        corrected = set(
            Entry.objects.filter(action="customer.correct", subject__in=[c.public_id for c in there.values()]).values_list(
                "subject", flat=True
            )
        )
        for line, values in rows:
            ref, index = values["ref"], indexes[values["email"]]
            if owners.get(index, ref) != ref:
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
            elif customer.public_id in corrected and set(names) & set(Customer.PERSONAL):
                reject(line, names[0], "was corrected here since: the export must be brought up to date")
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
        there = {(s.customer_id, bytes(s.identity)): s for s in Service.objects.filter(customer__in=owners.values())}
        counts, new, changed, services = Counter(), [], {}, []
        for line, values in rows:
            owner = owners.get(values.pop("customer_ref"))
            if owner is None:
                reject(line, "customer_ref", "is unknown")
                continue
            service = Service(customer=owner, product=values.pop("service"), **values)
            service.identity = service.identify()
            services.append((line, service, {name: values[name] for name in ("expires_on", "access_secret")}))
        seen = self.seen.lines({f"{s.customer_id}:{s.identity.hex()}" for _, s, _ in services})
        for line, service, values in services:
            key, name = (service.customer_id, service.identity), f"{service.customer_id}:{service.identity.hex()}"
            known = there.get(key)
            if known is None:
                there[key], seen[name] = service, line
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
