"""Links that leave the company's hosts (§5): signed, so that the notice page leads nowhere that the office did not write itself."""

import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.signing import BadSignature
from django.urls import reverse
from django.utils.translation import get_language

from mailings.models.hosts import HOST, CompanyHost
from privacy_office.signing import Signer

signer = Signer(salt="mailings.leave", sep=".")
# As mail programs find addresses in plain text: up to a space or what closes it, without the punctuation of the sentence around it.
ADDRESS = re.compile(
    r"""https?://(?:[^\s<>"'`()\[\]|\\^]|\([^\s<>"'`()\[\]|\\^]*\))*(?:[^\s<>"'`()\[\]|\\^.,;:!?*_~]|\([^\s<>"'`()\[\]|\\^]*\))""",
    re.IGNORECASE,
)
ALL_OF_ASCII = "".join(map(chr, range(33, 127)))


class Destination(NamedTuple):
    """Where a signed link leads: the address in ASCII, its host, and the language of the letter it stood in."""

    url: str
    host: str
    language: str


def target(url):
    """Return (address, host) of the web in ASCII, international names as punycode; ValueError for any other.

    Made of its parts anew, without name and password: no browser reads another host out of it than the one that is named.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no address of the web")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    if not (HOST.fullmatch(host) or ":" in host) or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise ValueError("no address of the web")
    port = f":{parts.port}" if parts.port else ""
    place = f"[{host}]" if ":" in host else host
    rest = parts._replace(scheme="", netloc="").geturl()
    return f"{parts.scheme}://{place}{port}{quote(rest, safe=ALL_OF_ASCII)}", host


def leaving(url):
    """Return what stands in a mail for an address: itself on the company's hosts, else its way over the notice page."""
    try:
        address, host = target(url)
    except ValueError:
        return settings.BASE_URL  # nobody knows where a browser would go
    if host == urlsplit(settings.BASE_URL).hostname or CompanyHost.objects.owns(host):
        return url
    said = signer.sign_object([address, get_language()])
    return settings.BASE_URL + reverse("mailings:leave", args=[said])


def rewritten(text):
    """Return Markdown or plain text with every web address that leaves the company's hosts led over the notice page."""
    return ADDRESS.sub(lambda match: leaving(match[0]), text)


def href(tag, attribute, value):
    """Return what an address in HTML becomes, for the sanitiser: whatever spelling Markdown made an address of is led over the page too."""
    if value.startswith(("mailto:", "tel:")):
        return value
    return leaving(value) if value.lower().startswith(("http://", "https://")) else None


def opened(token):
    """Return the Destination of a signed link; ValueError for one that the office did not make."""
    try:
        url, language = signer.unsign_object(token)
        address, host = target(url)
    except (BadSignature, AttributeError, TypeError, ValueError) as broken:
        raise ValueError("not a link of the office") from broken
    return Destination(address, host, language)
