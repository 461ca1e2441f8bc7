"""What ./run does: keys, servers, tables, then web, worker, beat and a mailbox until Ctrl-C, and nothing left behind.

Refuses to run twice in one clone, and to go on when one of its processes ends: then all end.
"""

import argparse
import fcntl
import http.client
import io
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import django
import environ
import honcho.manager
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from honcho.compat import ProcessManager
from honcho.environ import parse_procfile
from honcho.printer import Printer

from audit.unrecorded import Unrecorded
from privacy_office import embedded, keys

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
LOG = VAR / "log" / "run.log"
PATIENCE = 10  # seconds from the first process that ended to the killing of those that did not


class Refused(Exception):
    """Why the office does not start, in one line."""


def main(arguments=None):
    """Run the office; return 0 when it was told to end, 1 when something stood in its way."""
    parser = argparse.ArgumentParser(prog="./run", description="Starts the privacy office on this machine.")
    parser.add_argument("--port", type=_port, default=8000, metavar="N", help="where the web server listens (8000)")
    parser.add_argument("--empty", action="store_true", help="without the demo: no invented customers, no readable mailbox")
    parser.add_argument("--setup-only", action="store_true", help="prepare everything, start nothing")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    sys.stdout.reconfigure(line_buffering=True)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, ctrl_c)
    try:
        with ExitStack() as stack:
            return _office(options, stack)
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    except (Refused, Unrecorded, embedded.Unavailable, ImproperlyConfigured, CommandError) as problem:
        return _complain(problem)
    except DatabaseError as problem:
        return _complain(f"The database: {problem}")
    except OSError as problem:
        return _complain(f"{problem.strerror or problem}: {problem.filename or VAR}")


class CtrlC:
    """A Ctrl-C that is not forgotten: Python drops its exception inside a destructor or an import's callback; the next step asks."""

    pressed = False

    def __call__(self, number, frame):
        self.pressed = True
        self.obey()

    def obey(self):
        if self.pressed:
            raise KeyboardInterrupt


ctrl_c = CtrlC()


def _port(text):
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def _complain(problem):
    print(" ".join(str(problem).split()), file=sys.stderr)
    return 1


def _office(options, stack):
    environ.Env.read_env(ROOT / ".env")
    stack.enter_context(_only_one(options))
    embedded.clear()
    if not options.setup_only:
        _need_port(options.port)
    mailbox_port = _environment(options)
    with _step("Keys"):
        keys.make(keys.folder())
    with _step("Servers"):
        servers = stack.enter_context(embedded.servers(alone=True))
    with _step("Tables"):
        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
    with _step("Purposes and roles"):
        call_command("setup", verbosity=0)
        apps.get_model("privacy_office", "Canary").check_keys()
    first_sign_in = _first_sign_in()
    connections.close_all()
    if options.setup_only:
        print("Ready. ./run opens the office.")
        return 0
    ctrl_c.obey()
    names = ("BASE_URL", "EMAIL_URL", "DEMO", "LOCAL_MAILBOX")
    servers.publish(**{name: os.environ[name] for name in names if name in os.environ})
    return _open(options, mailbox_port, first_sign_in)


@contextmanager
def _only_one(options):
    """Hold var/run.lock, which tells who runs here; a record lock, so that no process we start can keep it."""
    VAR.mkdir(0o700, exist_ok=True)
    with (VAR / "run.lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise Refused(f"./run is running here already ({file.read().strip()}): stop that one first.") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}" + ("" if options.setup_only else f", port {options.port}"))
        file.flush()
        yield


