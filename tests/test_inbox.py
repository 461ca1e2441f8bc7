"""The mailbox is emptied, each mail counts once, and no mail stops the reader: a Maildir, and a real IMAP server."""

import asyncio
import imaplib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from mailbox import Maildir
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import Unrecorded
from customers.models import SupportRequest
from mailings import inbox, tasks
from mailings.models import IncomingMail
from privacy_office.celery import app
from tests.arrived import letter
from tests.make import make_customer
from tests.test_unrecorded import broken_trail

pytestmark = pytest.mark.django_db
EMAIL = "ann@example.org"
NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
LONG = b"From: ann@example.org\r\nSubject: " + b"x" * 100_000 + b"\r\n\r\nx"
HOSTILE = {"nested without end": NESTED, "a header without end": LONG}


@pytest.fixture
def ann():
    return make_customer("ANN")


@pytest.fixture
def maildir(tmp_path, settings):
    settings.INCOMING_MAILDIR = str(tmp_path / "Maildir")
    return Maildir(settings.INCOMING_MAILDIR, create=True)


def in_folder(settings, *parts):
    folder = Path(settings.INCOMING_MAILDIR, *parts)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def read():
    counts, more = inbox.read(60)
    assert not more
    return counts


# A Maildir


def test_what_is_new_and_what_was_seen_is_read_and_then_gone(ann, maildir, settings):
    maildir.add(letter(EMAIL, "one"))
    seen = maildir.add(letter(EMAIL, "two"))
    message = maildir[seen]
    message.set_subdir("cur")
    message.set_flags("S")
    maildir[seen] = message
    maildir.add(letter("mallory@example.net", "three"))
    assert read() == {"support": 2, "unknown": 1}
    assert len(maildir) == 0 and read() == {}
    assert SupportRequest.objects.count() == 2


def test_what_was_read_is_kept_where_a_setting_says_so(ann, maildir, settings, tmp_path):
    settings.INCOMING_DONE = str(tmp_path / "done")
    maildir.add(letter(EMAIL, "one"))
    read()
    assert len(maildir) == 0 and len(list((tmp_path / "done" / "new").iterdir())) == 1


def test_a_mail_that_is_found_again_does_not_count_again(ann, maildir, tmp_path):
    """As after a kill between the commit and the deletion."""
    raw = letter(EMAIL, "one")
    for _ in range(3):
        maildir.add(raw)
        read()
    assert len(maildir) == 0
    assert SupportRequest.objects.count() == IncomingMail.objects.count() == 1


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_is_kept_aside_and_the_others_are_read(ann, maildir, settings, hostile, caplog):
    maildir.add(letter(EMAIL, "before"))
    for _ in range(2):
        Path(settings.INCOMING_MAILDIR, "new", "0hostile").write_bytes(hostile)
        maildir.add(letter(EMAIL, "after"))
        read()
    assert len(maildir) == 0 and in_folder(settings, "aside") == ["0hostile"]
    assert IncomingMail.objects.filter(kind="aside").count() == 1 and SupportRequest.objects.count() == 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1 and "@" not in told[0] and "kept aside" in told[0]


def test_a_mail_that_is_too_large_is_kept_aside_unread(ann, maildir, settings, caplog):
    settings.INCOMING_MOST = 10_000
    maildir.add(letter(EMAIL, "x " * 10_000))
    maildir.add(letter(EMAIL, "after"))
    assert read() == {"aside": 1, "support": 1}
    assert len(in_folder(settings, "aside")) == 1 and "@" not in caplog.text


