"""PostgreSQL and Redis for a first look and for tests, where the environment names none: found, started, shared, stopped.

Refuses to serve two holders from one folder, and to leave a server behind. What a server is stands in servers.py.
Linux only; a real office names its own servers in DATABASE_URL and REDIS_URL.
"""

import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from privacy_office import keys
from privacy_office.servers import (
    Postgres,
    Redis,
    Unavailable,
    give,
    handled,
    major_version,
    postgres_programs,
    redis_program,
)

VAR = Path(__file__).resolve().parent.parent / "var"
JOIN_PATIENCE = 60  # seconds to wait for our turn, or for the holder to publish
LEAVE_PATIENCE = 30  # seconds the holder waits for those who joined
SOCKET_ROOM = 107 - len("/po-xxxxxxxx/.s.PGSQL.5432")  # a UNIX socket's path has 107 bytes
SERVER_NAMES = {"postgres", "redis-server", "valkey-server"}


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
            programs = postgres_programs(major_version(data), data)
            if not _reaches(account, programs / "postgres"):
                package = programs.parent.parent  # a wheel's libraries lie beside its package, and are looked for there
                package = package if package.with_name(f"{package.name}.libs").exists() else programs.parent
                programs = _copied(package, folder) / programs.relative_to(package)
            running.postgres = Postgres(programs, data=data, log=home / "log/postgresql.log", **common)
            stack.callback(running.postgres.stop)
            running.postgres.start()
        if "REDIS_URL" in wanted:
            program = redis_program()
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
            give(account, folder)
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

    with handled(leave, [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]):
        yield


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
