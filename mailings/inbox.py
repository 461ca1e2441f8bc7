"""Takes mails from a Maildir or an IMAP mailbox, each once. Refuses to wait without end, and to stop at one mail.

What a mail brings about is committed with its mark before it is taken out of the mailbox: what is found there again has its mark already.
"""

import imaplib
import logging
import os
import re
import ssl
import stat
import time
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from audit.unrecorded import Unrecorded
from mailings import incoming
from privacy_office.locks import alone

log = logging.getLogger(__name__)
READER = 7_236_041_881  # one reader at a time
ASIDE = "aside"


class Unreadable(Exception):
    """The mailbox cannot be had; nothing is lost, the next run tries again."""


class Gone(Exception):
    """One mail cannot be had, or not be moved; the others can."""


@contextmanager
def one_file():
    try:
        yield
    except OSError as trouble:
        raise Gone(type(trouble).__name__) from None


class Maildir:
    """A folder with new/ and cur/, into which a mail server moves each mail when it is whole."""

    def __init__(self, path):
        self.path = Path(path)
        if not (self.path / "new").is_dir():
            raise Unreadable("INCOMING_MAILDIR is no Maildir")

    def waiting(self):
        """Return the names of what waits, oldest first."""
        found = (entry for folder in ("new", "cur") if (self.path / folder).is_dir() for entry in os.scandir(self.path / folder))
        return [entry.path for entry in sorted(found, key=lambda entry: entry.name) if entry.is_file(follow_symlinks=False)]

    def read(self, name):
        """Return a mail's bytes, None where it is too large, or no file any more."""
        with one_file(), open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            told = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(told.st_mode) and told.st_size <= settings.INCOMING_MOST else None

    def done(self, name):
        if settings.INCOMING_DONE:
            self._move(name, Path(settings.INCOMING_DONE) / "new")
        else:
            with one_file():
                Path(name).unlink()

    def aside(self, name):
        self._move(name, self.path / ASIDE)

    def _move(self, name, folder):
        with one_file():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(name).replace(folder / Path(name).name)

    def forget(self, before):
        """Delete what was kept aside before a moment."""
        for entry in os.scandir(self.path / ASIDE) if (self.path / ASIDE).is_dir() else ():
            if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                Path(entry.path).unlink()

    def close(self):
        pass


class Imap:
    """A mailbox on an IMAP server (RFC 3501), over TLS unless it is on this machine."""

    def __init__(self, url):
        parts = urlsplit(url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme not in ("imap", "imaps") or (parts.scheme == "imap" and not local):
            raise Unreadable("INCOMING_IMAP_URL is no imaps:// address")
        timeout = settings.MAIL_TIMEOUTS["command"]
        if parts.scheme == "imaps":
            self.imap = imaplib.IMAP4_SSL(parts.hostname, parts.port or 993, ssl_context=ssl.create_default_context(), timeout=timeout)
        else:
            self.imap = imaplib.IMAP4(parts.hostname, parts.port or 143, timeout=timeout)
        try:
            self._sign_in(unquote(parts.username or ""), unquote(parts.password or ""))
            self._select(unquote(parts.path.strip("/")) or "INBOX")
        except BaseException:
            self.close()
            raise

    def _sign_in(self, name, password):
        if "AUTH=PLAIN" in self.imap.capabilities:  # RFC 4616: in UTF-8, which LOGIN does not know
            self.imap.authenticate("PLAIN", lambda _challenge: f"\0{name}\0{password}".encode())
        else:
            self.imap.login(name, password)

    def _select(self, folder):
        self._ok(self.imap.select(quoted(folder)))

    def _ok(self, answer):
        status, data = answer
        if status != "OK":
            raise Unreadable("the IMAP server says no")
        return data

    def _search(self, *criteria):
        return self._ok(self.imap.uid("SEARCH", *criteria))[0].decode().split()

    def waiting(self):
        return self._search("UNDELETED")

    def read(self, uid):
        told = self._ok(self.imap.uid("FETCH", uid, "(RFC822.SIZE)"))
        size = next((int(found[1]) for line in told if (found := re.search(rb"RFC822\.SIZE (\d+)", flat(line)))), None)
        if size is None or size > settings.INCOMING_MOST:
            return None
        found = self._ok(self.imap.uid("FETCH", uid, "(BODY.PEEK[])"))
        return next((part[1] for part in found if isinstance(part, tuple)), None)

    def done(self, uid):
        if settings.INCOMING_DONE:
            self._copy(uid, settings.INCOMING_DONE)
        self._delete(uid)

    def aside(self, uid):
        self._copy(uid, ASIDE)
        self._delete(uid)

    def _copy(self, uid, folder):
        self.imap.create(quoted(folder))  # no matter where it is there already
        self._ok(self.imap.uid("COPY", uid, quoted(folder)))

    def _delete(self, uid):
        self._ok(self.imap.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))

    def forget(self, before):
        self._ok(self.imap.expunge())
        if self.imap.select(quoted(ASIDE))[0] == "OK":
            for uid in self._search("BEFORE", f"{before:%d}-{MONTHS[before.month - 1]}-{before:%Y}"):
                self._delete(uid)
            self._ok(self.imap.expunge())

    def close(self):
        with suppress(imaplib.IMAP4.error, OSError):
            self.imap.logout()
        with suppress(OSError):
            self.imap.shutdown()


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # whatever the language of the machine


