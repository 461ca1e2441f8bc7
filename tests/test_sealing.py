"""The trail proves itself: whoever changes what was sealed, with whatever rights, is found out; what is lawful raises no alarm."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.postgres.fields import ArrayField
from django.core.management import call_command
from django.db import connection, models, transaction
from django.utils import timezone

from audit import history, sealing, tasks, trail, verify_audit
from audit import models as audit
from audit.models import Checkpoint, Entry, Unsealed, Verification
from consent.models import ConsentEvent
from customers.erasure import erase
from customers.models import Customer
from privacy_office.fields import EncryptedTextField
from privacy_office.models import Staff, StaffNotice
from tests.make import consent, make_campaign, make_customer, make_hold, make_policy, make_service, make_staff, withdraw
from tests.walk import make_office

pytestmark = pytest.mark.django_db


def work(customers=3):
    """Do some of everything that leaves history, and seal it under several checkpoints."""
    clerk, officer = make_staff("clerk"), make_staff("officer")
    make_policy(1, severity="major", changes=["promotions", "surveys"])
    sealing.seal()
    for number in range(customers):
        ann = make_customer(f"SEALED-{number}")
        make_service(ann, access_secret=f"secret {number}")
        consent(ann)
        ann.correct(by=clerk, reason="ticket 1", full_name=f"Lê Thị Ánh {number}", phone=f"0903 123 45{number}")
        make_hold(ann, by=clerk).release(by=officer, channel="phone", note=f"knew plan {number}")
        if number % 2:
            withdraw(ann)
        sealing.seal()
    make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    sealing.seal()


def problems():
    """Return what our own verification finds, as 'where: what'."""
    return trail.verify().problems


def as_superuser(sql, *values):
    """Do what triggers would refuse, as whoever owns the server can; return what came back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        changed = cursor.rowcount
        cursor.execute("SET session_replication_role = DEFAULT")
    return changed


# What is lawful


def test_a_trail_that_nobody_touched_verifies():
    work()
    found = trail.verify()
    assert found.problems == []
    assert found.checkpoints == Checkpoint.objects.count() >= 5
    assert found.entries == Entry.objects.count() and found.rows > 20


def test_every_history_row_is_kept_by_an_entry_and_every_entry_waits_until_it_is_sealed():
    work(1)
    make_customer("late")
    assert Unsealed.objects.count() == 1
    assert problems() == []
    assert sealing.seal() == 1 and sealing.seal() == 0
    assert not Unsealed.objects.exists()


def test_fifty_erasures_raise_no_alarm_and_leave_no_personal_value():
    for number in range(50):
        customer = make_customer(f"GONE-{number}", full_name="Lê Ánh")
        make_service(customer)
        consent(customer)
        customer.correct(by=make_staff("clerk"), reason="ticket 1", address="7 Phố Khác")
        hold = make_hold(customer)
        hold.release(by=make_staff("officer"), channel="phone", note="knew the plan")
        if number % 10 == 0:
            sealing.seal()
        erase(customer, by=make_staff("officer"), reason="asked by letter")
    sealing.seal()
    assert problems() == []
    for table, columns in {
        "customers_customer": ["full_name", "email", "phone", "address", "email_index", "phone_index", "last4_index"],
        "customers_historicalcustomer": ["full_name", "email", "phone", "address"],
        "customers_historicalservice": ["access_username", "access_secret"],
        "customers_service": ["access_username", "access_secret"],
        "customers_contact": ["note"],
        "customers_historicalcontact": ["note"],
    }.items():
        for column in columns:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*), count({column}) FROM {table}")
                rows, left = cursor.fetchone()
                assert rows >= 50 and left == 0, (table, column)


def test_what_an_erased_customer_was_beside_the_person_still_verifies():
    customer = make_customer("gone")
    customer.end_association(on=customer.history.first().history_date.date(), by=make_staff("clerk"), reason="left")
    erase(customer, by=make_staff("officer"), reason="asked")
    sealing.seal()
    assert problems() == []
    assert as_superuser("UPDATE customers_historicalcustomer SET association = 'active' WHERE association = 'ended'") >= 1
    assert problems()


