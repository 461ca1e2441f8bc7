"""deploy/ as a server would have it: the units' own commands are started, behind the real nginx with the site's own file."""

import configparser
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import Celery
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from privacy_office import health, keys, metrics
from tests.live.conftest import ROOT, _short, on_server

DEPLOY = ROOT / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
TOKEN = "0f3a" * 8

pytestmark = pytest.mark.fault


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(sign, seconds=60):
    end = time.monotonic() + seconds
    while not (found := sign()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


class Server:
    """A machine as deploy/ thinks of it, in a folder: what the files name elsewhere lies there, the rest is as they say."""

    def __init__(self, office, folder):
        self.office, self.folder, self.run = office, folder, _short(folder)
        self.places = {
            "/srv/office/.venv/bin/python": sys.executable,
            "/srv/office": str(ROOT),
            "/etc/office": str(folder / "etc"),
            "/run/office": str(self.run),
            "/var/lib/office": str(folder / "state"),
            "%d": str(folder / "credentials"),
        }
        for name in ("etc", "state", "credentials", "log"):
            (folder / name).mkdir()

    def placed(self, text):
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text

    def unit(self, name):
        """Return a unit's [Service] as {name: its values}, in the places of this machine."""
        lines = self.placed((DEPLOY / name).read_text()).splitlines()
        found = {}
        for line in lines:
            if "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                found.setdefault(key, []).append(value)
        return found

    def environment(self, unit):
        """Return what systemd would give the unit's processes: nothing of ours but where the servers are."""
        given = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore::UserWarning"}  # Celery's, of running as root
        lines = self.placed((DEPLOY / "environment").read_text()).splitlines()
        for line in [*(line for line in lines if not line.startswith("#")), *unit["Environment"]]:
            name, _, value = line.partition("=")
            given[name] = shlex.split(value)[0]
        for name in (credential.partition(":")[0] for credential in unit["LoadCredential"]):
            (self.folder / "credentials" / name).write_text(os.environ[name])
        servers = {name: self.office.env[name] for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL")}
        assert given.keys() > servers.keys()
        return given | servers

    @contextmanager
    def started(self, name, **more):
        """Start a unit's own command; at the end stop it with its own signal, and see that it went in order."""
        unit = self.unit(name)
        command, folder = shlex.split(unit["ExecStart"][0]), unit["WorkingDirectory"][0]
        env = self.environment(unit) | more | {"NOTIFY_SOCKET": str(self.run / "notify")}
        with (self.folder / "log" / name).open("wb") as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(env["NOTIFY_SOCKET"])
            notified.settimeout(60)
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
            if unit["Type"] == ["notify"]:
                assert b"READY=1" in notified.recv(1000)
            (self.run / "notify").unlink()
        try:
            yield process
            process.send_signal(signal.Signals[unit["KillSignal"][0]])
            assert process.wait(int(unit["TimeoutStopSec"][0])) == 0, self.said(name)
        finally:
            process.kill()
            process.wait()

    def said(self, name):
        return (self.folder / "log" / name).read_text()

    def command(self, text, process):
        """Run a unit's ExecReload or the like."""
        subprocess.run([word.replace("$MAINPID", str(process.pid)) for word in shlex.split(text)], check=True)


@pytest.fixture
def server(office, tmp_path):
    machine = Server(office, tmp_path)
    yield machine
    shutil.rmtree(machine.run)


# The units


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(name, tmp_path, server):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here (apt-get install systemd)")
    placed = tmp_path / name
    placed.write_text(server.placed((DEPLOY / name).read_text()).replace(server.places["%d"], "%d"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", placed], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_are_those_of_the_procfile_and_keep_to_themselves():
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert [f"office-{name}.service" for name in sorted(procfile)] == UNITS
    hardening = {(DEPLOY / name).read_text().partition("# What it may touch")[2] for name in UNITS}
    assert len(hardening) == 1 and "ProtectSystem=strict" in hardening.pop()
    for name in UNITS:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.read(DEPLOY / name)
        assert unit["Service"]["Restart"] == "always" and unit["Unit"]["StartLimitIntervalSec"] == "0"
        assert re.findall(r"LoadCredential=(\w+):", (DEPLOY / name).read_text()) == list(keys.NAMES)
    assert f"--queues {','.join(metrics.QUEUES)} " in (DEPLOY / "office-worker.service").read_text()


def test_every_name_of_the_environment_file_is_explained():
    names = re.findall(r"(?m)^(\w+)=", (DEPLOY / "environment").read_text())
    told = (ROOT / "docs" / "OPERATIONS.md").read_text()
    assert len(names) > 10 and not [n for n in names if f"`{n}`" not in told and f"`_{n.removeprefix('COMPANY_')}`" not in told]
    assert not [n for n in metrics.NUMBERS if f"`office_{n}" not in told]
    assert not [part for part in health.CHECKS if f"| `{part}` |" not in told]


def test_an_operators_command_has_the_services_environment_and_keys_and_their_user(server):
    settings = server.placed((DEPLOY / "environment").read_text())
    values = {name: server.office.env[name] for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL")}
    for name, value in values.items():
        settings = re.sub(rf"(?m)^{name}=.*$", f"{name}={shlex.quote(value)}", settings)
    (server.folder / "etc" / "environment").write_text(settings)
    keys.make(server.folder / "etc" / "keys")
    for name in keys.NAMES:
        (server.folder / "etc" / "keys" / name).write_text(os.environ[name] + "\n")
    script = server.placed((DEPLOY / "manage").read_text())
    assert "--reuid=office --regid=office --init-groups" in script
    script = script.replace("--reuid=office --regid=office --init-groups", f"--reuid={os.geteuid()} --regid={os.getegid()} --keep-groups")
    (server.folder / "manage").write_text(script)
    command = ["sh", server.folder / "manage", "verify_audit"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_worker_answers_and_ends_warmly_and_the_timetable_is_kept(server):
    url = server.office.env["REDIS_URL"].replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    with server.started("office-worker.service"), server.started("office-beat.service"), Celery(broker=url) as app:
        wait_for(lambda: app.control.ping(timeout=0.5))
        wait_for(lambda: list((server.folder / "state").glob("beat*")))
    assert not re.search(r"Traceback|ERROR|\[error", server.said("office-worker.service") + server.said("office-beat.service"))


# The web server, behind nginx


def certificate(folder, name):
    """Write a certificate of its own and its key where the site looks for them."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
    folder.mkdir()
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(key.private_bytes(*private))


class Nginx:
    """The real nginx with the site's file, and a browser for it."""

    HOST = "office.example.com"

    def __init__(self, server):
        self.folder, self.plain, self.secure = server.folder, free_port(), free_port()
        certificate(server.folder / "etc" / "tls", self.HOST)
        site = server.placed((DEPLOY / "nginx.conf").read_text()).replace("/var/log/nginx", str(server.folder / "log"))
        site = re.sub(r"(?m)^ *listen \[::\].*\n", "", site)
        site = site.replace("listen 80;", f"listen 127.0.0.1:{self.plain};").replace("listen 443 ", f"listen 127.0.0.1:{self.secure} ")
        (self.folder / "site.conf").write_text(site)
        paths = "".join(f"{kind}_temp_path {self.folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are closed to others
        (self.folder / "nginx.conf").write_text(
            f"{user} daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/log/nginx.log warn; worker_processes 1;\n"
            f"events {{}}\nhttp {{ {paths} include {self.folder}/site.conf; }}\n"
        )
        self.command = ["nginx", "-e", str(self.folder / "log" / "nginx.log"), "-c", str(self.folder / "nginx.conf")]

    @contextmanager
    def started(self):
        done = subprocess.run([*self.command, "-t"], capture_output=True, text=True)
        assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr
        process = subprocess.Popen(self.command)
        try:
            wait_for(lambda: self.listens(self.secure))
            yield
        finally:
            process.terminate()
            process.wait(10)

    def listens(self, port):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True

    def ask(self, path, method="GET", body=None, secure=True, source="127.0.0.1", **headers):
        """Return an answer and its text."""
        trusted = ssl.create_default_context(cafile=self.folder / "etc" / "tls" / "fullchain.pem")
        options = {"timeout": 40, "source_address": (source, 0)}
        if secure:
            connection = http.client.HTTPSConnection("127.0.0.1", self.secure, context=trusted, **options)
            trusted.check_hostname = False  # we come by number
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.plain, **options)
        try:
            connection.request(method, path, body, {"Host": self.HOST, **headers})
            answer = connection.getresponse()
            return answer, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def status(self, path, **how):
        return self.ask(path, **how)[0].status

    @property
    def written(self):
        return "".join(path.read_text() for path in (self.folder / "log").iterdir())


@pytest.fixture
def nginx(server):
    if not shutil.which("nginx"):
        pytest.skip("no nginx here (apt-get install nginx)")
    site = Nginx(server)
    with site.started():
        yield site


def test_the_site_leads_to_the_office_and_tells_it_who_asks(server, nginx):
    with server.started("office-web.service", METRICS_TOKEN=TOKEN):
        wait_for(lambda: nginx.status("/healthz") == 200)
        answer, text = nginx.ask("/healthz")
        number = answer.headers["X-Request-ID"]
        assert text == "ok\n" and re.fullmatch("[0-9a-f]{32}", number)
        wait_for(lambda: number in nginx.written)  # it writes after it has answered
        assert "nginx/" not in answer.headers["Server"]
        moved, _ = nginx.ask("/my/?a=1", secure=False)
        assert (moved.status, moved.headers["Location"]) == (301, "https://office.example.com/my/?a=1")
        # Inside and outside
        assert nginx.status("/readyz") == 200 and nginx.status("/metrics") == 401
        assert {nginx.status(path, source="127.0.0.2") for path in ("/readyz", "/metrics")} == {403}
        # From whichever of the workers, what the database and the broker say
        scrapes = [nginx.ask("/metrics", Authorization=f"Bearer {TOKEN}") for _ in range(6)]
        counts = {re.sub(r"(?m)^.*_seconds .*$", "", text) for _answer, text in scrapes}
        assert (
            {answer.status for answer, _text in scrapes} == {200} and len(counts) == 1 and 'office_part_ok{part="keys"} 1.0' in counts.pop()
        )
        # Who asks, whatever they say of themselves
        page, text = nginx.ask("/staff/sign-in/", source="127.0.0.7")
        (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text))
        form = f"csrfmiddlewaretoken={token}&login=nobody&password=wrong-wrong-wrong"
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://office.example.com"}
        lies = {"X-Forwarded-For": "6.6.6.6", "X-Client-Port": "6", "X-Forwarded-Proto": "http"}
        told = {"Cookie": page.headers["Set-Cookie"].partition(";")[0], **kind, **lies}
        answer, text = nginx.ask("/staff/sign-in/", method="POST", body=form, source="127.0.0.7", **told)
        assert answer.status == 200, text
        ((detail,),) = server.office.query("SELECT detail FROM audit_entry WHERE action = 'staff.sign_in.refused'")
        assert detail["address"] == "127.0.0.7" and detail["port"] > 1024
        # A scan comes through, what is far too big does not
        assert nginx.status("/my/corrections/", method="POST", body=b"a" * 11 * 2**20) != 413
        assert nginx.status("/my/corrections/", method="POST", body=b"a" * 13 * 2**20) == 413
        # Addresses that are keys
        assert nginx.status(f"/link/sign-in/{TOKEN}/") == 404
    assert nginx.status(f"/unsubscribe/{TOKEN}/?x={TOKEN}") == 502, "the office is closed"
    wait_for(lambda: "/link/[key]" in nginx.written and "/unsubscribe/[key]" in nginx.written)  # it writes after it has answered
    assert TOKEN not in nginx.written
    assert '"route": "link/sign-in/<str:token>/"' in server.said("office-web.service")


class Load:
    """Asks for pages without a pause, from several sides, and counts what came."""

    def __init__(self, ask, sides=3):
        self.ask, self.seen, self.ended = ask, Counter(), threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(sides)]

    def _ask(self):
        while not self.ended.is_set():
            try:
                self.seen[self.ask()] += 1
            except (OSError, http.client.HTTPException) as lost:
                self.seen[type(lost).__name__] += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *problem):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def children(process):
    return {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def test_no_request_is_lost_while_the_web_server_takes_up_new_code_or_loses_a_worker(server, nginx):
    with server.started("office-web.service") as web:
        wait_for(lambda: nginx.status("/healthz") == 200)
        first = children(web)
        with Load(lambda: nginx.status("/policy/1/")) as load:
            wait_for(lambda: load.seen[200] > 20)
            server.command(server.unit("office-web.service")["ExecReload"][0], web)
            second = wait_for(lambda: not children(web) & first and len(children(web)) == 2 and children(web))
            after_reload = load.seen[200]
            wait_for(lambda: load.seen[200] > after_reload + 20)
            os.kill(min(second), signal.SIGTERM)
            wait_for(lambda: min(second) not in children(web) and len(children(web)) == 2)
            after_term = load.seen[200]
            wait_for(lambda: load.seen[200] > after_term + 20)
        assert set(load.seen) == {200}, load.seen


class Socket:
    """The web server's own socket, as the proxy speaks to it."""

    def __init__(self, server):
        self.path, self.connection = server.run / "web.sock", socket.socket(socket.AF_UNIX)
        self.connection.settimeout(30)

    def __enter__(self):
        try:
            self.connection.connect(str(self.path))
        except OSError:
            self.connection.close()
            raise
        return self

    def __exit__(self, *problem):
        self.connection.close()

    def send(self, method, where, *more):
        lines = [f"{method} {where} HTTP/1.0", "Host: office.example.com", "X-Forwarded-Proto: https", *more, "", ""]
        self.connection.sendall("\r\n".join(lines).encode())

    def answer(self):
        """Return the status and the text."""
        said = b"".join(iter(lambda: self.connection.recv(65536), b"")).decode()
        return int(said.split()[1]), said.partition("\r\n\r\n")[2]


def ask(server, where):
    with Socket(server) as asked:
        asked.send("GET", where)
        return asked.answer()


def lives(server):
    with suppress(OSError):
        return ask(server, "/healthz") == (200, "ok\n")


def test_a_request_under_way_is_answered_though_the_web_server_is_stopped(server):
    with server.started("office-web.service") as web:
        wait_for(lambda: lives(server))
        with Socket(server) as half:
            half.send("POST", "/my/corrections/", "Content-Length: 1")
            time.sleep(0.5)
            web.send_signal(signal.SIGTERM)
            wait_for(lambda: not lives(server))
            half.connection.sendall(b"a")
            assert half.answer()[0] == 403, "no form of ours, but an answer"


def test_readiness_says_which_server_is_away_and_nothing_of_where_it_is(server):
    """Each server really goes: the probes of a running office tell it, and liveness stays."""
    well = dict.fromkeys(("database", "migrations", "keys", "audit", "broker", "mail"), "ok")
    name = urlsplit(server.office.env["DATABASE_URL"]).path[1:]
    with server.started("office-web.service"):
        wait_for(lambda: lives(server))
        assert (status := ask(server, "/readyz"))[0] == 200 and json.loads(status[1]) == well
        server.office.redis.stop()
        assert (status := ask(server, "/readyz"))[0] == 503 and json.loads(status[1]) == well | {"broker": "away"}
        assert ask(server, "/policy/1/")[0] == 200
        server.office.redis.start()
        assert ask(server, "/readyz")[0] == 200
        on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        on_server(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        gone = {"database": "away", "migrations": "unknown", "keys": "unknown", "audit": "unknown"}
        assert (status := ask(server, "/readyz"))[0] == 503 and json.loads(status[1]) == well | gone
        assert lives(server)
        on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert ask(server, "/readyz")[0] == 200
    assert name not in server.said("office-web.service")
