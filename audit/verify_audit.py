#!/usr/bin/env python3
"""Verifies an exported audit trail without trusting the office: python3 verify_audit.py EXPORT --key HEX [--anchors FILE]

Needs Python 3.10 and the package `cryptography`, and nothing of the office. What it checks is written in docs/AUDIT_FORMAT.md.
Prints one line of JSON; ends with 0 when all is well, with 1 when something is wrong (the first bad place is named), with 2 when
a file cannot be read.
"""

import argparse
import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "privacy-office-audit/1"
SIGNED = ("number", "at", "size", "root", "previous", "key")  # the parts of a checkpoint that its signature covers, in this order
NOTHING = "0" * 64


def leaf_hash(line):
    return hashlib.sha256(b"\0" + line).digest()


def merkle_root(hashes):
    """Return the root over at least one leaf hash (RFC 6962 section 2.1): pairs upwards, an odd last one goes up as it is."""
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        odd = hashes[-1:] if len(hashes) % 2 else []
        hashes = [sha256(b"\1" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2])] + odd  # noqa: B905
    return hashes[0]


def signed_text(checkpoint):
    return "".join(f"{part}\n" for part in (FORMAT, *(checkpoint[name] for name in SIGNED))).encode()


def checkpoint_digest(checkpoint):
    return hashlib.sha256(signed_text(checkpoint)).hexdigest()


def encoded(values):
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def row_digest(row):
    """Return the digest of an opened row; of one whose personal values are erased, by the digest that was left of them."""
    personal = b""
    if "personal" in row:
        personal = personal_digest(row)
    elif "personal_digest" in row:
        personal = bytes.fromhex(row["personal_digest"])
    return hashlib.sha256(encoded(row["public"]) + personal).digest()


def personal_digest(row):
    return hashlib.sha256(bytes.fromhex(row["salt"]) + encoded(row["personal"])).digest()


def commitment(rows):
    """Return the digest, in hex, of the digests of opened rows in their order."""
    return hashlib.sha256(b"".join(map(row_digest, rows))).hexdigest()


def number_of(line):
    """Return an entry's own number, as text; a question mark where it cannot be read."""
    try:
        return str(json.loads(line)["id"])
    except (ValueError, KeyError, TypeError):
        return "?"


