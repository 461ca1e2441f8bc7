"""Builds the mails of one letter fast: what `letters.build` made of samples, with other values in their places. Adds no word of its own."""

import binascii
import html
import logging
import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import format_datetime
from functools import lru_cache

from django.core.mail.message import RFC5322_EMAIL_LINE_LENGTH_LIMIT as LONGEST
from django.core.mail.message import forbid_multi_line_headers
from django.utils import timezone

from consent import preferences
from customers.models import Customer
from mailings import letters, returns
from mailings.models import Message

log = logging.getLogger(__name__)
PLAIN = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[\w-]+(?:\.[\w-]+)+", re.ASCII)  # no quotes, nothing to encode
NEWLINE = re.compile(r"\r\n|\r|\n")
ENCODING = re.compile(rb"(?<=\r\nContent-Transfer-Encoding: )[^\r]+")
SUBJECT = re.compile(rb"(?<=\r\nSubject:)[^\r]*(?:\r\n[ \t][^\r]+)*")  # folded (RFC 5322 section 2.2.3)


def values(message, customer):
    """Return what differs from one mail of a letter to the next, by its place, as text."""
    return {
        "unsubscribe": letters.unsubscribe_token(message),
        "preferences": preferences.token_of(customer),
        "id": returns.token(message, returns.Use.ID),
        "refusal": returns.token(message, returns.Use.REFUSE),
        "name": letters.called(customer),
        "address": customer.email,
    }


class Cut:
    """Bytes with named places."""

    def __init__(self, sample, places):
        names = {value: name for name, value in places.items()}
        self._pieces = re.split(b"(" + b"|".join(map(re.escape, sorted(names, key=len, reverse=True))) + b")", sample)
        self._places = [(number, names[piece]) for number, piece in enumerate(self._pieces) if number % 2]
        self._bearable = len(sample) + LONGEST - max(map(len, sample.split(b"\r\n")))  # bytes, however they fall to its lines

    def filled(self, found):
        pieces = self._pieces[:]
        for number, name in self._places:
            pieces[number] = found[name]
        return b"".join(pieces)

    def may_be_long(self, filled):
        """Tell whether a line may be longer than mail allows, for a name that is."""
        return len(filled) > self._bearable


class Part:
    """One body, and its head, in which stands how it is encoded."""

    def __init__(self, sample, text, places):
        head = sample.partition(b"\r\n\r\n")[0]
        encoding = ENCODING.search(head)
        before, after = head[: encoding.start()], head[encoding.end() :] + b"\r\n\r\n"
        self._heads = {name: before + name + after for name in (b"8bit", b"quoted-printable")}
        self._body = Cut(NEWLINE.sub("\r\n", text).encode(), places)

    def filled(self, found):
        body = self._body.filled(found)
        if self._body.may_be_long(body):
            return self._heads[b"quoted-printable"] + binascii.b2a_qp(body, istext=True) + b"\r\n"
        return self._heads[b"8bit"] + body + b"\r\n"


class Skeleton:
    """What the mails of one letter in one language share."""

    def __init__(self, message, locale, rule):
        sample, reader = self._sample(message, locale)
        mail = letters.build(sample, reader, rule)
        made = mail.message()
        data, boundary = made.as_bytes(linesep="\r\n"), made.get_boundary()
        places = {name: value.encode() for name, value in values(sample, reader).items()}
        self._rule = f"--{boundary}".encode()  # drawn anew for each Skeleton, which lives for seconds: no reader knows it beforehand
        head, text, page, self._end = data.split(self._rule)
        self._subject, self._sentinel = mail.subject if reader.full_name in mail.subject else None, reader.full_name
        of_head = {"date": mail.extra_headers["Date"].encode()}
        if self._subject:
            of_head["subject"] = SUBJECT.search(head)[0]
        self._head = Cut(head, places | of_head)
        self._text, self._page = Part(text, mail.body, places), Part(page, mail.alternatives[0].content, places)

    @staticmethod
    def _sample(message, locale):
        """Return a message and a customer like no other, in whatever a letter could be made of."""
        word = secrets.token_hex(16)
        customer = Customer(
            pk=secrets.randbits(62), public_id=uuid.uuid4(), ref=word, full_name=f"ạ{word}", email=f"{word}@{word}.example", locale=locale
        )
        return Message(
            pk=secrets.randbits(62), public_id=uuid.uuid4(), campaign=message.campaign, purpose=message.purpose, customer_id=customer.pk
        ), customer

    @classmethod
    def of(cls, message, locale, rule):
        """Return the Skeleton of a message's letter, or None where more differs between two mails than it knows of."""
        skeleton, (other, reader) = cls(message, locale, rule), cls._sample(message, locale)
        expected = letters.build(other, reader, rule).message().as_bytes(linesep="\r\n")
        if parsed(skeleton.filled(other, reader)) == parsed(expected):
            return skeleton
        log.warning("The letter of message %s differs from reader to reader by more than their values: each is built alone.", message.pk)

    def filled(self, message, customer):
        """Return the whole mail, as bytes with CRLF; None where the customer's values cannot be put in their places as they are."""
        texts = values(message, customer)
        if not (texts["name"] and PLAIN.fullmatch(texts["address"])):
            return None
        found = {name: value.encode() for name, value in texts.items()}
        found["date"] = _date(int(time.time()))
        if self._subject:
            subject = letters.one_line(self._subject.replace(self._sentinel, texts["name"]))
            found["subject"] = _folded(*forbid_multi_line_headers("Subject", subject, "utf-8"))
        text = self._text.filled(found)
        head, found["name"] = self._head.filled(found), html.escape(texts["name"]).encode()
        return self._rule.join([head, text, self._page.filled(found), self._end])


@lru_cache(1)
def _date(second):
    return format_datetime(timezone.localtime(datetime.fromtimestamp(second, UTC))).encode()


def _folded(name, value):
    """Return what stands after a header's colon, as the generator of the standard library folds it."""
    line = policy.compat32.fold(name, value).rstrip("\n")
    return line.removeprefix(f"{name}:").replace("\n", "\r\n").encode()


def parsed(data):
    """Return what a reader gets of a mail: its headers and its bodies; boundaries, encodings and the moment left out."""
    mail = message_from_bytes(data, policy=policy.default)
    headers = [(name, str(value)) for name, value in mail.items() if name not in ("Content-Type", "Date")]
    parts = [(part.get_content_type(), part.get_content()) for part in mail.iter_parts()]
    return mail.get_content_type(), headers, parts
