"""Reads a mail that came in, as far as the office asks. Refuses to believe what it says of itself: what names a message is signed.

Delivery reports (RFC 3464, and what servers wrote before), feedback reports (RFC 5965), automatic mail (RFC 3834), and what a person wrote.
"""

import html
import re
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses, parseaddr
from functools import reduce
from typing import NamedTuple

import nh3
from django.conf import settings
from flufl.bounce import all_failures

from mailings import returns
from mailings.returns import Use
from privacy_office.fields import plain_words

LONGEST = 20_000  # characters of a person's words that are kept
LONGEST_HEADER = 64_000  # characters: the time that a header takes grows with the square of its length
MOST_HEADERS = 5_000
REPORTED = 100_000  # bytes in which a report has said what it has to say: the library's patterns are slow on more
DELIVERED_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc", "Resent-To")
# RFC 3463: class, subject, detail; not a part of a longer number, as an IP address is.
STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
CODE = re.compile(r"(?<!\d)([45])\d\d(?!\d)")
# What its writer did not write: lines that are quoted, and the line before them that says whose they are.
QUOTED = re.compile(r">|(on|vào|am|le)\b.*(<|:$)|.*(wrote|đã viết):$", re.IGNORECASE)
# Where the words of its writer end: a signature, or a whole mail that is quoted without a mark.
ENDS = re.compile(r"--$|_{5,}|-{2,}.*(original|forwarded|gốc|chuyển tiếp)|(from|từ):|(sent from|(đã )?gửi từ)\b", re.IGNORECASE)
DAEMONS = {"mailer-daemon", "postmaster", "mailerdaemon", "mail-daemon", "bounce", "bounces"}
BULK = {"bulk", "junk", "list", "auto_reply", "auto-reply"}


class Hostile(Exception):
    """A mail that no program of good will makes."""


class Mail(NamedTuple):
    """What a mail says. `report` is the worst status in a report of delivery, empty in one of no failure, None in what is no report."""

    to: dict  # {use: messages that the addresses name which it was sent to}
    answers: dict  # those that it refers to
    returned: dict  # those that a report gives back
    report: str | None
    complaint: bool
    automatic: bool
    sender: str
    subject: str
    text: str

    @property
    def refuses(self):
        """Whether its first line, or the subject where there is none, is one of the words of refusal and nothing else."""
        line = next(iter(own_lines(self.text)), self.subject)
        return is_refusal(line)

    @property
    def says_more(self):
        """Whether there is more than one line of its own."""
        return len(own_lines(self.text)) > 1


def is_refusal(line):
    return plain_words(line) in [plain_words(words) for words in settings.REFUSAL_WORDS]


def own_lines(text):
    """Return the lines that its writer wrote, above or below what is quoted."""
    lines = []
    for line in map(str.strip, text.splitlines()):
        if ENDS.match(line[:200]):  # a hostile line may be long
            break
        if line and not QUOTED.match(line[:200]):
            lines.append(line)
    return lines


def read(raw):
    """Return the Mail of its bytes; Hostile, or RecursionError, where it is made to take long."""
    message = message_from_bytes(raw)
    lengths = [len(value) for part in message.walk() for _name, value in part.raw_items()]
    if len(lengths) > MOST_HEADERS or max(lengths, default=0) > LONGEST_HEADER:
        raise Hostile
    to = returns.read(headers(message, DELIVERED_TO))
    automatic = is_automatic(message)
    kind = (message.get_content_type(), str(message.get_param("report-type", "")).lower())
    complaint = kind == ("multipart/report", "feedback-report") and is_abuse(message)
    report = None
    if kind[0] == "multipart/report" and kind[1] not in ("feedback-report", "disposition-notification"):
        report = status_of(message, raw)
    elif kind[0] != "multipart/report" and (to[Use.RETURN] or from_daemon(message)):
        report = status_of(message, raw) or None
    return Mail(
        to=to,
        answers=returns.read(headers(message, ("In-Reply-To", "References"))),
        returned=reduce(merged, map(returns.read, everything(message))) if complaint or report is not None else returns.read(""),
        report=report,
        complaint=complaint,
        automatic=automatic,
        sender=parseaddr(headers(message, ["From"]))[1],
        subject=clean(headers(message, ["Subject"])[:1000], decoded=True),
        text=text_of(message)[:LONGEST],
    )


def merged(one, other):
    return {use: one[use] | other[use] for use in Use}


