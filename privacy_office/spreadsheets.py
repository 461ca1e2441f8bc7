"""Rows as CSV that a spreadsheet opens. Refuses to write a cell that it would run."""

import csv
from io import StringIO

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MARK = "\ufeff"  # by which spreadsheets know UTF-8


def harmless(value):
    """Return a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def lines(rows):
    """Return rows as lines of CSV, each cell as text."""
    out = StringIO()
    csv.writer(out).writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def as_csv(rows):
    """Return rows as a whole file."""
    return MARK + lines(rows)
