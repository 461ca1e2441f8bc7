"""New keys take over in an office at work: nothing is lost, nothing is refused, and afterwards it runs on the new keys alone."""

import csv
import json
import os
from contextlib import contextmanager
from datetime import date

import psycopg
import pytest
from cryptography.fernet import Fernet, InvalidToken

from mailings import letters
from privacy_office import keys, rotation
from tests import exports
from tests.live.test_sending import open_messages, wait_until

pytestmark = pytest.mark.fault
OLD = {name: os.environ[name] for name in keys.LISTS}
NEW = {name: keys.NAMES[name][0]() for name in keys.LISTS}
BOTH = {name: f"{NEW[name]},{OLD[name]}" for name in keys.LISTS}


@pytest.fixture
def export(office, tmp_path):
    """An office with 2,500 customers of an untidy export."""
    made = exports.write(tmp_path, 2500, date.today())
    office.imported(tmp_path)
    office.staff()
    return made


def stored(office):
    """Return every stored token by (table, column, key, number)."""
    found = {}
    with psycopg.connect(office.env["DATABASE_URL"]) as db:
        for table in rotation.tokens():
            for column, finder in zip(table.columns, table.finders, strict=True):
                for pk, cell in db.execute(f"SELECT {table.pk}, {column}::text FROM {table.name} WHERE {column} IS NOT NULL"):
                    found |= {(table.name, column, pk, number): token for number, token in enumerate(finder(cell))}
    return found


def plain(tokens, key):
    """Return what the tokens say to one key; InvalidToken where it is another's."""
    fernet = Fernet(key)
    return {place: fernet.decrypt(token) for place, token in tokens.items()}


def opens(token, key):
    try:
        return bool(Fernet(key).decrypt(token))
    except InvalidToken:
        return False


def under_way(office):
    """Return a question that is answered yes when some of the customers' rows have been written anew."""
    ((first, token),) = office.query("SELECT id, full_name FROM customers_customer ORDER BY id LIMIT 1")
    return lambda: office.query("SELECT full_name FROM customers_customer WHERE id = %s", first) != [(token,)]


@contextmanager
def held_up(office):
    """Keep a row locked that a rotation comes to after the customers: it waits there, under way, as long as the block takes."""
    with psycopg.connect(office.env["DATABASE_URL"]) as db:
        db.execute("SELECT FROM customers_service ORDER BY id DESC LIMIT 1 FOR UPDATE")
        yield


def test_a_rotation_killed_at_work_is_finished_by_the_next_and_every_value_is_the_same(office, export):
    before, moved = stored(office), under_way(office)
    values = plain(before, OLD["FIELD_ENCRYPTION_KEY"])
    office.env.update(BOTH)
    for _ in range(2):
        with office.started("manage.py", "rotate_keys") as rotating:
            wait_until(moved)
            rotating.kill()
            rotating.wait()
        half = stored(office)
        assert half.keys() == before.keys()
        new = sum(opens(token, NEW["FIELD_ENCRYPTION_KEY"]) for token in half.values())
        assert 0 < new < len(half)
    office.manage("audience", "promotions")  # the office works on both

    said = office.json("rotate_keys")
    assert 0 < said["rotated"] <= len(before) - new
    assert (said["left"], said["troubles"]) == (0, 0)
    assert plain(stored(office), NEW["FIELD_ENCRYPTION_KEY"]) == values
    assert any(place[0] == "customers_historicalcustomer" for place in values)

    office.env.update(NEW)
    assert set(office.manage("audience", "promotions", "--refs").split()) == export.allowed("promotions")
    assert office.json("rotate_keys")["left"] == 0
    assert office.manage("check", check=False, **OLD).returncode != 0


