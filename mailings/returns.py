"""What names one of our messages in an address or a header. Refuses what it did not sign: a report that anybody can write changes nothing.

A token is a letter for its use, then the message's random identifier and a signature over both in base32, which a server may write in
capitals: 43 characters, so that the local part keeps within the 64 of RFC 5321 section 4.5.3.1.1.
"""

import base64
import re
from enum import StrEnum
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare

from privacy_office import signing

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 section 6, in small letters
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
SIGNATURE = 10  # bytes: a forger would have to try 2^79 reports
TOKEN = re.compile(r"(?<![a-z0-9])([rmu])([a-z2-7]{42})(?=@)", re.IGNORECASE)


class Use(StrEnum):
    RETURN = "r"  # the envelope's sender (VERP): where a report of delivery goes
    ID = "m"  # Message-ID: what an answer refers to, and a report may give back
    REFUSE = "u"  # the mailto of List-Unsubscribe (RFC 2369)


def token(message, use):
    """Return what names a message for one use."""
    return _token(message.public_id, use, settings.SECRET_KEY)


def _token(public_id, use, key):
    signed = signing.mac("mailings.returns", use.encode() + public_id.bytes, key)[:SIGNATURE]
    number = int.from_bytes(public_id.bytes + signed) << 2  # 26 bytes are 21 times ten bits; `base64.b32encode` is twice as slow
    return use + "".join([PAIRS[number >> shift & 1023] for shift in range(200, -1, -10)])


def read(text):
    """Return {use: identifiers} of the messages that a text of headers names by our tokens."""
    found = {use: set() for use in Use}
    for letter, rest in TOKEN.findall(text):
        use, given = Use(letter.lower()), (letter + rest).lower()
        public_id = UUID(bytes=base64.b32decode(rest.upper() + "======")[:16])
        if any(constant_time_compare(given, _token(public_id, use, key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)):
            found[use].add(public_id)
    return found


def _address(message, use):
    local, _at, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+{token(message, use)}@{domain}"


def path(message):
    """Return the envelope's sender of one message: where reports about it go."""
    return _address(message, Use.RETURN) if settings.BOUNCE_ADDRESS else settings.MAIL_FROM


def message_id(message):
    return f"<{token(message, Use.ID)}@{urlsplit(settings.BASE_URL).hostname}>"


def refusal_url(message):
    """Return the mailto by which one mail refuses (RFC 2369), empty where no mailbox is read."""
    return f"mailto:{_address(message, Use.REFUSE)}?subject=unsubscribe" if settings.BOUNCE_ADDRESS else ""
