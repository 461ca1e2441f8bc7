"""What the import takes of untidy files, and what it leaves as people here have set it."""

import io
from datetime import date

import pytest
from django.utils import timezone

from consent import gate
from consent.csv_import import Consents
from customers.csv_import import Customers, Services, Table, _records
from customers.models import Customer
from tests.make import make_customer, make_hold, make_policy, make_staff


def take(importer, header, *rows):
    """Import rows of text; return the counts and the rejections as {line: (field, reason)}."""
    names, rejected = header.split(","), {}
    batch = [(number, dict(zip(names, row.split(","), strict=False))) for number, row in enumerate(rows, 2)]
    counts = importer.take(batch, lambda line, field, reason: rejected.setdefault(line, (field, reason)))
    return counts, rejected


def take_customers(*rows, importer=None):
    return take(importer or Customers(), "ref,full_name,email,phone,association", *rows)


def lines(text):
    return list(_records(io.StringIO(text, newline="")))


def test_a_quote_that_is_never_closed_costs_its_own_row_and_no_other():
    text = "".join(f'KH{n},"Name {n},n{n}@example.com\r\n' if n == 3 else f"KH{n},Name {n},n{n}@example.com\r\n" for n in range(200))
    read = lines(text)
    assert [number for number, cells in read if cells is None] == [4]
    assert [cells[0] for _, cells in read if cells] == [f"KH{n}" for n in range(200) if n != 3]
    assert [number for number, _ in read] == list(range(1, 201))


def test_a_cell_of_several_lines_is_one_and_a_quote_within_a_cell_is_text():
    read = lines('KH1,"12 Phố A\r\nHà Nội",x\r\nKH2,ống 5" dài,y\r\nKH3,"a ""b""",z\r\n')
    assert read == [(1, ["KH1", "12 Phố A\r\nHà Nội", "x"]), (3, ["KH2", 'ống 5" dài', "y"]), (4, ["KH3", 'a "b"', "z"])]


def test_a_file_that_ends_in_an_open_quote_says_so():
    assert lines('KH1,a\nKH2,"b\n') == [(1, ["KH1", "a"]), (2, None)]


@pytest.mark.django_db
def test_a_row_is_rejected_by_field_and_reason_and_never_by_value():
    _, rejected = take_customers("KH1,An,nobody@@example.com,123,active", ",,,,", "KH3,An,an@example.com,,gone")
    assert {field for field, _ in rejected.values()} == {"email", "ref", "association"}
    assert "nobody" not in str(rejected)


@pytest.mark.django_db
def test_an_address_belongs_to_the_first_who_has_it():
    counts, rejected = take_customers("KH1,An,an@example.com,,", "KH2,Binh, AN@EXAMPLE.COM ,,", "KH1,An,an@example.com,,")
    assert (counts["created"], counts["unchanged"]) == (1, 1)
    assert rejected == {3: ("email", "belongs to another customer already")}


@pytest.mark.django_db
def test_one_customer_with_two_sets_of_values_in_one_file_is_told():
    _, rejected = take_customers("KH1,An,an@example.com,,", "KH1,An,an@example.net,,")
    assert rejected == {3: ("ref", "is on line 2 already, with other values")}


@pytest.mark.django_db
def test_a_newer_export_amends_with_history_and_entry_and_verifies_the_new_address():
    take_customers("KH1,An,an@example.com,,")
    counts, _ = take_customers("KH1,An,an@example.net,0912345678,")
    customer = Customer.objects.get(ref="KH1")
    assert counts["amended"] == 1
    assert (customer.email, customer.phone, customer.email_state) == ("an@example.net", "+84912345678", "verified")
    assert customer.history.count() == 2
    assert Customer.objects.matching("an@example.net").get() == customer
    assert not Customer.objects.matching("an@example.com")


@pytest.mark.django_db
def test_what_people_corrected_here_is_not_overruled_and_the_rest_is_taken():
    ann = make_customer("ann", full_name="An")
    ann.correct(by=make_staff("clerk"), reason="asked", phone="0912345678")
    _, rejected = take_customers("ann,An,ann@example.org,0987654321,")
    assert rejected == {2: ("phone", "was changed here since: the export must be brought up to date")}
    counts, rejected = take_customers("ann,An Mới,ann@example.org,0912345678,")
    assert (counts["amended"], rejected) == (1, {})


@pytest.mark.django_db
def test_a_column_that_the_file_has_not_empties_nothing():
    ann = make_customer("ann", full_name="An", locale="en")
    counts, _ = take_customers("ann,An,ann@example.org,,")
    assert counts["amended"] == 1  # the phone: its column is there, and empty
    ann.refresh_from_db()
    assert (ann.phone, bool(ann.address), ann.locale) == (None, True, "en")


@pytest.mark.django_db
def test_an_association_that_ended_here_is_not_revived_by_an_older_export():
    take_customers("KH1,An,an@example.com,,active")
    customer = Customer.objects.get(ref="KH1")
    customer.end_association(on=date(2026, 1, 1), by=make_staff("clerk"), reason="left")
    _, rejected = take_customers("KH1,An,an@example.com,,active")
    assert rejected[2][0] in ("association", "association_ended_on")
    assert Customer.objects.get(ref="KH1").association == "ended"


@pytest.mark.django_db
def test_an_address_on_hold_is_not_replaced():
    take_customers("KH1,An,an@example.com,,")
    make_hold(Customer.objects.get(ref="KH1"))
    _, rejected = take_customers("KH1,An,an@example.net,,")
    assert rejected == {2: ("email", "is on hold here, and is changed after the hold is released")}


@pytest.mark.django_db
def test_a_renewed_service_moves_its_expiry_and_another_of_the_kind_is_another():
    take_customers("KH1,An,an@example.com,,")
    header = "customer_ref,service,plan,started_on,expires_on,access_username,access_secret"
    take(Services(), header, "KH1,VPS,P1,2026-01-01,2026-12-31,root,s", "KH1,VPS,P1,2026-01-01,2026-12-31,admin,s")
    counts, _ = take(Services(), header, "KH1,VPS,P1,2026-01-01,2027-12-31,root,s", "KH1,VPS,P1,2026-01-01,2026-12-31,admin,s")
    assert (counts["amended"], counts["unchanged"], counts["created"]) == (1, 1, 0)


@pytest.mark.django_db
def test_an_imported_yes_never_raises_what_a_later_no_lowered():
    make_policy()
    take_customers("KH1,An,an@example.com,,")
    header = "customer_ref,purpose,channel,decision,decided_at,source,policy_version,evidence"
    take(
        Consents(),
        header,
        "KH1,promotions,email,withdrawn,2026-03-01T10:00,phone_call,1,",
        "KH1,promotions,email,granted,2026-02-01,paper,1,x",
    )
    (decision,) = gate.decide(list(Customer.objects.values_list("pk", flat=True)), "promotions", "email").values()
    assert decision.reason == "suppressed"
    _, rejected = take(Consents(), header, f"KH1,promotions,email,granted,{timezone.now().year + 1}-01-01,paper,1,")
    assert rejected == {2: ("decided_at", "lies in the future")}


def test_a_file_is_known_by_its_header(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes("\ufeffRef, full_name ,EMAIL\r\nKH1,An,an@example.com\r\n\r\nKH2,Binh,b@example.com,more\r\n".encode())
    table, rejected = Table(path, ("ref", "full_name", "email"), ("ref",)), []
    (batch,) = table.batches(10, lambda *why: rejected.append(why))
    assert batch == [(2, {"ref": "KH1", "full_name": "An", "email": "an@example.com"})]
    assert rejected == [(4, "", "has more cells than the header")]