def test_the_office_works_while_keys_rotate_and_runs_on_the_new_ones_alone_afterwards(office, export, tmp_path):
    office.env.update(BOTH)
    office.sink.delay = 0.02
    moved, refused = under_way(office), {}
    with office.web() as post, office.worker():
        office.campaign(wait=False)
        wait_until(lambda: len(office.sink.mails) >= 10)
        with office.started("manage.py", "rotate_keys") as rotating:
            with held_up(office):
                wait_until(moved)
                while len(refused) < 4:
                    refused |= refusal(office, post, refused)
                newcomers(tmp_path)
                assert office.json("import_customers", "--customers", tmp_path / "new.csv")["customers"]["created"] == 50
                assert rotating.poll() is None
            while rotating.poll() is None:
                refused |= refusal(office, post, refused)
            assert rotating.wait() == 0
        assert set(refused.values()) == {200}
        wait_until(lambda: not open_messages(office), 150)
    said = (tmp_path / "processes.log").read_text()
    assert "Traceback" not in said
    assert "ERROR" not in said
    summary = json.loads(next(line for line in said.splitlines() if line.startswith('{"rotated"')))
    assert (summary["left"], summary["troubles"]) == (0, 0)

    assert office.query("SELECT count(*) FROM mailings_message WHERE state IN ('failed', 'unknown')") == [(0,)]
    addresses = {customer["email"]: ref for ref, customer in export.taken.items()}
    sent = {addresses[mail.recipient] for mail in office.sink.mails if mail.message["List-Unsubscribe"]}  # the rest confirms refusals
    assert sent <= export.allowed("promotions") <= sent | set(refused)

    again = office.json("rotate_keys")
    assert (again["rotated"], again["left"]) == (0, 0)
    assert again["suppressions_on_older_keys"] == 0
    assert plain(stored(office), NEW["FIELD_ENCRYPTION_KEY"])
    office.env.update(NEW)
    number = len(office.sink.mails)
    with office.web() as post, office.worker():
        assert office.campaign(subject="Thư sau")["failed"] == 0
        assert post("/unsubscribe/none/", "") in (200, 404)
    later = [addresses[mail.recipient] for mail in office.sink.mails[number:]]
    assert sorted(later) == sorted(export.allowed("promotions") - set(refused))
    assert set(office.manage("audience", "promotions", "--refs").split()) == export.allowed("promotions") - set(refused)
    assert office.imported(tmp_path)["customers"]["created"] == 0


def refusal(office, post, but):
    """Post the one-click refusal of somebody who was written to and has not refused yet; return {ref: status}."""
    ((public_id, ref),) = office.query(
        "SELECT m.public_id, c.ref FROM mailings_message m JOIN customers_customer c ON c.id = m.customer_id "
        "WHERE c.ref <> ALL(%s) ORDER BY random() LIMIT 1",
        [*but, ""],
    )
    return {ref: post(f"/unsubscribe/{letters.signer.sign(str(public_id))}/", "List-Unsubscribe=One-Click")}


def newcomers(folder):
    with (folder / "new.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ref", "full_name", "email"])
        writer.writerows([f"N{number}", f"Người Mới {number}", f"moi{number}@example.com"] for number in range(50))


def test_an_erased_person_s_no_outlives_the_old_key_s_rows_and_the_old_index_key_is_asked_for(office, export, tmp_path):
    ref = next(ref for (ref, purpose), (_, granted) in export.consents.items() if purpose == "promotions" and not granted)
    with psycopg.connect(office.env["DATABASE_URL"]) as db:
        db.execute(
            "UPDATE customers_customer SET full_name = NULL, email = NULL, phone = NULL, address = NULL, email_index = NULL, "
            "phone_index = NULL, last4_index = NULL, name_index = '{}', erased_at = now() WHERE ref = %s",
            [ref],
        )
    office.env.update(BOTH)
    said = office.manage("rotate_keys", check=False)
    assert said.returncode == 0
    assert "keep that key in BLIND_INDEX_KEY" in said.stderr

    (tmp_path / "back.csv").write_text(f"ref,full_name,email\nBACK,Người Trở Lại,{export.taken[ref]['email']}\n", encoding="utf-8")
    office.env.update(NEW, BLIND_INDEX_KEY=BOTH["BLIND_INDEX_KEY"])
    assert office.json("import_customers", "--customers", tmp_path / "back.csv")["customers"]["created"] == 1
    assert office.json("decide", "BACK", "promotions", "--json")["reason"] == "suppressed"
    refusal = office.manage("check", check=False, BLIND_INDEX_KEY=NEW["BLIND_INDEX_KEY"])
    assert "BLIND_INDEX_KEY does not fit" in refusal.stderr

    office.manage("rotate_keys")
    # The address lives again: its refusals are under the new key, and the old one is needed no more.
    newest = keys.version(NEW["BLIND_INDEX_KEY"])
    assert office.query("SELECT count(*) FROM consent_suppression WHERE substr(digest, 15) <> %s", newest) == [(0,)]
    office.env.update(NEW)
    assert office.json("decide", "BACK", "promotions", "--json")["reason"] == "suppressed"
