"""A whole office for a test: its own database, broker and mail server, worked through manage.py as people work it."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from privacy_office import keys, servers
from tests.sink import Sink

ROOT = Path(__file__).resolve().parents[2]
SERVERS_AND_KEYS = {"DATABASE_URL", "REDIS_URL", "KEYS_DIR", *keys.NAMES}
QUEUES = ["-Q", "celery,notices,drain"]
LOGGER = ["--logger-class", "privacy_office.gunicorn.Logger"]
POLICY = ROOT.parent / "shared" / "policy" / "privacy_policy.vi.txt"


class Office:
    """Commands of the checkout at `root`; without `servers` each joins or starts the checkout's own, as on a machine that has none."""

    def __init__(self, folder, sink, redis=None, root=ROOT, **servers):
        self.folder, self.sink, self.redis, self.root = folder, sink, redis, root
        theirs = {name: value for name, value in os.environ.items() if servers or name not in SERVERS_AND_KEYS}
        self.env = {**theirs, **servers, "EMAIL_URL": sink.url, "BASE_URL": "https://office.example"}
        self.env["AUDIT_ANCHORS"] = str(folder / "anchors.jsonl")
        self.env["ERASURE_JOURNAL"] = str(folder / "erasures.jsonl")
        self.env["MAIL_JOURNALS"] = str(folder / "journals")

    def manage(self, *words, check=True, **env):
        """Run a command as an operator would; return what it printed. Errors carry what it said."""
        done = subprocess.run(
            [sys.executable, self.root / "manage.py", *map(str, words)],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=900,
        )
        with (self.folder / "commands.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout if check else done

    def json(self, *words, **env):
        """Return the JSON in the last line that a command printed."""
        return json.loads(self.manage(*words, **env).splitlines()[-1])

    def imported(self, export_folder):
        files = [word for kind in ("customers", "services", "consents") for word in (f"--{kind}", export_folder / f"{kind}.csv")]
        return self.json("import_customers", *files, "--rejected", export_folder / "rejected.csv")

    def staff(self):
        """Make those whom a campaign needs."""
        self.manage("create_staff", "marta", "--role", "marketer")
        self.manage("create_staff", "albert", "--role", "approver")

    def campaign(self, subject="Ưu đãi tháng này", wait=True, **env):
        body = self.folder / "body.md"
        body.write_text("Kính gửi {full_name},\n\n**Ưu đãi** của {company}.\n", encoding="utf-8")
        words = ["--purpose", "promotions", "--subject", subject, "--body", body, "--created-by", "marta", "--approved-by", "albert"]
        return self.json("send_campaign", *words, *(["--wait"] if wait else []), **env)

    @contextmanager
    def started(self, *words):
        """Run a process of the office beside the test; it is ended with its children, and its words are kept in the log."""
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def worker(self, name="one"):
        """Run a worker of two processes with a beat of its own; told to end, it lets go at once, as in production."""
        self.env["REMAP_SIGTERM"] = "SIGQUIT"
        beat = ["-B", "--schedule", str(self.folder / f"beat-{name}"), "--hostname", name]
        return self.started("-m", "celery", "-A", "privacy_office", "worker", *QUEUES, "-c", "2", "-l", "WARNING", *beat)

    @contextmanager
    def web(self):
        """Run the web server; yield a function that posts a form's text to a path and returns the status."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.env["BEHIND_PROXY"] = "1"
        headers = {"Host": "office.example", "X-Forwarded-Proto": "https", "Content-Type": "application/x-www-form-urlencoded"}

        def ask(method, path, body=None):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with closing(connection):
                connection.request(method, path, body, headers)
                return connection.getresponse().status

        def up():
            with suppress(ConnectionRefusedError):
                return ask("GET", "/healthz") == 200

        with self.started("-m", "gunicorn", "privacy_office.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", *LOGGER):
            end = time.monotonic() + 60
            while not up():
                assert time.monotonic() < end, "the web server did not come up"
                time.sleep(0.1)
            yield lambda path, body: ask("POST", path, body)

    def query(self, sql, *values):
        with psycopg.connect(self.env["DATABASE_URL"]) as db:
            return db.execute(sql, values).fetchall()


def on_test_server(name):
    """Return the address of a database on the test run's server."""
    return urlsplit(os.environ["OFFICE_TEST_SERVER"])._replace(path=f"/{name}").geturl()


def on_server(statement):
    with psycopg.connect(on_test_server("postgres"), autocommit=True) as db:
        db.execute(statement)


@pytest.fixture(scope="session")
def template():
    """The name of a database with tables, set up, and the policy published as number 1."""
    os.environ.setdefault("OFFICE_TEST_SERVER", os.environ["DATABASE_URL"])
    name = f"template_{secrets.token_hex(4)}"
    on_server(f"CREATE DATABASE {name}")
    text = POLICY if POLICY.exists() else Path(__file__).with_name("policy.txt")
    env = {**os.environ, "DATABASE_URL": on_test_server(name)}
    for words in (["migrate", "-v0"], ["setup"], ["load_policy", text, "--number", "1", "--language", "vi", "--publish"]):
        subprocess.run([sys.executable, ROOT / "manage.py", *words], env=env, check=True, capture_output=True)
    yield name
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def office(template, tmp_path):
    name = f"office_{secrets.token_hex(4)}"
    on_server(f"CREATE DATABASE {name} TEMPLATE {template}")
    redis = servers.Redis(
        servers.redis_program(), data=tmp_path / "redis", sockets=str(_short(tmp_path)), log=tmp_path / "redis.log", account={},
        password=secrets.token_hex(8), durable=True,
    )  # fmt: skip
    redis.start()
    with Sink() as sink:
        yield Office(tmp_path, sink, redis, DATABASE_URL=on_test_server(name), REDIS_URL=redis.url)
    redis.stop()
    shutil.rmtree(redis.sockets)
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


def _short(tmp_path):
    """Return a folder for a socket: a test's own may have too long a path for one."""
    folder = Path(tmp_path.anchor) / "tmp" / f"po-{secrets.token_hex(4)}"
    folder.mkdir(0o700)
    return folder
