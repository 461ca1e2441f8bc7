"""One of a thousand is erased while the process is killed at every step; nothing of them is left anywhere, nor after a restored backup."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from datetime import date

import psycopg
import pytest
from encrypted_model_fields import fields as library

from privacy_office import servers
from privacy_office.fields import blinds
from tests import exports
from tests.live.conftest import ROOT, Office, on_server, on_test_server
from tests.live.test_sending import server_log, wait_until

pytestmark = pytest.mark.fault
TOKEN = re.compile(rb"gAAAAA[\w-]{90,}={0,2}")
SAID = {"address": "7 Ngõ Kín, Huế", "note": "knew the plan of Vinh", "evidence": "ticket 5: born in Vinh"}
# Lets a process write one change of an erasure, and holds it in the middle of the next until it is killed.
HOLD = """
CREATE SEQUENCE changes;
CREATE FUNCTION hold_here() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF nextval('changes') > {passes} THEN PERFORM pg_advisory_xact_lock(4242); END IF; RETURN NEW; END $$;
CREATE TRIGGER hold_here BEFORE UPDATE ON customers_erasure FOR EACH ROW EXECUTE FUNCTION hold_here()
"""
FREE = "DROP TRIGGER hold_here ON customers_erasure; DROP FUNCTION hold_here; DROP SEQUENCE changes"
HELD = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4242 AND NOT granted"

WORK = """
import django; django.setup()
from customers.models import Attachment, Customer, EmailHold, Link, Notice, Session
from mailings import postman
from mailings.models import Message
from customers.models import Erasure
from tests.make import make_staff, withdraw
from tests.scans import png
person = Customer.objects.get(ref={ref!r})
clerk, officer = make_staff("clerk"), make_staff("officer")
person.correct(by=clerk, reason="ticket 1", address={said[address]!r})
EmailHold.place(person, by=clerk, reason="odd").release(by=officer, channel="phone", note={said[note]!r})
withdraw(person, channel="sms", by=clerk, evidence={said[evidence]!r})
Attachment.keep(person, png(), by=person)
Link.issue(person, Link.Use.SIGN_IN)
Session.begin(person, how="link", source={{}})
"""
ASK = """
import django; django.setup()
from customers.models import Customer, Erasure
from mailings import postman
from mailings.models import Message
from tests.make import make_staff
erasure = Erasure.ask(Customer.objects.get(ref={ref!r}), by=make_staff("clerk"), reason="request 7")
erasure.approve(by=make_staff("officer"))
Message.objects.queue_notices()
postman.drain(10)
"""


class Person:
    """Someone of the export who has everything: services, a phone, earlier values, mail, and a refusal."""

    def __init__(self, office, export):
        self.office = office
        owners = office.query("SELECT c.ref, c.id, c.public_id FROM customers_service s JOIN customers_customer c ON c.id = s.customer_id")
        self.ref, self.number, self.public_id = next(row for row in sorted(owners) if export.taken[row[0]]["phone"])
        told = export.taken[self.ref]
        street = next(v for v in export.personal if v.startswith(f"{int(self.ref[2:])} Phố"))
        self.email, self.phone = told["email"], "+84" + told["phone"].lstrip("0")
        self.values = {told["email"], told["phone"], self.phone, told["full_name"], street, f"user-{self.ref.lower()}-0", *SAID.values()}
        python(office, WORK.format(ref=self.ref, said=SAID))

    def traces(self, office):
        """Return where in a whole dump, decrypted, something of the person stands, and in which tables a digest of theirs."""
        found, table = set(), ""
        indexes = [*blinds("email", self.email), *blinds("phone", self.phone)]
        for line in dump(office).splitlines():
            if line.startswith(b"COPY "):
                table = line.split()[1].decode().removeprefix("public.")
            opened = [library.CRYPTER.decrypt(token).decode() for token in TOKEN.findall(line)] if b"gAAAAA" in line else []
            text = "\n".join([line.decode(), *opened]).casefold()
            found |= {table for value in self.values if value.casefold() in text}
            found |= {f"{table} (digest)" for index in indexes if index.hex().encode() in line}
        return found


def python(office, code):
    env = {**office.env, "DJANGO_SETTINGS_MODULE": "privacy_office.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def program(name):
    return servers.postgres_programs(None, None) / name


def dump(office, *words):
    command = [program("pg_dump"), *words, "--dbname", office.env["DATABASE_URL"]]
    return subprocess.run(command, capture_output=True, check=True, env={"PATH": os.environ["PATH"]}).stdout


def documented(name, office, folder):
    """Run the line of docs/OPERATIONS.md that begins with a program's name."""
    (line,) = re.findall(rf"(?m)^    ({name} .*)$", (ROOT / "docs" / "OPERATIONS.md").read_text())
    env = {"PATH": f"{program(name).parent}{os.pathsep}{os.environ['PATH']}", "DATABASE_URL": office.env["DATABASE_URL"]}
    subprocess.run(["sh", "-c", line], cwd=folder, env=env, check=True)