def _need_port(port):
    """Refuse a port that somebody listens on, on either address that a browser takes `localhost` for."""
    other = f"try ./run --port {port + 1 if port < 65535 else 8000}"
    with suppress(OSError), socket.create_connection(("localhost", port), 1):
        raise Refused(f"Port {port} is in use; {other}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise Refused(f"Port {port} cannot be used ({problem.strerror}); {other}") from None


def _environment(options):
    """Set what the processes need to know; return the mailbox's port, or None when mail goes elsewhere."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")
    os.environ.setdefault("BASE_URL", f"http://localhost:{options.port}")
    os.environ["PORT"] = str(options.port)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning")  # Celery's, of running as root: true, and all know
    if not options.empty:
        os.environ["DEMO"] = "1"
    if os.environ.get("EMAIL_URL") or os.environ.get("EMAIL_URL_FILE"):
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["EMAIL_URL"] = f"smtp://127.0.0.1:{port}"
    if not options.empty:
        os.environ["LOCAL_MAILBOX"] = str(VAR / "mailbox")
    return port


@contextmanager
def _step(name):
    """Announce a step, and the time it took, in one line."""
    began = time.monotonic()
    print(f"{name} ...", end="", flush=True)
    try:
        ctrl_c.obey()
        yield
    except BaseException:
        print()
        raise
    print(f" {time.monotonic() - began:.1f} s")


def _first_sign_in():
    """Make the first administrator where there is no staff; print the one-time password at once, lest it be lost."""
    said = io.StringIO()
    call_command("create_staff", "admin", "--role", "administrator", "--if-none", stdout=said)
    if said.getvalue():
        print(said.getvalue().strip())
    return said.getvalue().strip()


def _open(options, mailbox_port, first_sign_in):
    """Run the processes until one ends or we are told to; return the exit status."""
    LOG.parent.mkdir(mode=0o700, exist_ok=True)
    with LOG.open("w") as log:
        office = Office(Voice(log), Welcome(options, first_sign_in))
        for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
            office.add_process(name, command, cwd=ROOT)
        if mailbox_port:
            words = ["python", "-m", "aiosmtpd", "-n", "-u", "-l", f"127.0.0.1:{mailbox_port}"]
            words += ["-c", "aiosmtpd.handlers.Mailbox", str(VAR / "mailbox")]
            office.add_process("mailbox", f"exec {shlex.join(words)}", cwd=ROOT)
        # A closed terminal is one more way of being told to end, but not under nohup.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
        try:
            office.loop()
        finally:
            office.clear()
            signal.signal(signal.SIGINT, ctrl_c)
    if not office.fallen:
        print("Stopped.")
        return 0
    return _complain(f"{' and '.join(office.fallen)} ended, so everything was stopped; what they said is in {LOG}")


class Office(honcho.manager.Manager):
    """honcho's manager, which also bears being told to end while it starts, and knows who ended first."""

    def __init__(self, printer, welcome):
        super().__init__(printer)
        honcho.manager.KILL_WAIT = PATIENCE
        self._procmgr = Leaders()
        self.welcome, self.told, self.fallen = welcome, False, []

    def terminate(self):
        self.welcome.stop()
        if not super()._all_started():
            self.told = True  # they have no process numbers yet
        elif not self._terminating:
            if not self.told:  # a Ctrl-C reaches also what is being born, and that is not its fault
                self.fallen = [name for name, process in self._processes.items() if "returncode" in process]
            super().terminate()

    def _all_started(self):
        started = super()._all_started()
        if started and self.told:
            self.terminate()
        elif started and not self.welcome.ident:
            self.welcome.start()  # only now: a process that has threads should not fork
        return started

    def clear(self):
        """End what is left, the children's children too, whatever happened."""
        self.welcome.stop()
        for process in self._processes.values():
            if process.get("pid"):
                self._procmgr.kill(process["pid"])
        if self.welcome.ident:
            self.welcome.join()


class Leaders(ProcessManager):
    """Asks only the leader of a group to end: it ends its own children in order (Celery's would drop their tasks)."""

    def terminate(self, pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class Voice(Printer):
    """Prints what the processes say, and keeps it in a log; ends the office when nobody can hear it any more."""

    def __init__(self, log):
        super().__init__()
        self.log = Printer(log)

    def write(self, message):
        self.log.width = self.width
        self.log.write(message)
        try:
            super().write(message)
        except OSError:  # the terminal or the pipe is gone
            self.output = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of the process
            sys.stdout = sys.stderr = self.output
            signal.raise_signal(signal.SIGTERM)


class Welcome(threading.Thread):
    """Waits for the web server, loads the demo, and says where to go."""

    def __init__(self, options, first_sign_in):
        super().__init__(daemon=True)
        self.options, self.first_sign_in = options, first_sign_in
        self.ended, self.demo = threading.Event(), None

    def run(self):
        while not self._answers():
            if self.ended.wait(0.1):
                return
        if not self.options.empty and not self._load_demo():
            print("The demo could not be loaded; the office is open without it.", file=sys.stderr)
        if not self.ended.is_set():
            print(self._words(), flush=True)

    def stop(self):
        self.ended.set()
        if self.demo:
            self.demo.terminate()

    def _answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.options.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _load_demo(self):
        # In a session of its own: a terminal's Ctrl-C is ours to pass on.
        with subprocess.Popen([sys.executable, "manage.py", "load_demo"], stdin=subprocess.DEVNULL, start_new_session=True) as self.demo:
            if self.ended.is_set():
                self.demo.terminate()
            return self.demo.wait() == 0 or self.ended.is_set()

    def _words(self):
        site = os.environ["BASE_URL"].rstrip("/")
        lines = ["", "The office is open; Ctrl-C closes it.", f"  customers  {site}/", f"  staff      {site}/admin/"]
        if os.environ.get("LOCAL_MAILBOX"):
            lines.append(f"  mailbox    {site}/mailbox/")
        if self.first_sign_in:
            lines.append(f"  the first sign-in, as {self.first_sign_in}")
            lines.append("  it leads to a password of your own, then to an authenticator app on your phone (any will do), then inside")
        return "\n".join([*lines, ""])