def headers(message, names):
    return "\n".join(str(value) for name in names for value in message.get_all(name, []))


def everything(message):
    """Yield all headers and texts of a mail and of what it encloses."""
    for part in message.walk():
        yield "\n".join(str(value) for value in part.values())
        if not part.is_multipart():
            yield payload(part)


def payload(part):
    """Return the text of a part, whatever it says of its characters; a NUL is none that the database takes."""
    data = part.get_payload(decode=True) or b""
    try:
        text = data.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # no such encoding
        text = data.decode("utf-8", "replace")
    return text.replace("\0", "")


# What kind of mail it is


def is_automatic(message):
    """Tell whether no person wrote it (RFC 3834 section 2), or whether it is to be taken for that, as to a list."""
    said = headers(message, ["Auto-Submitted"]).partition(";")[0].strip().lower()
    precedence = headers(message, ["Precedence"]).strip().lower()
    marked = any(name in message for name in ("X-Autoreply", "X-Autorespond", "List-Id"))
    report = message.get_content_type() == "multipart/report"
    return said not in ("", "no") or precedence in BULK or marked or report or from_daemon(message)


def from_daemon(message):
    """Tell whether a mail server wrote it: from the null sender, or in such a name."""
    path = headers(message, ["Return-Path"]).strip()
    writers = {address.partition("@")[0].lower() for _name, address in getaddresses([headers(message, ["From"])])}
    return path == "<>" or bool(writers & DAEMONS)


def is_abuse(message):
    """Tell whether a feedback report says that the reader called it abuse (RFC 5965 section 3.5); others are for people."""
    parts = [part for part in message.walk() if part.get_content_type() == "message/feedback-report"]
    # A message/* part is parsed as an enclosed mail, whose headers are the fields.
    fields = "\n".join(text for part in parts for text in everything_named(part))
    return bool(re.search(r"^feedback-type:\s*abuse\s*$", fields, re.IGNORECASE | re.MULTILINE))


def everything_named(part):
    for inner in part.walk():
        yield "\n".join(f"{name}: {value}" for name, value in inner.items())
        if not inner.is_multipart():
            yield payload(inner)


def status_of(message, raw):
    """Return the worst status of a report of delivery: as RFC 3464 has it, else as the library reads it; empty where nothing failed."""
    found = []
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status" and part.is_multipart():
            found += [status for block in part.get_payload() if (status := status_of_recipient(block))]
    if found:
        return max(found)  # permanent before temporary
    try:
        temporary, permanent = all_failures(message_from_bytes(raw[:REPORTED]))
    except Exception:  # the library stumbles over what only looks like a report
        return ""
    if permanent:
        said = (status for text in everything(message) for status in STATUS.findall(text) if status.startswith("5."))
        return next(said, "5.0.0")
    return "4.0.0" if temporary else ""


def status_of_recipient(block):
    """Return the status of one recipient of a report (RFC 3464 section 2.3), empty where it says of no failure."""
    action = headers(block, ["Action"]).strip().lower()
    if not action.startswith(("fail", "error", "delay")):
        return ""
    status = STATUS.search(headers(block, ["Status"]))
    reason = headers(block, ["Diagnostic-Code"])
    if (status is None or status[1].endswith(".0.0")) and (closer := STATUS.search(reason)):  # "5.0.0: not further said"
        status = closer
    if status:
        return status[1]
    code = CODE.search(reason)
    return f"{code[1] if code else 4 if action.startswith('delay') else 5}.0.0"


# What a person wrote


def text_of(message):
    """Return the text of a mail: the plain one where there is one, else the other without its tags. Files are not kept."""
    leaves = (part for part in message.walk() if not part.is_multipart())
    parts = [part for part in leaves if not headers(part, ["Content-Disposition"]).lower().startswith("attachment")]
    for part in parts:
        if part.get_content_type() == "text/plain":
            return clean(payload(part))
    for part in parts:
        if part.get_content_type() == "text/html":
            broken = re.sub(r"(?i)<(br|/p|/div|/li|/tr)\b[^>]{0,200}>", "\n", payload(part)[: 20 * LONGEST])
            return clean(html.unescape(nh3.clean(broken, tags=set())))
    return ""


def clean(text, decoded=False):
    """Return a text as it can be stored: no NUL, no half characters; a header decoded, in one line."""
    if decoded:
        text = " ".join(unfold(text).split())
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip()


def unfold(text):
    """Return a header with its encoded words decoded (RFC 2047), as it stands where they are none."""
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