def killed(office, passes):
    """Go on with erasures in a process that is killed amid the change after the first `passes`; False where it came to its end."""
    with psycopg.connect(office.env["DATABASE_URL"], autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(4242)")
        db.execute(HOLD.format(passes=passes))
        process = subprocess.Popen([sys.executable, ROOT / "manage.py", "continue_erasures"], env=office.env, stdout=subprocess.DEVNULL)
        wait_until(lambda: process.poll() is not None or db.execute(HELD).fetchone())
        alive = process.poll() is None
        if alive:
            process.send_signal(signal.SIGKILL)
            process.wait()
            db.execute(f"SELECT pg_terminate_backend(pid) FROM ({HELD}) held")
            wait_until(lambda: not db.execute(HELD).fetchone())
        else:
            assert process.returncode == 0
        db.execute(FREE)
    return alive


@pytest.fixture
def person(office, tmp_path):
    export = exports.write(tmp_path, 1000, date.today())
    office.imported(tmp_path)
    return Person(office, export)


def verifies(office):
    office.manage("seal_audit")
    office.manage("verify_audit")  # ends with 1, which raises, where anything is wrong


def others(office):
    return office.query("SELECT count(*), count(full_name), count(email_index) FROM customers_customer")


def test_one_of_a_thousand_killed_at_each_step_leaves_no_trace_and_the_trail_verifies(office, person, tmp_path):
    ((rows, named, indexed),) = others(office)
    everywhere = {"customers_customer", "customers_historicalcustomer", "customers_service", "customers_contact", "customers_evidence"}
    assert everywhere <= person.traces(office)
    python(office, ASK.format(ref=person.ref))
    assert [mail.recipient for mail in office.sink.mails] == [person.email] * 2  # their refusal is confirmed, and the erasure told

    assert killed(office, passes=0)
    kills, places = 1, []
    while killed(office, passes=1):
        kills += 1
        places.append(office.query("SELECT step, (SELECT count(*) FROM jsonb_object_keys(blanked)) FROM customers_erasure")[0])
        assert places.count(places[-1]) == 1, "a killed run left no step behind it"
    assert {step for step, _count in places} >= {"closed", "journaled"} and kills >= 8

    assert office.query("SELECT step FROM customers_erasure") == [("done",)]
    assert person.traces(office) == {"consent_suppression (digest)"}  # that they refused, by a keyed digest alone
    assert others(office) == [(rows, named - 1, indexed - 1)]
    assert office.query("SELECT count(*) FROM consent_consentevent WHERE customer_id = %s", person.number)[0][0] > 0
    journal = (tmp_path / "erasures.jsonl").read_text().splitlines()
    assert [json.loads(line)["customer"] for line in journal] == [str(person.public_id)]
    verifies(office)

    office.redis.stop()
    held = {"server log": server_log(office)}
    for path in [*(tmp_path / "redis").rglob("*"), *tmp_path.glob("*.log"), *tmp_path.glob("*.jsonl")]:
        held |= {path.name: path.read_bytes()} if path.is_file() else {}
    assert not [(name, value) for name, content in held.items() for value in person.values if value.encode() in content]
    office.redis.start()


def test_a_restored_older_backup_and_a_replay_end_the_same(office, person, tmp_path):
    documented("pg_dump", office, tmp_path)
    python(office, ASK.format(ref=person.ref))
    office.manage("continue_erasures")
    assert person.traces(office) == {"consent_suppression (digest)"}

    name = f"restored_{secrets.token_hex(4)}"
    on_server(f"CREATE DATABASE {name}")
    try:
        restored = Office(tmp_path, office.sink, office.redis, DATABASE_URL=on_test_server(name), REDIS_URL=office.redis.url)
        documented("pg_restore", restored, tmp_path)
        restored.env["AUDIT_ANCHORS"] = str(tmp_path / "anchors-after.jsonl")  # those of before tell of entries that the backup has not
        assert "customers_customer" in person.traces(restored)
        said = restored.json("replay_erasures")
        assert said == {"journal": 1, "erased_again": 1, "unknown": 0, "pending": 0}
        assert person.traces(restored) == {"consent_suppression (digest)"}
        assert restored.query("SELECT step FROM customers_erasure") == [("done",)]
        assert restored.json("replay_erasures")["erased_again"] == 0
        verifies(restored)
    finally:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")
