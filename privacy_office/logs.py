"""What logs may hold: which rows, which lines of code, never who. Refuses an exception's words, and masks what looks like a person.

A mask is a net under a rule: code logs numbers of rows alone. A name cannot be told from other words, so no net would catch it.
"""

import logging
import os
import re
import sys
import traceback

import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured

KEYED = ("unsubscribe", "preferences", "leave", "link")  # what comes after these in an address opens a customer's page
WORDS_LEFT_OUT = "(words left out)"
REQUEST = {"method", "route", "status", "milliseconds"}  # what a line tells of a request beside its number
# Exceptions whose words are code's own. All others may quote what they stumbled over: a cell, a row, an address.
PLAIN_WORDS = (AttributeError, ImportError, NameError, ImproperlyConfigured)

LOCAL = r"(?:\"[^\"\n]{1,128}\"|[^\s@<>\"'(),;:=\[\]{}|/\\?&]{1,128})"
DOMAIN = r"(?:\[[^\]\s]+\]|[^\s@<>\"'(),;:=\[\]{}|/\\?&%]+)"
BREAK = r"[ .()\-\u00a0]{0,2}"
MASKS = [
    (r"(?s)(?:\bDETAIL:|\bCONTEXT:|Failing row contains).*", "[detail left out]"),  # PostgreSQL quotes whole rows there
    (r"(?i)(?<![a-z])((?:proxy-?_?)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*)[^\r\n]+", r"\1\2[left out]"),
    (r"(?i)((?:session|csrf|password|secret|token)\w*['\"]?\s*[:=]\s*)['\"]?[^\s'\",;&]+['\"]?", r"\1[left out]"),
    (rf"(?i)(/(?:{'|'.join(KEYED)})/)[^\s\"'<>?#)\]]+", r"\1[key]"),
    (r"gAAAAA[\w\-]{10,}={0,2}(?:%3D)*", "[encrypted]"),  # as every Fernet token begins until 2106
    (rf"(?i){LOCAL}(?:@|＠|%40){DOMAIN}", "[e-mail]"),
    (rf"(?<![\w.])(?:\+|%2B|00)\(?\d(?:{BREAK}\d){{7,14}}(?!\w)", "[phone]"),
    (rf"(?<![\w.])\(?0\d(?:{BREAK}\d){{7,9}}(?![\w-])", "[phone]"),
    (rf"(?<![\w.])84(?:{BREAK}\d){{8,10}}(?![\w-])", "[phone]"),
]
MASKS = [(re.compile(pattern), mask) for pattern, mask in MASKS]


def masked(value):
    """Return a value without what looks like a person or a key; whatever is no number or word becomes text first."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {masked(name): masked(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [masked(item) for item in value]
    text = value if isinstance(value, str) else words(value) if isinstance(value, BaseException) else repr(value)
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text


def words(error):
    """Return an exception in a line: its kind, the database's code and constraint, and its words only where they are code's own."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}:".removeprefix("builtins.")
    database = error if isinstance(error, psycopg.Error) else error.__cause__
    code = f"{database.sqlstate} {database.diag.constraint_name or ''}" if isinstance(database, psycopg.Error) else ""
    return " ".join(f"{kind} {code} {error if isinstance(error, PLAIN_WORDS) else WORDS_LEFT_OUT}".split())


def plain(arg):
    return words(arg) if isinstance(arg, BaseException) else arg


def story(error, seen=()):
    """Return an exception with the lines of code that led to it, and what it came from: no words, no values of variables."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    first = story(before, (*seen, error)) + "\n\nThat led to:\n\n" if before and before not in seen else ""
    return first + "".join(traceback.format_tb(error.__traceback__)) + words(error)


def hook(kind, error, trace):
    """Write down an exception that ends a command; `sys.excepthook`."""
    print(masked(story(error)), file=sys.stderr)


def told(logger, method, event):
    """Put the story of an exception in the place of the exception."""
    trouble = event.pop("exc_info", None)
    if trouble is True:
        trouble = sys.exc_info()
    error = trouble[1] if isinstance(trouble, tuple) else trouble
    return event | {"exception": story(error)} if error else event


def redacted(logger, method, event):
    return masked(event)


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Any record of any library as a redacted line: to read, or JSON where LOG_FORMAT=json."""

    def __init__(self):
        json = os.environ.get("LOG_FORMAT") == "json"
        look = structlog.processors.JSONRenderer(ensure_ascii=False) if json else structlog.dev.ConsoleRenderer(colors=False)
        when = structlog.processors.TimeStamper(fmt="iso" if json else "%Y-%m-%d %H:%M:%S", utc=json)
        level, name = structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name
        request = [structlog.contextvars.merge_contextvars, structlog.stdlib.ExtraAdder(REQUEST)]
        super().__init__(processors=[level, name, *request, told, self.remove_processors_meta, redacted, when, look])

    def format(self, record):
        """Format a copy of a record, whose message and arguments may be an exception, or hold the words of one."""
        record = logging.makeLogRecord(record.__dict__)
        record.msg = plain(record.msg)
        if isinstance(record.args, dict):
            record.args = {name: WORDS_LEFT_OUT if name in ("exc", "traceback") else plain(arg) for name, arg in record.args.items()}
        elif record.args:
            record.args = tuple(map(plain, record.args))
        record.msg, record.args = record.getMessage(), ()
        error = record.exc_info[1] if record.exc_info else None
        if error and not isinstance(error, PLAIN_WORDS):  # Django's word of a suspicious request, and others', is the exception's own
            for said in filter(None, (repr(error), str(error))):
                record.msg = record.msg.replace(said, WORDS_LEFT_OUT)
        return super().format(record)
