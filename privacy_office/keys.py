"""The office's keys: read from NAME, NAME_FILE or a private folder, refused when missing or weak. Never shown, not even in an error."""

import base64
import functools
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

FOLDER = Path(__file__).resolve().parent.parent / "var" / "keys"


def _token():
    return secrets.token_urlsafe(64)


def _raw_key():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# name: (how to make one, how it is called in an error when it is weak)
NAMES = {
    "SECRET_KEY": (_token, "at least 50 characters, drawn at random"),
    "FIELD_ENCRYPTION_KEY": (lambda: Fernet.generate_key().decode(), "one or more Fernet keys, newest first, with commas, none twice"),
    "BLIND_INDEX_KEY": (_raw_key, "one or more times 32 random bytes in URL-safe base64, newest first, with commas, none twice"),
    "AUDIT_SIGNING_KEY": (_raw_key, "one or more Ed25519 private keys (32 bytes in URL-safe base64), newest first, with commas"),
}
LISTS = ("FIELD_ENCRYPTION_KEY", "BLIND_INDEX_KEY", "AUDIT_SIGNING_KEY")  # several, so that they can be changed: see docs/OPERATIONS.md


def folder():
    return Path(os.environ.get("KEYS_DIR") or FOLDER)


def make(where=None):
    """Write the keys that are not there yet, one file each, readable by their owner alone (0600)."""
    where = Path(where or folder())
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, (new, _) in NAMES.items():
        try:
            descriptor = os.open(where / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(new() + "\n")


def read(name):
    """Return the key `name` as text; ImproperlyConfigured names the variable, never its value."""
    value = os.environ.get(name)
    if value is None:
        named = os.environ.get(f"{name}_FILE")
        path = Path(named) if named else folder() / name
        try:
            value = path.read_text()
        except (OSError, UnicodeError):
            raise ImproperlyConfigured(f"{name} is missing: set {name} or {name}_FILE.") from None
    value = value.strip()
    if not _strong(name, value):
        raise ImproperlyConfigured(f"{name} is weak or malformed: it takes {NAMES[name][1]}.")
    return value


def read_all():
    """Return every key as text by name; ImproperlyConfigured where one serves two purposes."""
    values = {name: read(name) for name in NAMES}
    owners = {}
    for name, value in values.items():
        for key in split(value):
            if (other := owners.setdefault(key, name)) != name:
                raise ImproperlyConfigured(f"{other} and {name} share a key: each purpose takes keys of its own.")
    return values


def split(value):
    """Return the keys of a comma-separated list, newest first."""
    return [key.strip() for key in value.split(",") if key.strip()]


class SigningKey(NamedTuple):
    """What mail is signed with (RFC 6376): where receivers find the public key, and the private one as dkimpy takes it."""

    selector: bytes
    domain: bytes
    algorithm: bytes
    private: bytes


def signing_key(pem, selector, domain, sender):
    """Return the SigningKey of a PEM text, None where it is empty; ImproperlyConfigured never shows it."""
    if not pem:
        return None
    domain = domain or sender.rpartition("@")[2]
    if not selector:
        raise ImproperlyConfigured("DKIM_SELECTOR is missing: mail is signed with DKIM_KEY, and receivers look its public part up by it.")
    if not f".{sender.rpartition('@')[2]}".lower().endswith(f".{domain}".lower()):
        raise ImproperlyConfigured("DKIM_DOMAIN must be the domain of MAIL_FROM, or one above it: else the signature speaks for nobody.")
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        algorithm, private = b"ed25519-sha256", base64.b64encode(key.private_bytes_raw())
    elif isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        form = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        algorithm, private = b"rsa-sha256", key.private_bytes(*form)
    else:
        raise ImproperlyConfigured("DKIM_KEY is weak or malformed: it takes an RSA key of 2048 bits or more, or an Ed25519 one, as PEM.")
    return SigningKey(selector.encode(), domain.encode(), algorithm, private)


def _strong(name, value):
    if name == "SECRET_KEY":
        return len(value) >= 50 and len(set(value)) >= 10 and not value.startswith("django-insecure-")
    several = split(value) if name in LISTS else [value]
    # Versions of two keys agree once in 65,536 times: then one of them is drawn again.
    return bool(several) and all(map(_strong_bytes, several)) and len(set(map(version, several))) == len(several)


@functools.lru_cache(100)
def version(key):
    """Return two bytes by which what an index key made tells of its key, and nothing of what the key is."""
    return hmac.digest(key.encode(), b"version", hashlib.sha256)[:2]


def _strong_bytes(value):
    try:
        raw = base64.urlsafe_b64decode(value)
    except ValueError:
        return False
    return len(value) == 44 and len(raw) == 32 and len(set(raw)) >= 12  # 32 random bytes with fewer distinct ones do not happen
