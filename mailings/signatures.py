"""Signs what leaves by DKIM (RFC 6376, RFC 8463), where the office has a key for it. Signs the headers to refuse by too (RFC 8058)."""

import dkim
from django.conf import settings

# Each is signed once more than it occurs, so that nobody adds a second one: that would be shown instead.
HEADERS = [
    "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding", "auto-submitted",
    "list-id", "list-unsubscribe", "list-unsubscribe-post",
]  # fmt: skip


def signed(data):
    """Return a message (bytes, CRLF) with its signature before it; as it is where there is no key."""
    key = settings.DKIM
    if key is None:
        return data
    headers = data[: data.index(b"\r\n\r\n")].lower().split(b"\r\n")
    there = [name.encode() for name in HEADERS if any(line.startswith(name.encode() + b":") for line in headers)]
    names = [*there, *(name.encode() for name in HEADERS)]
    line = dkim.sign(
        data, key.selector, key.domain, key.private, canonicalize=(b"relaxed", b"relaxed"), signature_algorithm=key.algorithm,
        include_headers=names,
    )  # fmt: skip
    return line + data