def test_what_was_kept_aside_goes_after_some_days(maildir, settings):
    for name, days in (("old", 15), ("young", 13)):
        path = Path(settings.INCOMING_MAILDIR, "aside", name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        at = time.time() - days * 24 * 60 * 60
        os.utime(path, (at, at))
    read()
    assert in_folder(settings, "aside") == ["young"]


def test_what_is_no_mail_is_left_alone_and_what_cannot_be_read_is_passed_over(ann, maildir, settings, tmp_path):
    new = Path(settings.INCOMING_MAILDIR, "new")
    (tmp_path / "secret").write_bytes(letter(EMAIL, "secret"))
    (new / "0link").symlink_to(tmp_path / "secret")
    (new / "0folder").mkdir()
    os.mkfifo(new / "0fifo")
    maildir.add(letter(EMAIL, "one"))
    assert read() == {"support": 1}
    assert in_folder(settings, "new") == ["0fifo", "0folder", "0link"]


def test_while_the_trail_is_away_nothing_is_read_and_afterwards_all_of_it(ann, maildir):
    maildir.add(letter(EMAIL, "one"))
    with broken_trail(), pytest.raises(Unrecorded):
        inbox.read(60)
    assert len(maildir) == 1 and not IncomingMail.objects.exists()
    assert read() == {"support": 1}


def test_only_one_reads_at_a_time(ann, maildir):
    maildir.add(letter(EMAIL, "one"))
    with psycopg.connect(**{name: value for name, value in connection.get_connection_params().items() if name in WHERE}) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [inbox.READER])
        assert read() == {} and len(maildir) == 1
        other.execute("SELECT pg_advisory_unlock(%s)", [inbox.READER])
    assert read() == {"support": 1}


WHERE = ("dbname", "user", "password", "host", "port")


def test_when_the_time_is_up_the_rest_is_for_the_next(ann, maildir):
    for number in range(3):
        maildir.add(letter(EMAIL, str(number)))
    assert inbox.read(-1) == ({}, True)
    assert len(maildir) == 3


def test_a_folder_that_is_none_is_told_of_and_stops_nothing(settings, tmp_path, caplog):
    settings.INCOMING_MAILDIR = str(tmp_path / "nothing")
    assert read() == {}
    assert "no Maildir" in caplog.text


def test_the_command_reads_and_counts_and_says_so_where_no_mailbox_is_named(ann, maildir, settings, capsys):
    maildir.add(letter(EMAIL, "one"))
    call_command("read_mail")
    assert json.loads(capsys.readouterr().out) == {"support": 1}
    settings.INCOMING_MAILDIR = ""
    with pytest.raises(CommandError, match="INCOMING_MAILDIR"):
        call_command("read_mail")


def test_it_is_read_each_minute_on_the_queue_of_what_somebody_waits_for(ann, maildir):
    entry = app.conf.beat_schedule["read_mail"]
    assert (entry["task"], entry["schedule"]) == (tasks.read_mail.name, 60.0)
    assert app.conf.task_routes[tasks.read_mail.name] == {"queue": "notices"}
    maildir.add(letter(EMAIL, "one"))
    tasks.read_mail()
    assert len(maildir) == 0