@pytest.fixture
def new_columns():
    """Give a table and its history columns that they did not have, as a migration does, and take them away again."""
    added = []

    def add(name, make):
        for model in (Customer, Customer.history.model):
            field = make()
            with connection.schema_editor() as editor:
                field.contribute_to_class(model, name)
                editor.add_field(model, field)
            added.append((model, field))
        history.columns.cache_clear()

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with waiting triggers cannot be altered
    yield add
    for model, field in added:
        model._meta.local_fields.remove(field)
        model._meta._expire_cache()
        delattr(model, field.name)
    history.columns.cache_clear()


LATER = {
    "text": lambda: models.TextField(default=""),
    "box": lambda: models.BooleanField(default=False),
    "number": lambda: models.IntegerField(default=0),
    "time": lambda: models.DateTimeField(null=True),
    "list": lambda: ArrayField(models.TextField(), default=list),
    "encrypted": lambda: EncryptedTextField(default=""),
}


@pytest.mark.parametrize("column", LATER)
def test_history_from_before_a_column_still_verifies(new_columns, column):
    work(customers=1)
    new_columns("later", LATER[column])
    assert problems() == []


def test_a_rolled_back_change_leaves_nothing_for_the_next_entry_to_vouch_for():
    ann = make_customer("ann")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ann.locale = "en"
        ann.save()  # its history row is gone with the savepoint
        _ = 1 / 0
    with transaction.atomic():
        audit.record("test.refused", by=None, obj=ann)
    assert Entry.objects.get(action="test.refused").kept == []
    ann.refresh_from_db()
    ann.correct(by=None, reason="asked", full_name="Lê Ánh")
    sealing.seal()
    assert problems() == []


# What is not