class Verifier:
    """Reads the lines of one export in order; `problems` grows as (where, what), first things first."""

    def __init__(self, keys=(), anchors=None):
        self.keys = set(keys)
        self.anchors = None if anchors is None else {anchor["number"]: anchor for anchor in anchors}
        self.problems, self.entries, self.checkpoints, self.opened, self.unsealed = [], 0, 0, 0, 0
        self.lines, self.previous, self.newest_at, self.header, self.unanchored = [], NOTHING, "", None, []

    def wrong(self, where, what):
        self.problems.append((where, what))

    def read(self, lines):
        """Read all lines (bytes, with or without their end) and return self."""
        for line in lines:
            line = line.rstrip(b"\r\n")
            if line.startswith(b'{"at": '):  # an entry; every other line is rare
                self.lines.append(line)
            elif line:
                self.control(line)
        self.end()
        return self

    def control(self, line):
        try:
            said = json.loads(line)
            ((kind, content),) = said.items()
        except (ValueError, AttributeError, TypeError):
            return self.wrong(f"line after entry {self.last()}", "is no line of this format")
        if self.header is None and kind != "header":
            self.wrong("header", "is missing")
            self.header = {}
        read = {"header": self.head, "rows": self.open, "checkpoint": self.checkpoint, "unsealed": self.leave}.get(kind)
        if read is None:
            return self.wrong(f"line after entry {self.last()}", f"says '{kind}', which this format does not know")
        try:
            read(content)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.wrong(f"{kind} after entry {self.last()}", f"cannot be read ({type(error).__name__})")

    def last(self):
        return number_of(self.lines[-1]) if self.lines else f"of checkpoint {self.checkpoints}"

    def head(self, header):
        self.header = header
        if header["format"] != FORMAT:
            self.wrong("header", f"names another format than {FORMAT}")
        if not self.keys:
            self.keys = set(header["keys"])

    def open(self, rows):
        """Compare opened rows with what the entry before them vouches for."""
        entry = json.loads(self.lines[-1])
        self.opened += len(rows)
        if commitment(rows) != entry["commitment"]:
            self.wrong(entry["object"], f"is not what entry {entry['id']} vouches for")

    def checkpoint(self, checkpoint):
        """Compare the entries since the checkpoint before with the signed root, and the checkpoint with the chain and its anchor."""
        self.checkpoints += 1
        number, name = checkpoint["number"], f"checkpoint {checkpoint['number']}"
        if number != self.checkpoints:
            self.wrong(f"checkpoint {self.checkpoints}", f"is missing: {number} stands in its place")
            self.checkpoints = number
        lines, self.lines = self.lines, []
        self.entries += len(lines)
        hashes = list(map(leaf_hash, lines))
        if not hashes or merkle_root(hashes).hex() != checkpoint["root"] or len(hashes) != checkpoint["size"]:
            self.compare(name, checkpoint, lines, hashes)
        if checkpoint["previous"] != self.previous:
            self.wrong(name, "does not follow the one before it")
        self.previous = checkpoint_digest(checkpoint)
        self.signature(name, checkpoint)
        if checkpoint["at"] < self.newest_at:
            self.wrong(name, "is older than the one before it")
        self.newest_at = checkpoint["at"]
        if self.anchors is not None:
            self.anchor(name, checkpoint)

    def compare(self, name, checkpoint, lines, hashes):
        """Name the first entry that is not what was sealed; the leaves kept with the checkpoint tell, if they have its root."""
        kept = base64.b64decode(checkpoint["leaves"])
        leaves = [kept[i : i + 32] for i in range(0, len(kept), 32)]
        numbers = [str(number) for number in checkpoint["entries"]]
        if not leaves or merkle_root(leaves).hex() != checkpoint["root"] or not len(leaves) == len(numbers) == checkpoint["size"]:
            return self.wrong(name, "has another root than its entries, and the hashes kept with it were changed too")
        there = [number_of(line) for line in lines]
        for place, number in enumerate(numbers):
            if place < len(hashes) and hashes[place] == leaves[place]:
                continue
            if number in there:
                moved = hashes[there.index(number)] == leaves[place]
                return self.wrong(f"entry {number}", "stands in another place" if moved else "was changed after it was sealed")
            return self.wrong(f"entry {number}", "is missing: it was sealed")
        self.wrong(f"entry {there[len(numbers)]}", "was put in after the sealing")

    def signature(self, name, checkpoint):
        if checkpoint["key"] not in self.keys:
            return self.wrong(name, "is signed by a key that is not the office's")
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint["key"]))
            key.verify(bytes.fromhex(checkpoint["signature"]), signed_text(checkpoint))
        except (InvalidSignature, ValueError):
            self.wrong(name, "has a signature that does not fit")

    def anchor(self, name, checkpoint):
        anchor = self.anchors.pop(checkpoint["number"], None)
        if anchor is None:
            self.unanchored.append(checkpoint["number"])
        elif any(anchor.get(part) != checkpoint[part] for part in (*SIGNED, "signature")):
            self.wrong(name, "is not the one that was anchored")

    def leave(self, count):
        self.unsealed, self.lines = len(self.lines), []
        if count != self.unsealed:
            self.wrong("unsealed entries", f"are {self.unsealed}, and {count} were announced")

    def end(self):
        if self.header is None:
            self.wrong("header", "is missing")
        if self.lines:
            self.wrong(f"entry {number_of(self.lines[0])}", "stands behind the last checkpoint and is not announced as unsealed")
        for number in self.unanchored:
            if number != self.checkpoints:  # the newest may be on its way to the anchors
                self.wrong(f"checkpoint {number}", "is not among the anchors")
        if self.anchors:
            self.wrong(f"checkpoint {min(self.anchors)}", "is missing: it was anchored")

    def summary(self):
        return {
            "ok": not self.problems,
            "entries": self.entries + self.unsealed,
            "unsealed": self.unsealed,
            "checkpoints": self.checkpoints,
            "opened_rows": self.opened,
            "problems": [f"{where}: {what}" for where, what in self.problems[:20]],
        }


def read_anchors(path):
    with open(path, "rb") as file:  # noqa: PTH123
        return [json.loads(line) for line in file if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", help="the file that `manage.py export_audit` wrote")
    parser.add_argument("--key", action="append", default=[], help="the office's public key in hex, had from another place than the export")
    parser.add_argument("--anchors", help="the anchor file, had from another place than the export")
    options = parser.parse_args()
    try:
        verifier = Verifier(options.key, read_anchors(options.anchors) if options.anchors else None)
        with open(options.export, "rb") as file:  # noqa: PTH123
            verifier.read(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(json.dumps({"ok": False, "problems": [f"cannot be read: {error}"]}))
        return 2
    trusted = {} if options.key else {"warning": "no --key given: the key was taken from the export itself"}
    print(json.dumps({**verifier.summary(), **trusted}, ensure_ascii=False))
    return 0 if verifier.summary()["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
