"""Makes the virtualenv that `run` and `test` need and continues inside it. Standard library only, and readable to any Python 3.6.

Refuses a Python that is too old, and never touches an environment but this folder's .venv. A failure is one line.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed.txt"  # what is installed, as lines of sha256sum: each requirements file stands for itself
HALF_MADE = VENV / "half-made"  # there while we install: found at the start, it means that an installation was cut off
LOG = ROOT / "var" / "log" / "install.log"
FOREIGN = ["PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"]
REASONS = [  # what pip says, and what it means
    ("No space left on device", "the disk is full"),
    ("Permission denied|Read-only file system", "this folder cannot be written"),
    ("DO NOT MATCH THE HASHES", "a package is not the one that was chosen (its hash differs)"),
    (
        "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection(?:Reset)?Error"
        "|Network is unreachable|No matching distribution|Could not find a version",
        "the package index could not be reached, or lacks a package",
    ),
]


class Failed(Exception):
    """Why there is no virtualenv, in one line."""


def enter(*requirements):
    """Return inside an up-to-date .venv; outside, make it so and start the same script again in there."""
    try:
        python = newer_python(sys.version_info)
        if python:
            _become(python)
        if not _installed(requirements):
            _install(requirements)
        if Path(sys.prefix).resolve() != VENV.resolve():
            _become(str(VENV / "bin" / "python"))
    except Failed as failure:
        sys.exit(str(failure))
    except OSError as problem:
        sys.exit(f"{_why(problem)}: {problem.filename or ROOT}")
    except KeyboardInterrupt:
        sys.exit("Stopped; the next start takes it up again.")


def newer_python(version, which=shutil.which):
    """Return None if `version` will do, else the path of a Python that does; Failed when there is none."""
    if tuple(version[:2]) >= NEEDED:
        return None
    for minor in range(NEEDED[1], NEEDED[1] + 5):
        python = which(f"python3.{minor}")
        # A name on the PATH may be a shim with nothing behind it.
        if python and subprocess.call([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return python
    running = ".".join(str(part) for part in version[:3])
    raise Failed(f"Python 3.11 is needed, this is {running}: install it (apt-get install python3.11) and try again.")


def _become(python):
    os.execve(python, [python, *sys.argv], _environment())


def _environment():
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


def _digests(requirements):
    return {f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}" for name in requirements}


def _stamped():
    return set(STAMP.read_text().splitlines()) if STAMP.exists() else set()


def _installed(requirements):
    return os.access(str(VENV / "bin" / "python"), os.X_OK) and not HALF_MADE.exists() and _digests(requirements) <= _stamped()


def _install(requirements):
    """Bring .venv up to date, one process at a time; what was cut off is thrown away and made anew."""
    try:
        (ROOT / "var").mkdir(mode=0o700, exist_ok=True)
        LOG.parent.mkdir(mode=0o700, exist_ok=True)
        lock = (LOG.parent / "install.lock").open("w")
    except OSError as problem:
        raise Failed(f"{_why(problem)}: {ROOT}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another installation into this folder ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _installed(requirements):
            return
        if HALF_MADE.exists() or (VENV.exists() and not os.access(str(VENV / "bin" / "python"), os.X_OK)):
            shutil.rmtree(str(VENV))
        with LOG.open("w") as log:
            if not VENV.exists():
                _make_venv(log)
            HALF_MADE.touch()
            _pip(requirements, log)
        names = tuple("  " + name for name in requirements)
        others = {line for line in _stamped() if not line.endswith(names)}
        STAMP.write_text("\n".join(sorted(others | _digests(requirements))) + "\n")
        HALF_MADE.unlink()


def _make_venv(log):
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        raise Failed("This Python cannot make virtualenvs: apt-get install python3-venv, and try again.")
    VENV.mkdir()
    HALF_MADE.touch()
    _watch("Making .venv", [sys.executable, "-m", "venv", str(VENV)], log)


def _pip(requirements, log):
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--retries", "3"]
    for name in requirements:
        command += ["-r", str(ROOT / name)]
    _watch("Installing packages", command, log)


def _watch(step, command, log):
    """Run a command into the log, and show that it lives: in place on a terminal, else a line now and then."""
    began = told = time.time()
    terminal = sys.stdout.isatty()
    print(step + " ...", end="" if terminal else "\n", flush=True)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(ROOT), env=_environment()
    )
    said, doing = b"", ""
    try:
        while True:
            if select.select([process.stdout], [], [], 1)[0]:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                log.write(piece.decode("utf-8", "replace"))
                log.flush()
                said += piece
                doing = _doing(said.decode("utf-8", "replace"), doing)
            now = time.time()
            if now - told > (0.2 if terminal else 5):
                told = now
                line = f"{step} {now - began:3.0f} s  {doing}"
                if terminal:
                    print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
                else:
                    print(line, flush=True)
        process.wait()
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            process.wait()
        if terminal:
            print("\r\033[K", end="", flush=True)
    if process.returncode:
        why = _reason(said.decode("utf-8", "replace"))
        raise Failed(f"{step} failed: {why}. All that was said is in {LOG}")
    print(f"{step}: done in {time.time() - began:.0f} s", flush=True)


def _doing(said, before):
    """Return what pip is at, from what it said last."""
    steps = re.findall(r"^(Collecting|Installing collected packages)(?:: | )([\w.-]+)?", said, re.M)
    if not steps:
        return before
    collected = sum(verb == "Collecting" for verb, _ in steps)
    verb, name = steps[-1]
    return f"collecting {name} ({collected})" if verb == "Collecting" else f"unpacking {collected} packages"


def _reason(said):
    for pattern, meaning in REASONS:
        if re.search(pattern, said):
            return meaning
    return (said.strip().splitlines() or ["it said nothing"])[-1]


def _why(problem):
    return {errno.ENOSPC: "The disk is full"}.get(problem.errno, f"This folder cannot be used ({problem.strerror})")