def one(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY random() LIMIT 1")
        return cursor.fetchone()


def random_edit(rng):
    """Change one thing that is sealed, of every kind and in every way that SQL has; return what was done and what must be named."""
    (entry,), (other,) = one("SELECT id FROM audit_entry"), one("SELECT id FROM audit_entry")
    (event,) = one("SELECT id FROM consent_consentevent")
    history, label = rng.choice(HISTORIES)
    version, row = one(f"SELECT history_id, id FROM {history}")
    (swapped,) = one(f"SELECT history_id FROM {history} WHERE history_id <> {version}") or [version]
    others = ", ".join(name for name, _ in columns_of(history) if name != "history_id")
    column, value = rng.choice(ENTRY_COLUMNS)
    table, name, owner = rng.choice(PERSONAL)
    where, rows = f"UPDATE {history} SET {{}} WHERE history_id = %s", [version]
    sql, values, named = rng.choice([
        (f"UPDATE audit_entry SET {column} = {value} WHERE id = %s", [entry], f"entry {entry}"),
        ("DELETE FROM audit_entry WHERE id = %s", [entry], f"entry {entry}"),
        ("INSERT INTO audit_entry (at, actor, action, object, subject, clause, detail, kept, commitment) "
         "SELECT at, actor, action, object, subject, clause, detail, kept, commitment FROM audit_entry WHERE id = %s", [entry], "entry "),
        (f"UPDATE audit_entry SET id = -1 WHERE id = {entry}; UPDATE audit_entry SET id = {entry} WHERE id = {other};"
         f"UPDATE audit_entry SET id = {other} WHERE id = -1", [], "entry "),
        (where.format("history_date = history_date + interval '1 microsecond'"), rows, f"{label}:{row}"),
        (where.format("history_change_reason = coalesce(history_change_reason, '') || '.'"), rows, f"{label}:{row}"),
        (where.format("history_user_id = coalesce(history_user_id, 0) + 1"), rows, f"{label}:{row}"),
        (where.format("history_id = history_id + 100000"), rows, f"{label}:{row}"),
        (f"INSERT INTO {history} ({others}) SELECT {others} FROM {history} WHERE history_id = %s",
         rows, label.replace(".", ".historical") + ":"),
        (f"UPDATE {history} SET history_id = -1 WHERE history_id = {version}; UPDATE {history} SET history_id = {version} WHERE "
         f"history_id = {swapped}; UPDATE {history} SET history_id = {swapped} WHERE history_id = -1", [], f"{label}:"),
        (f"DELETE FROM {history} WHERE history_id = %s", rows, f"{label}:{row}"),
        (f"UPDATE consent_consentevent SET {rng.choice(EVENT_EDITS)} WHERE id = %s", [event], f"consent.consentevent:{event}"),
        ("DELETE FROM consent_consentevent WHERE id = %s", [event], f"consent.consentevent:{event}"),
        ("INSERT INTO consent_consentevent (customer_id, purpose_id, channel, event, at, recorded_at, source, shown_digest, by) "
         "SELECT customer_id, purpose_id, channel, 'given', now(), now(), source, '', by FROM consent_consentevent WHERE id = %s",
         [event], "consent.consentevent:"),
        (f"UPDATE {table} SET {name} = other.{name} FROM (SELECT a.ctid AS place, b.{name} FROM {table} a JOIN {table} b "
         f"ON b.id <> a.id AND b.{name} IS NOT NULL AND a.{name} IS NOT NULL ORDER BY random() LIMIT 1) other "
         f"WHERE {table}.ctid = other.place", [], owner),
    ])  # fmt: skip
    if entry == other:
        sql, values, named = f"DELETE FROM audit_entry WHERE id = {entry}", [], f"entry {entry}"
    assert as_superuser(sql, *values) >= 1, sql
    return sql, named


HISTORIES = [
    ("customers_historicalcustomer", "customers.customer"),
    ("customers_historicalservice", "customers.service"),
    ("customers_historicalcontact", "customers.contact"),
    ("customers_historicalemailhold", "customers.emailhold"),
    ("mailings_historicalcampaign", "mailings.campaign"),
    ("consent_historicalpolicyversion", "consent.policyversion"),
]
PERSONAL = [
    ("customers_historicalcustomer", "full_name", "customers.customer"),
    ("customers_historicalcustomer", "email", "customers.customer"),
    ("customers_historicalservice", "access_secret", "customers.service"),
    ("customers_historicalcontact", "note", "customers.contact"),
    ("customers_customer", "email", "customers.customer"),  # the rows themselves are compared with their history
]
ENTRY_COLUMNS = [
    ("at", "at + interval '1 microsecond'"),
    ("actor", "actor || 'x'"),
    ("action", "action || 'x'"),
    ("object", "object || '0'"),
    ("subject", "gen_random_uuid()"),
    ("clause", "'§9'"),
    ("detail", """detail || '{"x": 1}'"""),
    ("kept", "kept || 1::bigint"),
    ("commitment", "md5(commitment)"),
]
EVENT_EDITS = [
    "event = 'renewed'",
    "at = at - interval '1 day'",
    "channel = 'sms'",
    "recorded_at = recorded_at + interval '1 microsecond'",
    "source = 'paper'",
    "by = 'staff:999'",
    "shown_digest = 'x'",
]


ANOTHER = {  # another value of a column, by its type
    "bigint": "coalesce({0}, 0) + 100000",
    "integer": "coalesce({0}, 0) + 100000",
    "smallint": "coalesce({0}, 0) + 1",
    "boolean": "NOT coalesce({0}, false)",
    "bytea": "coalesce({0}, '') || '\\x00'::bytea",
    "date": "coalesce({0}, '2026-01-01') + 1",
    "time without time zone": "coalesce({0}, '01:00') + interval '1 microsecond'",
    "timestamp with time zone": "coalesce({0}, '2026-01-01') + interval '1 microsecond'",
    "uuid": "gen_random_uuid()",
    "jsonb": "jsonb_build_object('was', {0})",
    "ARRAY": "array_append({0}, NULL)",
    "character varying": "translate({0}, left({0}, 1), 'x') || left('x', (coalesce({0}, '') = '')::int)",
    "text": "'x' || coalesce({0}, '')",
}


def kept_tables():
    """Yield (table, its key, and by SQL the names that a problem with a row may have) for the entries and all history."""
    yield "audit_entry", "id", "'entry ' || id"
    for label, model in trail.tracked().items():
        history = model.history.model
        yield history._meta.db_table, "history_id", f"'{label}:' || id, '{history._meta.label_lower}:' || history_id"
        for several in history._meta.related_objects:
            yield several.related_model._meta.db_table, "m2m_history_id", f"'{label}:'"


def columns_of(table):
    with connection.cursor() as cursor:
        cursor.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table])
        return cursor.fetchall()


