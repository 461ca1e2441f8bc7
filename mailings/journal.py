"""What each worker hands over, line by line on its host's disk, so that a kill -9 leaves in doubt what was in hand and nothing else.

It outlives the process and not the machine: nothing is synced, so a journal of an earlier boot is not believed. It names rows alone.
"""

import fcntl
import os
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Unwritable(Exception):
    """The journal cannot be written: what it could not tell of must not leave."""


class Alive(Exception):
    """The worker whose journal it is holds it: whatever became of its session, it may be sending."""


class Handover(NamedTuple):
    """One message that began to leave: on which decision, and what the mail server made of it, if that was still heard."""

    clause: str
    evidence: str
    decided_at: datetime
    outcome: str = ""
    reply: str = ""


class Journal:
    """The journal of a worker at work; gone at its end, when all that it tells of is settled."""

    def __init__(self, worker):
        self._path, self._file = _path(worker), None

    def open(self):
        """Begin it, and hold it for as long as this process lives."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            while self._file is None:
                file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file).st_nlink:
                    self._file = file
                else:
                    os.close(file)  # taken for a dead one's before it was held, and removed
        except OSError as trouble:
            raise Unwritable(type(trouble).__name__) from None
        self._write("boot", BOOT)

    def _write(self, *words):
        line = "\t".join(map(str, words)).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as trouble:
            raise Unwritable(type(trouble).__name__) from None
        if written != len(line):
            raise Unwritable

    def count(self, at, messages):
        """Say that the gate is about to count a contact at `at` for these messages."""
        self._write("count", at, *(m.pk for m in messages))

    def leave(self, message):
        """Say that the message begins to leave: to be called when the mail server waits for it, before its first byte."""
        self._hand_over(message, "", "")

    def reply(self, message, outcome, reply):
        """Say what the mail server made of it."""
        self._hand_over(message, outcome, reply)

    def _hand_over(self, message, outcome, reply):
        self._write("message", message.pk, message.clause, message.evidence, message.decided_at, outcome, reply)

    def stay(self, message):
        """Take that back: nothing was handed over."""
        self._write("stay", message.pk)

    def close(self, *, keep):
        if not keep:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


class Told(NamedTuple):
    """What a journal tells: the handovers by message, and who was counted when."""

    handovers: dict
    counted: list


def _path(worker):
    return Path(settings.MAIL_JOURNALS) / str(worker)


def workers():
    """Return the workers of whom there is a journal on this host."""
    try:
        return {int(path.name) for path in Path(settings.MAIL_JOURNALS).iterdir() if path.name.isdecimal()}
    except FileNotFoundError:
        return set()


@contextmanager
def taken_over(worker):
    """Yield what a dead worker's journal tells and remove it after; None where there is none on this host, or none to believe.

    Alive where it is held, by its worker or by whoever takes it over at this moment.
    """
    try:
        file = os.open(_path(worker), os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    with os.fdopen(file) as lines:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Alive from None
        yield _told(lines.read())
        _path(worker).unlink(missing_ok=True)


def _told(text):
    boot, *lines = text.split("\n")[:-1] or [""]  # a last line without an end was not acted upon
    if boot != f"boot\t{BOOT}":
        return None
    told = Told({}, [])
    try:
        for what, first, *words in (line.split("\t") for line in lines):
            if what == "count":
                told.counted.append((datetime.fromisoformat(first), set(map(int, words))))
            elif what == "message":
                clause, evidence, decided_at, outcome, reply = words
                told.handovers[int(first)] = Handover(clause, evidence, datetime.fromisoformat(decided_at), outcome, reply)
            else:
                told.handovers.pop(int(first), None)
    except ValueError:
        return None  # a damaged disk: what it cannot tell may have left
    return told
