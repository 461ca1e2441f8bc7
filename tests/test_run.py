"""./run in copies of this folder, as root and as an ordinary user: what it starts, what it says, and that nothing stays behind."""

import ast
import http.client
import os
import pwd
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from privacy_office import bootstrap

pytestmark = pytest.mark.fault
ROOT = Path(__file__).resolve().parent.parent
NOT_THEIRS = re.compile(r"\w+_URL|KEYS_DIR|\w+_KEY|DJANGO_\w+|PYTEST_\w+|PYTHON\w+|VIRTUAL_ENV|CI|DEMO|LOCAL_MAILBOX|PORT")


def copy_into(folder, *, user="", venv=False):
    """Copy what belongs to the project, as a clone would have it; with `venv` the packages come along."""
    ignored = shutil.ignore_patterns(".venv", "var", ".env", ".git", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    if venv:
        shutil.copytree(ROOT / ".venv", folder / ".venv", symlinks=True, copy_function=link)
    if user:
        subprocess.run(["chown", "-R", user, folder], check=True)
    return folder


@contextmanager
def fresh_folder(user=""):
    """A private folder (0700) of that user's, with a short name; at the end nothing may work in it any more."""
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        left = leftovers(folder)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    assert not left


def link(source, target):
    """Link a file of the packages, which nobody changes, and copy what we write ourselves."""
    if Path(source).name == bootstrap.STAMP.name:
        return shutil.copy2(source, target)
    try:
        return os.link(source, target)
    except OSError:  # another disk
        return shutil.copy2(source, target)


def leftovers(folder):
    """Return the processes that work in the folder, or whose command or environment names it."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes() + os.fsencode((proc / "cwd").readlink())
            if os.fsencode(folder) in told and int(proc.name) != os.getpid():
                found.append(int(proc.name))
    return found


def account(user):
    if not user:
        return {}
    person = pwd.getpwnam(user)
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}


def environment(clone, user="", **more):
    """What a person's shell would have, nothing of this test run's."""
    ours = {name: value for name, value in os.environ.items() if not NOT_THEIRS.fullmatch(name)}
    if user:
        ours |= {"HOME": str(clone), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return {**ours, **more}


def run(clone, *words, user="", python=(), **more):
    """Run a command of the clone to its end."""
    command = [*python, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.run(
        command, cwd=clone, env=environment(clone, user, **more), text=True, timeout=300, check=False, **pipes, **account(user)
    )


def assert_one_line(done, *words):
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A ./run that was started as from a terminal: it leads a process group of its own."""

    def __init__(self, clone, *options, user="", port=None):
        self.port, self.said = port or free_port(), clone.parent / f"said-{time.monotonic_ns()}"
        command = ["./run", "--port", str(self.port), *options]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                command, cwd=clone, env=environment(clone, user), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True, **account(user),
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        if self.process.poll() is None:
            self.end()

    def wait_for(self, sign, seconds=120):
        """Return the seconds it took until `sign()` came true."""
        began = time.monotonic()
        while not sign():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() - began < seconds, self.said.read_text()
            time.sleep(0.1)
        return time.monotonic() - began

    def answers(self):
        connection = http.client.HTTPConnection("localhost", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def says(self, text):
        return lambda: text in self.said.read_text()

    def end(self, number=signal.SIGINT):
        """Send the whole group the signal, as a terminal does, and return the exit status."""
        os.killpg(self.process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(60)
        raise AssertionError(self.said.read_text())


@pytest.fixture(scope="module")
def clone():
    """A clone with its packages, at a long path with spaces that nobody else may enter, set up once."""
    with fresh_folder() as folder:
        deep = folder / "/".join(["a folder with a rather long name, and spaces"] * 6)
        deep.mkdir(parents=True)
        copy_into(deep, venv=True)
        done = run(deep, "./run", "--setup-only")
        assert done.returncode == 0, done.stderr
        assert "admin: one-time password " in done.stdout
        assert not leftovers(folder)
        yield deep


def test_an_ordinary_user_comes_from_a_fresh_clone_to_an_open_office():
    """Also when the first installation was cut off."""
    user = "nobody" if os.geteuid() == 0 else ""
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    fits = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if user and (not python or subprocess.call([python, "-c", fits], **account(user))):
        pytest.skip("no Python 3.11 with venv here that an ordinary user may run")
    with fresh_folder(user) as folder:
        copy_into(folder / "clone", user=user)
        with Running(folder / "clone", "--setup-only", user=user) as cut_off:
            cut_off.wait_for(cut_off.says("Installing packages"))
            time.sleep(4)
            assert cut_off.end() == 1
            assert cut_off.said.read_text().endswith("Stopped; the next start takes it up again.\n")
        done = run(folder / "clone", "./run", "--setup-only", user=user)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Making .venv: done" in done.stdout
        assert "admin: one-time password " in done.stdout
        with Running(folder / "clone", "--empty", user=user) as office:
            assert office.wait_for(office.answers) < 15
            assert office.end() == 0
        assert "Installing" not in office.said.read_text()
        assert not leftovers(folder)


def test_the_office_opens_with_the_demo_and_ctrl_c_leaves_nothing(clone):
    with Running(clone) as office:
        office.wait_for(office.says("The office is open"), seconds=300)
        assert office.answers()
        said = office.said.read_text()
        assert f"http://localhost:{office.port}/mailbox/" in said
        assert "could not be loaded" not in said
        began = time.monotonic()
        assert office.end() == 0
        assert time.monotonic() - began < 15
    assert "Traceback" not in office.said.read_text()
    assert not leftovers(clone)


def test_the_second_start_takes_seconds_and_sigterm_ends_it(clone):
    with Running(clone, "--empty") as office:
        assert office.wait_for(office.answers) < 15
        office.process.send_signal(signal.SIGTERM)
        assert office.process.wait(60) == 0
    assert "Installing" not in office.said.read_text()
    assert not leftovers(clone)


@pytest.mark.parametrize("moment", ["Servers", "Tables", "web started"])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing(clone, moment):
    with Running(clone, "--empty") as office:
        office.wait_for(office.says(moment))
        assert office.end() == 0
    assert "Traceback" not in office.said.read_text()
    assert not leftovers(clone)


# Python says "Exception ignored" of the first one, as of any that comes inside a destructor.
DROPPED = """
import signal
from privacy_office import supervisor

class Falling:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def fall(options, stack):
    with supervisor._step("one"):
        Falling()
    print("it went on")
    with supervisor._step("two"):
        print("and on")

supervisor._office = fall
print(supervisor.main([]))
"""


def test_a_ctrl_c_that_python_drops_is_obeyed_at_the_next_step():
    done = run(ROOT, "-c", DROPPED, python=[sys.executable])
    assert "Exception ignored" in done.stderr
    assert "it went on" in done.stdout
    assert "and on" not in done.stdout
    assert done.stdout.endswith("Stopped.\n0\n")


# Its first process is ended by the Ctrl-C itself; the others are born when that is long over.
TOLD_TO_END = """
import sys
from argparse import Namespace
from pathlib import Path
from privacy_office import supervisor
office = supervisor.Office(supervisor.Voice(Path("/dev/null").open("w")), supervisor.Welcome(Namespace(port=1, empty=True), ""))
office.add_process("hit", "kill -INT $$")
for number in range(20):
    office.add_process(f"born {number}", "exec sleep 60")
if sys.argv[1] == "told":
    office.terminate()
office.loop()
print(office.fallen, file=sys.stderr)
"""


@pytest.mark.parametrize(("moment", "fallen"), [("told", "[]"), ("by itself", "['hit']")])
def test_what_ctrl_c_ended_while_it_was_being_born_is_not_blamed(moment, fallen):
    done = run(ROOT, "-c", TOLD_TO_END, moment, python=[sys.executable])
    assert done.stderr.splitlines()[-1] == fallen


def test_other_commands_join_and_a_second_run_is_refused(clone):
    with Running(clone, "--empty") as office:
        office.wait_for(office.answers)
        ask = "import os; print(os.environ['EMAIL_URL'], os.environ['BASE_URL'], len(os.environ['DATABASE_URL']) > 20)"
        done = run(clone, "manage.py", "shell", "--no-imports", "-c", ask, python=[".venv/bin/python"])
        assert re.fullmatch(rf"smtp://127\.0\.0\.1:\d+ http://localhost:{office.port} True\n", done.stdout), done.stderr
        assert_one_line(run(clone, "./run", "--port", str(free_port())), "./run is running here already", f"port {office.port}")
        assert_one_line(run(clone, "./run", "--setup-only"), "./run is running here already")


@pytest.mark.parametrize("name", ["gunicorn", "celery --quiet --app privacy_office worker", "beat", "aiosmtpd"])
def test_when_one_process_dies_all_end_and_a_line_says_which(clone, name):
    with Running(clone, "--empty") as office:
        office.wait_for(office.answers)
        office.wait_for(office.says("mailbox started"))
        time.sleep(1)
        os.kill(leader(clone, name), signal.SIGKILL)
        assert office.process.wait(60) == 1
    fallen = {"gunicorn": "web", "beat": "beat", "aiosmtpd": "mailbox"}.get(name, "worker")
    assert office.said.read_text().splitlines()[-1].startswith(f"{fallen} ended, so everything was stopped; what they said is in /")
    assert not leftovers(clone)


def leader(clone, name):
    """Return the process that a line of the Procfile became."""
    for pid in leftovers(clone):
        command = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode()
        if name in command and os.getsid(pid) == pid and "manage.py" not in command:
            return pid
    raise AssertionError(f"no {name} in {clone}")


def test_after_kill_9_the_next_start_clears_up_and_opens(clone):
    with Running(clone, "--empty") as office:
        office.wait_for(office.answers)
        os.kill(office.process.pid, signal.SIGKILL)
        office.process.wait()
    orphans = leftovers(clone)
    assert orphans
    with Running(clone, "--empty", port=office.port) as second:
        second.wait_for(second.says("web started"))
        second.wait_for(second.answers)
        assert not set(orphans) & set(leftovers(clone))
        assert second.end() == 0
    assert not leftovers(clone)


def test_a_port_in_use_is_told_before_anything_is_started(clone):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        began = time.monotonic()
        done = run(clone, "./run", "--port", str(port))
        assert_one_line(done, f"Port {port} is in use; try ./run --port ")
        assert done.stdout == ""
        assert time.monotonic() - began < 5


def test_a_folder_that_cannot_be_written_is_told_in_a_line():
    user = "nobody" if os.geteuid() == 0 else ""
    with fresh_folder() as folder:
        copy_into(folder / "clone")
        folder.chmod(0o755)
        (folder / "clone").chmod(0o555)
        python = [shutil.which("python3", path="/usr/bin:/bin") or sys.executable] if user else []
        assert_one_line(run(folder / "clone", "./run", user=user, python=python), "This folder cannot be used (Permission denied)")


def test_no_way_to_the_packages_is_told_in_a_line():
    with fresh_folder() as folder:
        copy_into(folder / "clone")
        # No index, no cache, no configuration that names another place.
        nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
        done = run(folder / "clone", "./run", "--setup-only", **nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="")
        assert_one_line(done, "the package index could not be reached", "var/log/install.log")


def test_what_the_tests_add_is_no_reason_to_install_again(clone):
    both = "from privacy_office import bootstrap as b; b.enter('requirements.txt', 'requirements-demo.txt', 'requirements-dev.txt')"
    done = run(clone, "-c", both, python=[".venv/bin/python"])
    assert done.returncode == 0, done.stderr
    for command in (["./run", "--setup-only"], ["-c", both]):
        done = run(clone, *command, python=[".venv/bin/python"] if command[0] == "-c" else [])
        assert done.returncode == 0, done.stderr
        assert "Installing" not in done.stdout


def test_a_python_that_is_too_old_is_told_in_a_line():
    with pytest.raises(bootstrap.Failed, match=r"^Python 3\.11 is needed, this is 3\.8\.2: [^\n]*$"):
        bootstrap.newer_python((3, 8, 2, "final", 0), which=lambda name: None)


def test_a_newer_python_on_the_path_is_taken_unless_it_is_a_shim_with_nothing_behind_it():
    assert bootstrap.newer_python((3, 8, 2), which={"python3.11": "/bin/false", "python3.12": sys.executable}.get) == sys.executable
    assert bootstrap.newer_python((3, 11, 0), which=lambda name: "/never/asked") is None


@pytest.mark.parametrize("script", ["run", "test"])
def test_a_python_that_is_too_old_can_read_what_refuses_it(script, monkeypatch):
    for file in (script, "privacy_office/__init__.py", "privacy_office/bootstrap.py"):
        ast.parse((ROOT / file).read_text(), feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 6, 9))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit) as refusal:
        runpy.run_path(str(ROOT / script))
    assert "\n" not in refusal.value.code
    assert "this is 3.6.9" in refusal.value.code