def test_whichever_column_of_an_entry_or_of_any_history_a_superuser_changes_the_row_is_named():
    make_office()
    sealing.seal()
    assert problems() == []
    missed, tried = [], 0
    for table, key, names in kept_tables():
        for column, kind in columns_of(table):
            row = one(f"SELECT {key}, {names} FROM {table}")
            if row is None:
                continue
            with pytest.raises(Undo), transaction.atomic():
                assert as_superuser(f"UPDATE {table} SET {column} = {ANOTHER[kind].format(column)} WHERE {key} = %s", row[0]) == 1
                said, tried = " ".join(problems()), tried + 1
                missed += [] if any(name in said for name in row[1:]) else [f"{table}.{column}: {said}"]
                raise Undo
    assert "\n".join(missed) == ""
    assert tried > 150


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_random_edits_by_a_superuser_are_all_named(seed):
    rng = random.Random(seed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [seed / 10])
    work()
    assert problems() == []
    for _ in range(50):
        with pytest.raises(Undo), transaction.atomic():
            done, named = random_edit(rng)
            assert named in " ".join(problems()), f"not found out: {done}"
            raise Undo
    assert problems() == []


class Undo(Exception):
    pass


def test_an_entry_put_in_past_the_sealing_or_kept_from_it_is_named():
    work(1)
    columns, values = "at, actor, action, object, clause, detail, kept, commitment", "now(), 'system', 'x.y', '', '', '{}', '{}', ''"
    assert as_superuser(f"INSERT INTO audit_entry ({columns}) VALUES ({values})")
    assert any("was put in past the sealing" in problem for problem in problems())


def test_history_blanked_without_an_erasure_is_named():
    work(1)
    row = Customer.history.order_by("history_id").first()
    row.blank()
    values = [row.personal_digest, row.history_id]
    blank = "full_name = NULL, email = NULL, phone = NULL, address = NULL, salt = NULL"
    assert as_superuser(f"UPDATE customers_historicalcustomer SET {blank}, personal_digest = %s WHERE history_id = %s", *values) == 1
    assert problems() == [f"customers.historicalcustomer:{row.history_id}: was blanked, and no erasure says why"]


