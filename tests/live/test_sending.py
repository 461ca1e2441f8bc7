"""From consents to mail that a real server took: once to each who may get it, to nobody else, whatever fails on the way."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from mailings import letters
from privacy_office import servers
from tests import exports

pytestmark = pytest.mark.fault


@pytest.fixture
def export(office, tmp_path):
    """An office with 400 customers of an untidy export, and the staff whom a campaign needs."""
    made = exports.write(tmp_path, 400, date.today())
    office.imported(tmp_path)
    office.staff()
    return made


def addresses(export, refs):
    return sorted(export.taken[ref]["email"] for ref in refs)


def test_a_campaign_reaches_each_who_may_get_it_once_and_nobody_else(office, export):
    report = office.campaign()
    assert office.sink.recipients == addresses(export, export.allowed("promotions"))
    assert report["sent"] == len(office.sink.mails)
    assert report["audience"] == report["sent"] + sum(report["blocked"].values())
    assert (report["failed"], report["unknown"], report["open"]) == (0, 0, 0)

    again = office.campaign()
    assert again["sent"] == 0
    assert len(office.sink.mails) == report["sent"]


def test_renewal_notices_reach_those_whose_services_expire_on_the_days_and_who_asked_for_them(office, export):
    report = office.json("send_renewals", "--wait")
    due = {ref for ref, days in export.expiring.items() if set(days) & {30, 7, 1}}
    assert office.sink.recipients == addresses(export, due & export.allowed("service_renewal"))
    assert report["sent"] == len(office.sink.mails) > 0
    assert report["audience"] == len(due)

    again = office.json("send_renewals", "--wait")
    assert again["sent"] == again["audience"] == 0
    assert len(office.sink.mails) == report["sent"]


def test_a_broker_that_goes_away_and_comes_back_empty_loses_nothing_and_doubles_nothing(office, export):
    office.sink.delay = 0.05
    with office.worker():
        office.campaign(wait=False)
        wait_until(lambda: len(office.sink.mails) >= 10)
        office.redis.stop()
        wait_until(still(office))  # a task in hand goes on with the database alone, then the workers have nobody to ask
        assert open_messages(office)
        office.redis.start(empty=True)
        wait_until(lambda: not open_messages(office), 150)
    assert office.sink.recipients == addresses(export, export.allowed("promotions"))


def test_a_database_that_ends_every_session_loses_nothing_and_doubles_nothing(office, export):
    office.sink.delay = 0.02
    with office.worker():
        office.campaign(wait=False)
        wait_until(lambda: len(office.sink.mails) >= 20)
        office.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: not open_messages(office), 120)
    assert not [address for address, times in Counter(office.sink.recipients).items() if times > 1]
    ((unknown,),) = office.query("SELECT count(*) FROM mailings_message WHERE state = 'unknown'")
    assert unknown <= 2  # what the two processes had in hand
    assert len(office.sink.mails) >= len(export.allowed("promotions")) - unknown


def test_a_worker_killed_at_work_makes_no_advertising_go_out_twice_and_the_rest_go_out(office, export):
    office.sink.delay = 0.02
    with office.worker() as worker:
        office.campaign(wait=False)
        wait_until(lambda: len(office.sink.mails) >= 20)
        for process in [*psutil.Process(worker.pid).children(recursive=True), worker]:
            process.send_signal(signal.SIGKILL)
    left = open_messages(office)
    assert left
    with office.worker():
        wait_until(lambda: not open_messages(office), 120)
    twice = [address for address, times in Counter(office.sink.recipients).items() if times > 1]
    assert not twice
    ((unknown,),) = office.query("SELECT count(*) FROM mailings_message WHERE state = 'unknown'")
    assert unknown <= 2  # what each process had in hand, of the hundred that they had claimed
    sent = {address for (address,) in [(mail.recipient,) for mail in office.sink.mails]}
    assert sent <= set(addresses(export, export.allowed("promotions")))
    assert len(sent) >= len(export.allowed("promotions")) - unknown


def test_a_worker_told_to_end_finishes_the_mail_in_hand_and_gives_the_rest_back_at_once(office, export):
    office.sink.delay = 8  # longer than a worker waits for its tasks: its processes are told to end in the middle of a mail
    with office.worker() as worker:
        office.campaign(wait=False)
        wait_until(lambda: office.query("SELECT 1 FROM mailings_message WHERE state = 'claimed'"))
        time.sleep(0.5)
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        assert time.monotonic() - began < 15
    states = dict(office.query("SELECT state, count(*) FROM mailings_message GROUP BY state"))
    assert states.keys() <= {"queued", "sent", "blocked"} and states["sent"] == len(office.sink.mails) in (1, 2)


def test_who_refuses_during_a_campaign_gets_nothing_later_than_a_second_after(office, export):
    """A hundred of them, at random moments, while one mail takes a fifth of a second and two are on their way at a time."""
    office.sink.delay, rng, answered = 0.2, random.Random(1), {}
    with office.web() as post, office.worker():
        office.campaign(wait=False)
        wait_until(lambda: len(office.sink.mails) >= 5)
        listed = office.query("SELECT m.public_id, c.ref FROM mailings_message m JOIN customers_customer c ON c.id = m.customer_id")
        for public_id, ref in rng.sample(sorted(row for row in listed if row[1] in export.allowed("promotions")), 100):
            assert post(f"/unsubscribe/{letters.signer.sign(str(public_id))}/", "List-Unsubscribe=One-Click") == 200
            answered[export.taken[ref]["email"]] = time.time()
            time.sleep(rng.uniform(0, 0.1))
        office.sink.delay = 0
        wait_until(lambda: not open_messages(office), 120)
        wait_until(lambda: len(confirmations(office)) >= len(answered), 120)
    after = [
        mail.at - answered[mail.recipient]
        for mail in office.sink.mails
        if "List-Unsubscribe" in mail.message and mail.recipient in answered
    ]
    print(f"{len(after)} of 100 had got it or got it at the latest {max(after):.2f} s after their answer")
    assert max(after) <= 1
    assert sorted(confirmations(office)) == sorted(answered), "each refusal is confirmed, once"
    blocked = office.query("SELECT count(*) FROM mailings_message WHERE state = 'blocked' AND reason = 'suppressed'")[0][0]
    assert blocked >= 30  # else few refusals came before the mail


def test_nothing_personal_is_in_the_dump_the_broker_or_the_logs(office, export, tmp_path):
    office.sink.delay = 0.02
    with office.worker():
        office.campaign(wait=False)
        office.json("send_renewals", "--wait")
        wait_until(lambda: len(office.sink.mails) >= 30)
        dump = subprocess.run(
            [servers.postgres_programs(None, None) / "pg_dump", "--dbname", office.env["DATABASE_URL"]],
            capture_output=True,
            check=True,
            env={"PATH": os.environ["PATH"]},
        ).stdout
        wait_until(lambda: not open_messages(office), 120)
    office.redis.stop()
    held = {"dump": dump, "server log": server_log(office)}
    for path in [*(tmp_path / "redis").rglob("*"), tmp_path / "redis.log", tmp_path / "commands.log", tmp_path / "processes.log"]:
        if path.is_file():
            held[path.name] = path.read_bytes()
    assert b"mailings_message" in dump
    assert any(b"mailings.tasks.drain" in content for name, content in held.items() if "aof" in name), list(held)
    found = [
        (place, kind)
        for place, content in held.items()
        for kind, value in enumerate(sorted(export.personal))
        if value.encode() in content or value.casefold().encode() in content
    ]
    assert not found
    office.redis.start()


def server_log(office):
    """Return what the test run's PostgreSQL wrote down; nothing where the server is somebody else's."""
    folder = parse_qs(urlsplit(office.env["DATABASE_URL"]).query).get("host", [""])[0]
    log = Path(folder) / "log" / "postgresql.log"
    return log.read_bytes() if log.exists() else b""


def open_messages(office):
    return office.query("SELECT count(*) FROM mailings_message WHERE state IN ('queued', 'claimed')")[0][0]


def wait_until(comes_true, seconds=60):
    end = time.monotonic() + seconds
    while not comes_true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def confirmations(office):
    return [mail.recipient for mail in office.sink.mails if "List-Unsubscribe" not in mail.message]


def still(office):
    """Return a question that is answered yes when no mail has arrived for four seconds."""
    seen = [(-1, 0.0)]

    def answer():
        count, since = seen[0]
        if count != len(office.sink.mails):
            seen[0] = (len(office.sink.mails), time.monotonic())
            return False
        return time.monotonic() - since > 4

    return answer
