"""A whole campaign while everything fails that can: processes, broker, database and the mail server that it goes to."""

import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import date

import psutil
import psycopg
import pytest

from privacy_office import embedded, servers
from tests import exports
from tests.live.conftest import Office, on_test_server
from tests.live.test_sending import addresses, wait_until
from tests.sink import BREAK_AFTER_DOT, BREAK_IN_DATA, FALL_SILENT, Sink

PROCESSES = 2  # of each worker
TAKEN_UP = 10  # seconds
DOUBTFUL = (BREAK_AFTER_DOT, BREAK_IN_DATA, FALL_SILENT)  # of what a socket's buffer holds nobody knows how far it came
# What so many of a thousand recipients meet with, once; 550 is for good.
TROUBLES = {"450 4.2.1 later": 30, "550 5.1.1 no such user": 20, BREAK_IN_DATA: 8, BREAK_AFTER_DOT: 8, FALL_SILENT: 2}
# Workers at whose end somebody still has a message in hand: claimed by one whose session is gone.
ORPHANS = """
SELECT DISTINCT worker FROM mailings_message WHERE state = 'claimed'
EXCEPT SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted
"""


class Rough(Sink):
    """Meets some recipients with trouble, always the same ones, and counts where it left a message in doubt."""

    def __init__(self, seed):
        super().__init__()
        self.seed, self.met, self.delay, self.pipelining = seed, Counter(), 0.03, True

    def meets(self, address):
        lot = random.Random(f"{self.seed} {address}").randrange(1000)
        for trouble, share in TROUBLES.items():
            lot -= share
            if lot < 0:
                again, self.met[address, trouble] = self.met[address, trouble], self.met[address, trouble] + 1
                return trouble if not again or trouble.startswith("550") else None

    @property
    def doubtful(self):
        return sum(times for (_address, trouble), times in self.met.items() if trouble in DOUBTFUL)


@pytest.fixture
def office(template, tmp_path, monkeypatch):
    """An office on servers of its own that keep what they committed, with a mail server that gives trouble."""
    dump = subprocess.run(
        [servers.postgres_programs(None, None) / "pg_dump", "--inserts", "--no-owner", "--dbname", on_test_server(template)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name)
    with embedded.servers(throwaway=True, durable=True) as running, Rough(seed=7) as sink:
        with psycopg.connect(running.postgres.url, autocommit=True) as db:
            db.execute("\n".join(line for line in dump.splitlines() if not line.startswith("\\")))
        office = Office(tmp_path, sink, running.redis, DATABASE_URL=running.postgres.url, REDIS_URL=running.redis.url)
        office.postgres, office.env["MAIL_TIMEOUTS"] = running.postgres, "connect=5;command=5;after_data=2"
        yield office


class Watch:
    """Lets time pass for what waits to be tried again, and sees for how long a dead worker's chunk lies about."""

    def __init__(self, office):
        self.office, self.seen, self.longest = office, {}, 0.0

    def look(self):
        orphans, now = {worker for (worker,) in self.office.query(ORPHANS)}, time.monotonic()
        self.seen = {worker: self.seen.get(worker, now) for worker in orphans}
        self.longest = max([self.longest, *(now - since for since in self.seen.values())])
        with psycopg.connect(self.office.env["DATABASE_URL"]) as db:
            db.execute("UPDATE mailings_message SET not_before = now() WHERE state = 'queued' AND not_before > now()")

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(0.1)

    def forget(self):
        """Begin anew: nobody can be woken while broker or database are away."""
        self.seen = {}


def kill(process):
    """Kill -9, a worker with its children; return how many processes may have had a message in hand."""
    family = [*process.children(recursive=True), process]
    for member in family:
        with suppress(psutil.NoSuchProcess):  # it ended by itself in this moment
            member.send_signal(signal.SIGKILL)
    return min(len(family), PROCESSES)


@pytest.mark.parametrize(
    "customers,kills",
    [
        pytest.param(2_000, 6, marks=pytest.mark.fault),
        pytest.param(38_000, 20, marks=pytest.mark.scale),  # of whom a little more than half may get the letter
        pytest.param(38_000, 200, marks=pytest.mark.scale),
    ],
)
def test_whatever_fails_nobody_is_mailed_twice_or_unlisted_or_lost(office, tmp_path, customers, kills):
    made = exports.write(tmp_path, customers, date.today())
    office.imported(tmp_path)
    office.staff()
    allowed, rng, watch, in_hand = set(addresses(made, made.allowed("promotions"))), random.Random(7), Watch(office), 0
    office.sink.delay = 0.03 * kills * 1_000 / len(allowed) / 4  # so long that the campaign outlives its kills
    with ExitStack() as stack:
        started = {name: stack.enter_context(office.worker(name)) for name in ("one", "two")}
        office.campaign(wait=False)
        wait_until(lambda: office.sink.mails)
        for number in range(kills):
            watch.wait(rng.uniform(0.5, 3))
            name = rng.choice(["one", "two"])
            worker = psutil.Process(started[name].pid)
            if number % 2:
                in_hand += kill(worker)
                started[name] = stack.enter_context(office.worker(name))
            elif children := worker.children():
                in_hand += kill(rng.choice(children))
            if number == kills // 3:
                office.redis.stop()
                office.redis.start(empty=True)
                watch.forget()
            if number == 2 * kills // 3:
                office.postgres.stop()
                office.postgres.start()
                watch.forget()
        end = time.monotonic() + 60 + customers / 20
        while office.query("SELECT status FROM mailings_campaign") == [("sending",)]:
            assert time.monotonic() < end, "it did not end by itself"
            watch.look()
            time.sleep(0.1)
    assert office.query("SELECT status, failed FROM mailings_campaign") == [("done", None)]
    received = Counter(office.sink.recipients)
    assert not [address for address, times in received.items() if times > 1], "mailed twice"
    assert not received.keys() - allowed, "mailed and not listed"
    states = Counter(dict(office.query("SELECT state, count(*) FROM mailings_message GROUP BY state")))
    print(f"{dict(states)}, {kills} kills, {office.sink.doubtful} doubtful, taken up again after {watch.longest:.1f} s")
    assert states.keys() <= {"sent", "blocked", "failed", "unknown"}
    assert states["sent"] + states["failed"] + states["unknown"] == len(allowed), "lost"
    assert states["unknown"] <= in_hand + office.sink.doubtful
    assert states["sent"] <= len(received) <= states["sent"] + states["unknown"]
    assert watch.longest <= TAKEN_UP