def test_values_put_back_into_blanked_history_are_named():
    ann = make_customer("ann")
    erase(ann, by=None, reason="asked")
    sealing.seal()
    assert problems() == []
    token = Customer._meta.get_field("full_name").sealed("Somebody Else")
    first = Customer.history.order_by("history_id").first().history_id
    as_superuser("UPDATE customers_historicalcustomer SET full_name = %s WHERE history_id = %s", token, first)
    assert [problem.partition(":")[0] for problem in problems()] == ["customers.customer"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("UPDATE audit_checkpoint SET root = md5('x') || md5('y') WHERE number = 2", "checkpoint 2: has another root"),
        ("UPDATE audit_checkpoint SET at = at + interval '1 ms' WHERE number = 2", "checkpoint 2: has a signature that does not fit"),
        ("UPDATE audit_checkpoint SET signature = repeat('0', 128) WHERE number = 2", "checkpoint 2: has a signature that does not fit"),
        ("UPDATE audit_checkpoint SET key = repeat('0', 64) WHERE number = 2", "checkpoint 2: is signed by a key that is not the office's"),
        ("DELETE FROM audit_checkpoint WHERE number = 2", "checkpoint 2: is missing: 3 stands in its place"),
        ("UPDATE audit_checkpoint SET entries = entries[2:] WHERE number = 2", "checkpoint 2: has another root than its entries"),
        ("UPDATE audit_entry SET actor = 'x' WHERE id = (SELECT entries[1] FROM audit_checkpoint WHERE number = 2);"
         "UPDATE audit_checkpoint SET leaves = ''",
         "checkpoint 2: has another root than its entries, and the hashes kept with it were changed too"),
        ("DELETE FROM audit_checkpoint WHERE number = (SELECT max(number) FROM audit_checkpoint)", "is missing: it was anchored"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_was_changed_or_taken_away_is_named(edit, said):
    work()
    as_superuser(edit)
    assert said in " ".join(problems())


def test_whoever_seals_anew_with_the_offices_key_is_betrayed_by_the_anchors(anchors):
    work()
    as_superuser("UPDATE audit_entry SET actor = 'x'; INSERT INTO audit_unsealed SELECT id FROM audit_entry; DELETE FROM audit_checkpoint")
    kept = anchors.read_text()
    anchors.unlink()
    sealing.seal()
    rewritten = problems()
    anchors.write_text(kept)
    assert rewritten == [], "the database alone says that all is well"
    assert "checkpoint 1: is not the one that was anchored" in problems()


# Sealing


def test_the_anchor_file_is_private_mends_itself_and_gets_what_it_missed(anchors):
    work(1)
    assert anchors.stat().st_mode & 0o777 == 0o600
    whole = anchors.read_bytes()
    anchors.write_bytes(whole[:-20])  # a crash in the middle of a line
    make_customer("late")
    sealing.seal()
    assert anchors.read_bytes().startswith(whole) and problems() == []
    anchors.write_bytes(b"")
    assert "is not among the anchors" in problems()[0]
    sealing.anchor()
    assert anchors.read_bytes().startswith(whole) and problems() == []


def test_a_sealing_that_fails_loses_no_entry(settings, anchors):
    make_customer("ann")
    waiting = set(Unsealed.objects.values_list("pk", flat=True))
    settings.AUDIT_SIGNING_KEY = []
    with pytest.raises(IndexError), transaction.atomic():
        sealing.seal()
    assert set(Unsealed.objects.values_list("pk", flat=True)) == waiting and not Checkpoint.objects.exists()


def test_an_older_signing_key_still_verifies_what_it_signed(settings):
    work(1)
    settings.AUDIT_SIGNING_KEY = ["AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg=", *settings.AUDIT_SIGNING_KEY]
    make_customer("late")
    sealing.seal()
    assert len(set(Checkpoint.objects.values_list("key", flat=True))) == 2 and problems() == []


# Others verify


def exported(tmp_path, *options):
    call_command("export_audit", tmp_path / "export.jsonl", *options, stdout=StringIO())
    return tmp_path / "export.jsonl"


def stranger(tmp_path, *arguments):
    """Run the verifier as a stranger does: the one file, in a folder of its own, on a Python that sees nothing of ours."""
    alone = tmp_path / "elsewhere" / "verify_audit.py"
    alone.parent.mkdir(exist_ok=True)
    shutil.copy(verify_audit.__file__, alone)
    command = [sys.executable, "-I", alone, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=alone.parent, check=False)
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_stranger_verifies_an_export_and_names_what_was_changed_in_it(tmp_path, anchors):
    work()
    make_customer("late")
    export = exported(tmp_path)
    known = ("--key", sealing.public_keys()[0], "--anchors", anchors)
    code, said = stranger(tmp_path, export, *known)
    assert (code, said["ok"], said["unsealed"]) == (0, True, 1)
    assert said["entries"] == Entry.objects.count() and said["opened_rows"] == ConsentEvent.objects.count()
    assert "Lê Thị" not in export.read_text() and "example.org" not in export.read_text()
    lines = export.read_bytes().splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(b'{"at"')][3:9]
    for place in places:
        number = json.loads(lines[place])["id"]
        for spoilt in (
            lines[:place] + lines[place + 1 :],
            [*lines[:place], lines[place].replace(b'"actor": "', b'"actor": "x'), *lines[place + 1 :]],
        ):
            export.write_bytes(b"\n".join(spoilt))
            code, said = stranger(tmp_path, export, *known)
            assert code == 1 and said["problems"][0].startswith(f"entry {number}:"), said


def test_a_stranger_who_was_told_another_key_believes_nothing(tmp_path):
    work(1)
    code, said = stranger(tmp_path, exported(tmp_path), "--key", "00" * 32)
    assert code == 1 and "is signed by a key that is not the office's" in said["problems"][0]


NO_EXPORTS = [
    b"",
    b"\0\xff",
    b"[]",
    b"{}",
    b'{"header": 1}',
    b'{"checkpoint": {}}',
    b'{"rows": []}',
    b'{"at": \n{"checkpoint": {"number": "x"}}',
]


@pytest.mark.parametrize("content", NO_EXPORTS)
def test_a_file_that_is_no_export_is_refused_in_words(tmp_path, content):
    export = tmp_path / "export.jsonl"
    export.write_bytes(content)
    code, said = stranger(tmp_path, export)
    assert code == 1 and not said["ok"] and said["problems"]
    assert stranger(tmp_path, tmp_path / "nowhere")[0] == 2


def test_an_export_opens_one_customer_when_asked_and_says_so_in_the_trail(tmp_path):
    work(2)
    ann = Customer.objects.get(ref="SEALED-1")
    code, said = stranger(tmp_path, exported(tmp_path, "--customer", str(ann.public_id)))
    text = (tmp_path / "export.jsonl").read_text()
    assert code == 0 and "Lê Thị Ánh 1" in text and "Lê Thị Ánh 0" not in text
    assert Entry.objects.latest("id").action == "audit.export" and Entry.objects.latest("id").subject == ann.public_id
    (tmp_path / "export.jsonl").write_text(text.replace("Lê Thị Ánh 1", "Lê Thị Ánh 9"))
    code, said = stranger(tmp_path, tmp_path / "export.jsonl")
    assert code == 1 and "is not what entry" in said["problems"][0]


def test_the_command_verifies_keeps_what_it_found_and_ends_with_1_when_something_is_wrong():
    work(1)
    said = StringIO()
    call_command("verify_audit", stdout=said)
    assert json.loads(said.getvalue())["ok"] and Verification.objects.count() == 1 and not Verification.latest_failed()
    as_superuser("UPDATE audit_entry SET actor = 'x' WHERE id = (SELECT min(id) FROM audit_entry)")
    with pytest.raises(SystemExit):
        call_command("verify_audit", stdout=said)
    assert Verification.latest_failed()


# The format as it is written down


def tree_hash(leaves):
    """Return the root as RFC 6962 section 2.1 defines it, by recursion: another way than the verifier's."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


@pytest.mark.parametrize("count", [*range(1, 20), 31, 32, 33, 100])
def test_the_verifiers_tree_is_that_of_rfc_6962(count):
    leaves = [hashlib.sha256(b"\0" + bytes([number])).digest() for number in range(count)]
    assert verify_audit.merkle_root(leaves) == tree_hash(leaves)


DOCS = Path(__file__).parent.parent / "docs"


def test_the_example_gives_the_test_vectors_by_the_written_format_alone():
    """A second verifier, written from docs/AUDIT_FORMAT.md: if this passes, the page says enough."""
    vectors = json.loads((DOCS / "AUDIT_FORMAT.md").read_text().split("```json")[1].split("```")[0])
    lines = (DOCS / "audit-example.jsonl").read_bytes().splitlines()
    entries = [line for line in lines if line.startswith(b'{"at": ')]
    hashes = [hashlib.sha256(b"\0" + line).digest() for line in entries]
    assert [leaf.hex() for leaf in hashes] == vectors["leaf_hashes"]
    assert tree_hash(hashes[:2]).hex() == vectors["node_hash_of_leaves_1_and_2"]
    checkpoint = next(json.loads(line)["checkpoint"] for line in lines if line.startswith(b'{"checkpoint"'))
    assert tree_hash(hashes).hex() == vectors["root"] == checkpoint["root"]
    names = ("number", "at", "size", "root", "previous", "key")
    text = "\n".join(["privacy-office-audit/1", *(str(checkpoint[name]) for name in names), ""])
    assert text == vectors["signed_text"]
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert key.public_key().public_bytes_raw().hex() == vectors["public_key"] == checkpoint["key"]
    assert key.sign(text.encode()).hex() == vectors["signature"] == checkpoint["signature"]
    assert hashlib.sha256(text.encode()).hexdigest() == vectors["digest_of_the_checkpoint"]
    (row,) = next(json.loads(line)["rows"] for line in lines if line.startswith(b'{"rows"'))

    def e(values):
        members = (f"{json.dumps(name)}:{json.dumps(values[name], ensure_ascii=False)}" for name in sorted(values))
        return f"{{{','.join(members)}}}".encode()

    personal = hashlib.sha256(bytes.fromhex(row["salt"]) + e(row["personal"])).digest()
    digest = hashlib.sha256(e(row["public"]) + personal).digest()
    assert (personal.hex(), digest.hex()) == (vectors["personal_digest"], vectors["row_digest"])
    assert hashlib.sha256(digest).hexdigest() == vectors["commitment"] == json.loads(entries[0])["commitment"]


def test_the_verifier_accepts_the_example(tmp_path):
    key = json.loads((DOCS / "audit-example.jsonl").read_text().splitlines()[0])["header"]["keys"][0]
    assert stranger(tmp_path, DOCS / "audit-example.jsonl", "--key", key)[0] == 0


# Who is told


@pytest.fixture
def broken():
    work(1)
    make_staff("officer", "olga")
    as_superuser("UPDATE audit_entry SET actor = 'x' WHERE id = (SELECT min(id) FROM audit_entry)")
    tasks.verify()


def test_a_trail_that_does_not_verify_mails_the_officers_and_turns_readiness_red(broken, client):
    told = {notice.member.username for notice in StaffNotice.objects.filter(kind="audit_broken")}
    assert told == {officer.username for officer in Staff.objects.in_role("officer")} > {"olga"}
    assert (client.get("/readyz").status_code, client.get("/readyz").json()["audit"]) == (503, "broken")


def test_a_trail_that_verifies_again_turns_readiness_green(client):
    work(1)
    tasks.verify()
    assert client.get("/readyz").json()["audit"] == "ok" and not StaffNotice.objects.exists()


@pytest.fixture
def unverified():
    """An office that nobody verified for three days."""
    work(1)
    as_superuser("UPDATE audit_entry SET at = at - interval '3 days'")


def test_a_trail_that_nobody_verified_for_two_days_turns_the_first_page_red_and_keeps_nobody_out(unverified, client):
    client.force_login(make_staff("officer"))
    assert (client.get("/readyz").status_code, client.get("/readyz").json()["audit"]) == (200, "overdue")
    assert "no verification came to its end" in client.get("/admin/", headers={"accept-language": "en"}).text
    Verification.objects.create(entries=1, checkpoints=1, rows=1, seconds=1)
    assert client.get("/readyz").json()["audit"] == "ok"
    assert "no verification came to its end" not in client.get("/admin/", headers={"accept-language": "en"}).text
    assert not Verification.overdue(timezone.now() + timedelta(hours=47)) and Verification.overdue(timezone.now() + timedelta(hours=49))


def test_a_new_office_has_time_for_its_first_verification():
    assert not Verification.overdue()
    work(1)
    assert not Verification.overdue()


@pytest.mark.parametrize(("role", "told"), [("officer", True), ("auditor", True), ("clerk", False), ("marketer", False)])
def test_the_first_page_is_red_for_those_who_may_look_at_the_trail(broken, client, role, told):
    client.force_login(make_staff(role))
    assert ("The audit trail needs attention" in client.get("/admin/", headers={"accept-language": "en"}).text) == told


def test_the_chains_page_says_how_it_stands(client):
    work(1)
    make_customer("late")
    client.force_login(make_staff("auditor"))
    page = client.get("/admin/audit/checkpoint/", headers={"accept-language": "en"}).text
    assert "none yet" in page and sealing.public_keys()[0] in page and 'class="alarm"' not in page
    tasks.verify()
    assert "all is well" in client.get("/admin/audit/checkpoint/", headers={"accept-language": "en"}).text
    sealed = Entry.objects.order_by("id").first()
    assert "not sealed yet" not in client.get(f"/admin/audit/entry/{sealed.pk}/change/", headers={"accept-language": "en"}).text
    assert "not sealed yet" in client.get(f"/admin/audit/entry/{Entry.objects.first().pk}/change/", headers={"accept-language": "en"}).text
