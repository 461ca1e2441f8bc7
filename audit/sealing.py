"""Seals the entries under signed checkpoints and anchors these outside the database. Refuses to seal an entry twice, or two at a time."""

import json
import os
from base64 import urlsafe_b64decode
from datetime import UTC, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from audit import verify_audit
from audit.models import Checkpoint, Entry, Unsealed, Verification

LOCK = 0x5EA1
MOST = 50_000  # entries under one checkpoint
LATE = timedelta(minutes=5)  # ten times what a sealing takes to come
# An entry as its line: what PostgreSQL writes for this object is what is hashed, exported and verified, byte for byte.
LINE = """
jsonb_build_object('id', e.id, 'at', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'actor', e.actor,
                   'action', e.action, 'object', e.object, 'subject', e.subject, 'clause', e.clause, 'detail', e.detail,
                   'kept', to_jsonb(e.kept), 'commitment', e.commitment)::text
"""
SEALED_NOW = f"""
WITH taken AS (DELETE FROM audit_unsealed
                WHERE entry_id IN (SELECT entry_id FROM audit_unsealed ORDER BY entry_id LIMIT %s) RETURNING entry_id)
SELECT e.id, sha256('\\x00'::bytea || convert_to({LINE}, 'UTF8')) FROM taken JOIN audit_entry e ON e.id = entry_id ORDER BY e.id
"""


def signing_keys():
    """Return the private keys, newest first."""
    return [Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(key)) for key in settings.AUDIT_SIGNING_KEY]


def public_keys():
    """Return the public keys in hex, newest first: what a verifier must be told by another way than the export."""
    return [key.public_key().public_bytes_raw().hex() for key in signing_keys()]


def told(checkpoint):
    """Return a checkpoint as it is anchored."""
    values = {name: getattr(checkpoint, name) for name in (*verify_audit.SIGNED, "signature")}
    return {**values, "at": checkpoint.at.astimezone(UTC).isoformat(timespec="microseconds")}


def seal():
    """Seal whatever waits, and anchor it; return how many entries were sealed. Somebody else at it: None."""
    sealed = 0
    while True:
        with transaction.atomic():
            count = _seal_some()
        if count is None:
            return None
        sealed += count
        if count < MOST:
            break
    anchor()
    return sealed


def _seal_some():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(SEALED_NOW, [MOST])
        taken = cursor.fetchall()
    if not taken:
        return 0
    last = Checkpoint.objects.defer("entries", "leaves").first()
    leaves = [bytes(leaf) for _number, leaf in taken]
    signer = signing_keys()[0]
    checkpoint = Checkpoint(
        number=last.number + 1 if last else 1,
        at=max(timezone.now(), last.at) if last else timezone.now(),  # our clock may be behind the one that sealed before
        size=len(taken),
        root=verify_audit.merkle_root(leaves).hex(),
        previous=verify_audit.checkpoint_digest(told(last)) if last else verify_audit.NOTHING,
        key=signer.public_key().public_bytes_raw().hex(),
        entries=[number for number, _leaf in taken],
        leaves=b"".join(leaves),
    )
    checkpoint.signature = signer.sign(verify_audit.signed_text(told(checkpoint))).hex()
    checkpoint.save(force_insert=True)
    return len(taken)


def state():
    """Return what one looks at first: the last checkpoint, how many entries wait and since when, whether the anchors follow."""
    waiting = Entry.objects.filter(pk__in=Unsealed.objects.values("pk"))
    last = Checkpoint.objects.defer("entries", "leaves").first()
    oldest = waiting.order_by("pk").values_list("at", flat=True).first()
    return {
        "last": last,
        "waiting": Unsealed.objects.order_by()[:MOST].count(),
        "oldest": oldest,
        "late": oldest is not None and timezone.now() - oldest > LATE,
        "anchored": last is None or last_anchored() == last.number,
        "key": public_keys()[0],
        "verification": Verification.objects.first(),
        "overdue": Verification.overdue(),
    }


def anchors():
    """Return the anchored checkpoints, oldest first."""
    path = Path(settings.AUDIT_ANCHORS)
    return verify_audit.read_anchors(path) if path.exists() else []


def last_anchored():
    """Return the number of the last anchored checkpoint, 0 where there is none; the file is read from its end, as it only ever grows."""
    path = Path(settings.AUDIT_ANCHORS)
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return _last_whole_line(file)[0]


def anchor():
    """Append to the anchor file the checkpoints that are not in it yet; OSError where it cannot be written."""
    path = Path(settings.AUDIT_ANCHORS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # one writer, on this host or another
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "rb+") as file:
            last, end = _last_whole_line(file)
            file.truncate(end)  # cuts off a line that a crash left half
            missing = Checkpoint.objects.defer("entries", "leaves").filter(number__gt=last).order_by("number")
            lines = "".join(json.dumps(told(checkpoint)) + "\n" for checkpoint in missing)
            if lines:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())


def _last_whole_line(file):
    """Return the number of the checkpoint in the last whole line of the file, 0 where there is none, and where that line ends."""
    start = max(0, file.seek(0, os.SEEK_END) - 4096)
    file.seek(start)
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    return json.loads(whole.splitlines()[-1])["number"] if whole else 0, start + len(whole)
