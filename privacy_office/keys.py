"""The office's keys: read from NAME, NAME_FILE or a private folder, refused when missing or weak. Never shown, not even in an error."""

import base64
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

FOLDER = Path(__file__).resolve().parent.parent / "var" / "keys"


def _token():
    return secrets.token_urlsafe(64)


def _raw_key():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# name: (how to make one, how it is called in an error when it is weak)
NAMES = {
    "SECRET_KEY": (_token, "at least 50 characters, drawn at random"),
    "FIELD_ENCRYPTION_KEY": (lambda: Fernet.generate_key().decode(), "one or more Fernet keys, newest first, separated by commas"),
    "BLIND_INDEX_KEY": (_raw_key, "32 random bytes in URL-safe base64"),
    "AUDIT_SIGNING_KEY": (_raw_key, "32 random bytes in URL-safe base64 (an Ed25519 private key)"),
}


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


def split(value):
    """Return the keys of a comma-separated list, newest first."""
    return [key.strip() for key in value.split(",") if key.strip()]


def _strong(name, value):
    if name == "SECRET_KEY":
        return len(value) >= 50 and len(set(value)) >= 10 and not value.startswith("django-insecure-")
    several = split(value) if name == "FIELD_ENCRYPTION_KEY" else [value]
    return bool(several) and all(map(_strong_bytes, several))


def _strong_bytes(value):
    try:
        raw = base64.urlsafe_b64decode(value)
    except ValueError:
        return False
    return len(value) == 44 and len(raw) == 32 and len(set(raw)) >= 12  # 32 random bytes with fewer distinct ones do not happen