# A real IMAP server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """pymap with a mailbox in memory."""

    def __init__(self, *options):
        self.port = free_port()
        program = [shutil.which("pymap", path=str(Path(sys.executable).parent)), "--host", "127.0.0.1", "--port", str(self.port), *options]
        self.process = subprocess.Popen([*program, "dict", "--demo-user", "office", "--demo-password", "a b/ä"], stderr=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        raise AssertionError("the IMAP server did not come up")

    def __exit__(self, *failure):
        self.process.kill()
        self.process.wait()

    def url(self, scheme="imap", password="a%20b%2F%C3%A4"):
        return f"{scheme}://office:{password}@127.0.0.1:{self.port}/INBOX"


@pytest.fixture(scope="module")
def server():
    with Server("--no-tls") as running:
        yield running


@pytest.fixture
def imap(server, settings):
    """A client of one's own, at an empty mailbox that the office reads too."""
    settings.INCOMING_IMAP_URL = server.url()
    with imaplib.IMAP4("127.0.0.1", server.port, timeout=10) as client:
        client.authenticate("PLAIN", lambda _challenge: "\0office\0a b/ä".encode())
        yield client
        for folder in ("INBOX", "aside", "done"):
            if client.select(folder)[0] == "OK":
                client.store("1:*", "+FLAGS", r"(\Deleted)")
                client.expunge()


def texts(client, folder="INBOX"):
    if client.select(folder, readonly=True)[0] != "OK":
        return []
    numbers = client.search(None, "ALL")[1][0].split()
    return [client.fetch(number.decode(), "(BODY.PEEK[TEXT])")[1][0][1].strip().decode() for number in numbers]


def test_an_imap_mailbox_is_read_and_emptied(ann, imap):
    imap.append("INBOX", None, None, letter(EMAIL, "one"))
    imap.append("INBOX", r"(\Seen)", None, letter(EMAIL, "two"))
    imap.append("INBOX", None, None, letter("mallory@example.net", "three"))
    assert read() == {"support": 2, "unknown": 1}
    assert texts(imap) == [] and read() == {}


def test_an_imap_mail_that_is_found_again_does_not_count_again(ann, imap):
    for _ in range(2):
        imap.append("INBOX", None, None, letter(EMAIL, "one"))
        read()
    assert texts(imap) == [] and SupportRequest.objects.count() == 1


def test_what_was_read_over_imap_is_kept_where_a_setting_says_so(ann, imap, settings):
    settings.INCOMING_DONE = "done"
    imap.append("INBOX", None, None, letter(EMAIL, "one"))
    read()
    assert texts(imap) == [] and texts(imap, "done") == ["one"]


def test_over_imap_too_what_is_hostile_or_too_large_is_kept_aside(ann, imap, settings, caplog):
    settings.INCOMING_MOST = 150_000
    for raw in (letter(EMAIL, "before"), LONG, letter(EMAIL, "x " * 100_000), letter(EMAIL, "after")):
        imap.append("INBOX", None, None, raw)
    assert read() == {"support": 2, "aside": 2}
    assert texts(imap) == [] and len(texts(imap, "aside")) == 2
    assert "@" not in caplog.text


def test_what_was_kept_aside_over_imap_goes_after_some_days(imap, settings):
    imap.create("aside")
    for days in (16, 1):
        at = datetime.now(UTC) - timedelta(days=days)
        imap.append("aside", None, at, letter(EMAIL, f"{days} days"))
    read()
    assert texts(imap, "aside") == ["1 days"]


def test_an_imap_server_that_refuses_or_is_away_is_told_of_and_stops_nothing(ann, server, maildir, settings, caplog):
    maildir.add(letter(EMAIL, "one"))
    settings.INCOMING_IMAP_URL = server.url(password="wrong")
    assert read() == {"support": 1}
    settings.INCOMING_IMAP_URL = f"imap://u:secret@127.0.0.1:{free_port()}/INBOX"
    assert read() == {}
    settings.INCOMING_IMAP_URL = "imap://u:secret@mail.example/INBOX"
    assert read() == {}
    assert "no imaps:// address" in caplog.text and "secret" not in caplog.text and caplog.text.count("cannot be read") == 3


def test_an_imap_server_that_says_nothing_is_not_waited_for_without_end(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.MAIL_TIMEOUTS = {**settings.MAIL_TIMEOUTS, "command": 0.5}
        settings.INCOMING_IMAP_URL = f"imap://u:p@127.0.0.1:{silent.getsockname()[1]}/INBOX"
        began = time.monotonic()
        assert read() == {}
        assert time.monotonic() - began < 5


def make_certificate(folder):
    """Return the paths of a certificate for this machine that nobody else knows, and of its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem", folder / "key.pem"


class Tunnel:
    """Takes TLS off before the IMAP server, as a mail host does."""

    def __init__(self, certificate, key, port):
        self.behind, self.context = port, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()

    def __enter__(self):
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=[self.serve()])
        self.thread.start()
        self.ready.wait(10)
        return self

    def __exit__(self, *failure):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)
        self.loop.close()

    async def serve(self):
        self.ended = asyncio.Event()
        async with await asyncio.start_server(self.take, "127.0.0.1", 0, ssl=self.context) as listening:
            self.port = listening.sockets[0].getsockname()[1]
            self.ready.set()
            await self.ended.wait()

    async def take(self, reader, writer):
        server, to_server = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(copy(reader, to_server), copy(server, writer))


async def copy(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def test_over_tls_a_server_is_read_only_where_its_certificate_is_known(ann, imap, server, settings, tmp_path, monkeypatch, caplog):
    certificate, key = make_certificate(tmp_path)
    imap.append("INBOX", None, None, letter(EMAIL, "one"))
    with Tunnel(certificate, key, server.port) as tunnel:
        settings.INCOMING_IMAP_URL = server.url("imaps").replace(str(server.port), str(tunnel.port))
        assert read() == {} and "SSLCertVerificationError" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read() == {"support": 1}