def quoted(folder):
    escaped = folder.replace("\\", "\\\\").replace('"', r"\"")
    return f'"{escaped}"'


def flat(line):
    return b" ".join(line) if isinstance(line, tuple) else line or b""


def opened():
    """Yield the mailboxes that the settings name."""
    if settings.INCOMING_MAILDIR:
        yield Maildir, settings.INCOMING_MAILDIR
    if settings.INCOMING_IMAP_URL:
        yield Imap, settings.INCOMING_IMAP_URL


def read(seconds):
    """Read what waits until nothing is left or the time is up; return how many of each kind, and whether there may be more."""
    end, counts, more = time.monotonic() + seconds, {}, False
    with alone(READER) as mine:
        for kind, address in opened() if mine else ():
            try:
                with closing(kind(address)) as mailbox:
                    more |= _empty(mailbox, end, counts)
                    mailbox.forget(timezone.now() - timedelta(days=settings.INCOMING_ASIDE_DAYS))
            except (Unreadable, imaplib.IMAP4.error, OSError) as trouble:
                told = str(trouble) if isinstance(trouble, Unreadable) else type(trouble).__name__
                log.error("The mailbox cannot be read: %s. The next run tries again.", told)
    return counts, more


def _empty(mailbox, end, counts):
    """Read one mailbox; return whether the time was up before its end."""
    for name in mailbox.waiting():
        if time.monotonic() > end:
            return True
        try:
            kind = _take(mailbox, name)
        except Gone as trouble:
            log.warning("A mail could not be read or moved: %s.", trouble)
            continue
        if kind:
            counts[kind] = counts.get(kind, 0) + 1
    return False


def _take(mailbox, name):
    """Take one mail; return what for, None where it was taken before. Whatever is wrong with it, the others are read."""
    raw = mailbox.read(name)
    if raw is None:
        log.warning("A mail was kept aside unread: too large.")
        mailbox.aside(name)
        return incoming.Kind.ASIDE
    try:
        kind, new = incoming.take(raw)
    except (Unrecorded, OperationalError, InterfaceError):
        raise  # the database's trouble is not the mail's: it stays, and is read later
    except Exception as error:
        # Whatever it is, its words may hold what it stumbled over.
        log.warning("A mail was kept aside: %s.", type(error).__name__)
        kind, new = incoming.set_aside(raw)
    mailbox.aside(name) if kind == incoming.Kind.ASIDE else mailbox.done(name)
    return kind if new else None
