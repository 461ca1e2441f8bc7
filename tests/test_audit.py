"""The audit trail is written with its change or not at all, and nobody changes it afterwards."""

from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from audit import models as audit
from audit import sealing
from audit.models import Entry, Unsealed
from consent.models import ConsentEvent, PolicyVersion
from customers.models import Customer
from tests.make import consent, make_customer, make_policy, make_staff


def execute(sql, *values):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # those still to be checked would refuse a TRUNCATE for a reason of their own
        cursor.execute(sql, values)


ATTACKS = [
    "UPDATE {table} SET {column} = 'x'",
    "UPDATE {table} SET {column} = 'x' WHERE false",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE false",
    "TRUNCATE {table} CASCADE",
    "INSERT INTO {table} SELECT * FROM {table} LIMIT 1 ON CONFLICT (id) DO UPDATE SET {column} = 'x'",
]


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "column"), [(Entry, "action"), (ConsentEvent, "event")], ids=["entry", "consent event"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_record_is_never_changed_not_even_by_the_owner_of_the_database(model, column, attack):
    consent(make_customer("ann"))
    before = list(model.objects.order_by("pk").values_list())
    with pytest.raises(ProgrammingError, match="append-only"):
        execute(attack.format(table=model._meta.db_table, column=column))
    assert list(model.objects.order_by("pk").values_list()) == before


@pytest.mark.django_db
def test_a_published_policy_version_is_never_changed_but_a_draft_is():
    published, draft = make_policy(1), make_policy(2, published=False)
    for attack in ("UPDATE {table} SET text_vi = 'x' WHERE id = %s", "DELETE FROM {table} WHERE id = %s"):
        with pytest.raises(ProgrammingError, match="append-only"):
            execute(attack.format(table="consent_policyversion"), published.pk)
    with pytest.raises(ProgrammingError, match="append-only"):
        execute("TRUNCATE consent_policyversion CASCADE")
    execute("UPDATE consent_policyversion SET text_vi = 'x' WHERE id = %s", draft.pk)
    assert dict(PolicyVersion.objects.values_list("number", "text_vi")) == {1: "Chính sách 1", 2: "x"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM consent_policyversion_changes",
        "UPDATE consent_policyversion_changes SET purpose_id = (SELECT id FROM consent_purpose WHERE code = 'surveys')",
        "INSERT INTO consent_policyversion_changes (policyversion_id, purpose_id) SELECT p.id, q.id "
        "FROM consent_policyversion p, consent_purpose q WHERE q.code = 'surveys'",
    ],
)
def test_the_purposes_that_a_published_version_changes_stay_the_same(attack):
    policy = make_policy(1, severity="major", changes=["promotions"])
    with pytest.raises(ProgrammingError, match="append-only"):
        execute(attack)
    assert [p.code for p in policy.changes.all()] == ["promotions"]


@pytest.mark.django_db
def test_an_entry_outside_a_transaction_is_refused():
    def write():
        audit.record("test.act", by=None)

    with ThreadPoolExecutor(1) as thread, pytest.raises(transaction.TransactionManagementError):  # its connection has no transaction
        thread.submit(write).result()


@pytest.mark.django_db
def test_an_entry_goes_with_its_change_when_that_is_rolled_back():
    before = Entry.objects.count()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_customer("ann")
        assert Entry.objects.count() == before + 1
        _ = 1 / 0
    assert Entry.objects.count() == before
    assert not Customer.objects.exists()


@pytest.mark.django_db
def test_the_time_of_an_entry_is_the_databases():
    audit.record("test.act", by=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(at BETWEEN transaction_timestamp() AND clock_timestamp()) FROM audit_entry WHERE action = 'test.act'"
        )
        assert cursor.fetchone() == (True,)


@pytest.mark.django_db
def test_an_actor_is_the_system_a_number_or_a_random_identifier():
    ann, clerk = make_customer("ann"), make_staff("clerk")
    assert audit.actor(None) == "system"
    assert audit.actor(clerk) == f"staff:{clerk.pk}"
    assert audit.actor(ann) == f"customer:{ann.public_id}"
    with pytest.raises(AttributeError):
        audit.actor("clerk")


@pytest.mark.django_db
def test_no_entry_holds_personal_data():
    ann = make_customer("ann", full_name="Lê Ánh", email="anh@example.org", phone="+84901234567", address="12 Hàng Bông")
    ann.correct(by=make_staff("clerk"), reason="moved", address="34 Hàng Bông", full_name="Lê Thị Ánh")
    consent(ann)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, ' ') FROM audit_entry e")
        (text,) = cursor.fetchone()
    assert not [plain for plain in ("Ánh", "anh@example.org", "901234567", "Hàng Bông") if plain in text]


@pytest.mark.django_db
def test_the_offices_role_may_work_but_only_add_to_what_is_append_only():
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE office_web")
        call_command("grant_roles", "office_web", verbosity=0, stdout=StringIO())
        for table in ("audit_entry", "consent_consentevent"):
            for right, granted in {"SELECT": True, "INSERT": True, "UPDATE": False, "DELETE": False, "TRUNCATE": False}.items():
                cursor.execute("SELECT has_table_privilege('office_web', %s, %s)", [table, right])
                assert cursor.fetchone() == (granted,), (table, right)
        cursor.execute("SET LOCAL ROLE office_web")
        audit.record("test.act", by=None)
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            cursor.execute("DELETE FROM audit_entry")
        cursor.execute("RESET ROLE")


@pytest.mark.django_db
@pytest.mark.parametrize("role,said", [("nobody_knows", "no role"), (None, "superuser")])
def test_a_role_that_is_none_or_that_no_grant_binds_is_refused(role, said):
    with pytest.raises(CommandError, match=said):
        call_command("grant_roles", role or connection.settings_dict["USER"], stdout=StringIO())


def test_a_second_sealer_leaves_the_first_alone(committed_db):
    make_customer("ann")
    waiting = Unsealed.objects.count()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [sealing.LOCK])
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(in_a_connection_of_its_own, sealing.seal).result() is None
    assert Unsealed.objects.count() == waiting
    assert sealing.seal() == waiting


def in_a_connection_of_its_own(do):
    try:
        return do()
    finally:
        connection.close()
