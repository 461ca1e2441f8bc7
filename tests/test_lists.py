"""Every list of the admin: what it asks the database, what it offers to filter by, what a member keeps of it, and what leaves as a file."""

import csv
import re
from datetime import date, timedelta
from io import StringIO

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from audit.models import Entry
from consent.models import ConsentState, Purpose
from customers.models import Correction, Customer, EmailHold, RightsRequest, Service, SupportRequest
from mailings.models import Campaign, Message
from privacy_office.admin import EstimatedPaginator, encrypted
from privacy_office.admin.lists import ListAdmin
from privacy_office.models import SavedFilter, Staff
from privacy_office.roles import ROLES
from tests.make import consent, make_campaign, make_customer, make_hold, make_request, make_service, make_staff, withdraw
from tests.test_admin import refs, refuse_entry, search
from tests.walk import MODELS, PLAIN, SECRETS, changed, make_office, page, tables

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]
PLAIN_WORDS = ListAdmin.when_empty


@pytest.fixture
def everything_allowed(sign_in):
    client = sign_in("officer", "chief")
    Staff.objects.get(username="chief").user_permissions.set(Permission.objects.all())
    return client


# What a list asks the database

UNIQUE = """
SELECT i.indexrelid::regclass::text, c.conname FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
 WHERE i.indrelid = %s::regclass AND i.indisunique AND NOT i.indisprimary
"""


def multiply(model, times):
    """Have each row of a model so many times more, which its unique columns forbid in earnest; the test's end takes all of it back."""
    table, key = model._meta.db_table, model._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(UNIQUE, [table])
        for index, constraint in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{constraint}" CASCADE' if constraint else f"DROP INDEX {index}")
        columns = ", ".join(f'"{field.column}"' for field in model._meta.concrete_fields if field is not key)
        number = f'"{key.column}" + n * 1000000'
        rows = f'SELECT {number}, {columns} FROM "{table}", generate_series(1, {times}) n'
        cursor.execute(f'INSERT INTO "{table}" ("{key.column}", {columns}) {rows}')


def asked(client, model):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page(model)).status_code == 200, model
    return [query["sql"] for query in queries]


@pytest.mark.walk
def test_every_list_asks_as_many_questions_for_many_rows_as_for_few_and_counts_no_table_to_its_end(everything_allowed):
    make_office()
    for model in MODELS:
        asked(everything_allowed, model)  # what is remembered afterwards
    few = {model: len(asked(everything_allowed, model)) for model in MODELS}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        for model in MODELS:
            multiply(model, 20)
        cursor.execute("SET session_replication_role = DEFAULT")
    many = {model: asked(everything_allowed, model) for model in MODELS}
    assert {model: len(sqls) for model, sqls in many.items()} == few
    assert max(few.values()) < 20
    counts = {sql for sqls in many.values() for sql in sqls if "COUNT(" in sql.upper()}
    assert len(counts) >= len(MODELS) // 2
    queue = {sql for sql in counts if '"audit_unsealed"' in sql}  # a queue that is emptied each half minute
    assert not {sql for sql in counts - queue if not re.search(r"\(SELECT .* LIMIT \d+\) ", sql)}


def test_no_page_of_a_list_lies_further_than_the_database_likes_to_skip(sign_in, monkeypatch):
    monkeypatch.setattr(EstimatedPaginator, "MOST", 100)
    for number in range(101):
        make_customer(f"C{number}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE customers_customer")
    client = sign_in("clerk")
    shown = client.get(page(Customer))
    pages = 100 // shown.context["cl"].list_per_page
    assert shown.context["cl"].result_count == 101 and shown.context["cl"].paginator.num_pages == pages
    assert client.get(page(Customer), {"p": pages}).status_code == 200 and "e=1" in client.get(page(Customer), {"p": pages + 1}).url


# Filters


def choices(client, model, **query):
    """Return {parameter: {value: label}} that a list offers."""
    cl, found = client.get(page(model), query).context["cl"], {}
    for spec in cl.filter_specs:
        for choice in spec.choices(cl):
            told = QueryDict(choice["query_string"].lstrip("?"))
            for name in set(spec.expected_parameters()) & set(told):
                found.setdefault(name, {})[told[name]] = str(choice["display"])
    return found


@pytest.mark.walk
def test_every_choice_of_every_filter_of_every_list_can_be_chosen_and_what_is_none_is_no_failure(everything_allowed):
    make_office()
    tried = 0
    for model in MODELS:
        for name, values in choices(everything_allowed, model).items():
            for value in values:
                answer = everything_allowed.get(page(model), {name: value})
                assert answer.status_code == 200 and answer.context["cl"].chosen, (model, name, value)
                tried += 1
            assert everything_allowed.get(page(model), {name: "x' OR 1"}).status_code in (200, 302)
            for also in ("", f"&{name}={value}"):
                assert everything_allowed.post(f"{page(model)}?{name}=x{also}", {"export": "csv"}).status_code == 302, (model, name)
    assert tried > 200


def test_customers_are_filtered_by_what_staff_look_for(sign_in):
    client = sign_in("clerk")
    ann, binh, chi = make_customer("ANN"), make_customer("BINH", association="prospect"), make_customer("CHI")
    make_hold(ann)
    chi.restrict(by=make_staff("clerk"), reason="letter 1")
    for query, found in (
        ({"on_hold": "yes"}, ["ANN"]),
        ({"association__exact": "prospect"}, ["BINH"]),
        ({"restricted_at__isempty": "0"}, ["CHI"]),
        ({"restricted_at__isempty": "1"}, ["BINH", "ANN"]),
    ):
        assert refs(client.get(page(Customer), query)) == found
    assert binh


def test_requests_are_filtered_by_what_is_late_and_what_comes(sign_in):
    client, late, soon = sign_in("clerk"), make_request(), make_request()
    make_request()
    today = timezone.localdate()
    for request, due in ((late, today - timedelta(days=1)), (soon, today + timedelta(days=7))):
        RightsRequest._base_manager.filter(pk=request.pk).update(due_on=due)

    def found(**query):
        return [row.pk for row in client.get(page(RightsRequest), query).context["cl"].result_list]

    assert found(due="late") == [late.pk] and late.pk not in found(due="week") and soon.pk in found(due="week")


def test_services_are_filtered_by_when_they_end_counted_from_today(sign_in):
    client, today, ann = sign_in("clerk"), timezone.localdate(), make_customer("ANN")
    ends = {days: make_service(ann, expires_on=today + timedelta(days=days)).pk for days in (-1, 0, 7, 8, 30, 31)}

    def found(value):
        rows = client.get(page(Service), {"expires_on__within": value}).context["cl"].result_list
        return {days for days, number in ends.items() if number in {row.pk for row in rows}}

    assert (found("past"), found("week"), found("month")) == ({-1}, {0, 7}, {0, 7, 8, 30})


def test_mails_of_customers_are_filtered_by_who_took_them(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    mine, colleagues, nobodys = (SupportRequest.receive(ann, "x") for _ in range(3))
    mine.take(by=make_staff("clerk"))
    colleagues.take(by=make_staff("officer"))

    def found(value):
        return [row.pk for row in client.get(page(SupportRequest), {"whose": value}).context["cl"].result_list]

    assert found("mine") == [mine.pk] and found("nobodys") == [nobodys.pk]


def test_entries_are_filtered_by_the_latest_hours(sign_in):
    client = sign_in("auditor")
    make_customer("ANN")
    assert client.get(page(Entry), {"at__within": "day"}).context["cl"].result_count == Entry.objects.count()
    assert client.get(page(Entry), {"at__within": "century"}).status_code == 302
    assert client.get(page(Entry), {"at__gte": "2020-01-01"}).status_code == 400


# Filters that are kept


def keep(client, model, query, name):
    return client.post(f"{page(model)}?{query}", {"keep": name}, follow=True, headers={"accept-language": "en"})


def test_a_filter_is_kept_as_a_link_for_its_member_alone_with_an_entry(sign_in):
    client = sign_in("clerk")
    make_customer("ANN", association="prospect")
    answer = keep(client, Customer, "association__exact=prospect&on_hold=yes", "to call")
    assert 'href="?association__exact=prospect&amp;on_hold=yes"' in answer.text and "to call" in answer.text
    kept = SavedFilter.objects.get()
    entry = Entry.objects.first()
    assert (kept.member, kept.list) == (make_staff("clerk"), "customers.customer")
    assert (entry.action, entry.object) == ("filter.keep", f"privacy_office.savedfilter:{kept.pk}")
    assert entry.detail == {"list": "customers.customer", "filter": "association__exact=prospect&on_hold=yes"}, "a name may name a person"
    assert 'aria-current="true"' in client.get(f"{page(Customer)}?on_hold=yes&association__exact=prospect&p=1").text
    assert "to call" not in client.get(page(Service)).text
    assert "to call" not in sign_in("officer").get(page(Customer)).text


def test_a_kept_filter_is_deleted_by_its_member_alone_with_an_entry(sign_in):
    keep(sign_in("clerk"), Customer, "on_hold=yes", "held")
    kept = SavedFilter.objects.get()
    other = sign_in("officer")
    for number in (kept.pk, "x", "", "9" * 30, "٣"):
        assert other.post(page(Customer), {"forget": number}).status_code == 302
    client = sign_in("clerk")
    assert client.post(page(Service), {"forget": kept.pk}).status_code == 302, "of another list"
    assert SavedFilter.objects.exists()
    assert client.post(page(Customer), {"forget": kept.pk}).status_code == 302
    entry = Entry.objects.first()
    assert not SavedFilter.objects.exists() and (entry.action, entry.detail["filter"]) == ("filter.forget", "on_hold=yes")
    latest = entry.pk
    client.post(page(Customer), {"forget": kept.pk})
    assert Entry.objects.first().pk == latest, "what is gone leaves no second entry"


@pytest.mark.parametrize(
    "query",
    ["", "p=2", "o=1", "association__exact=Trần Thị Ánh Tuyết", "on_hold=maybe", "association__isnull=True&restricted_at__isempty=7"],
)
def test_nothing_is_kept_but_what_a_list_offers(sign_in, query):
    client = sign_in("clerk")
    answer = keep(client, Customer, query, "mine")
    assert answer.status_code == 200 and not SavedFilter.objects.exists() and not Entry.objects.filter(action="filter.keep").exists()


@pytest.mark.parametrize("query", ["email__exact=ann@example.org", "ref=ANN", "q=ANN"])
def test_what_is_no_filter_of_the_list_is_a_bad_request(sign_in, query):
    assert sign_in("clerk").post(f"{page(Customer)}?{query}", {"keep": "mine"}).status_code == 400
    assert not SavedFilter.objects.exists()


def test_a_search_is_not_kept_with_its_filter(sign_in):
    client = sign_in("clerk")
    make_customer("ANN", association="prospect")
    sealed = search(client, Customer, "ANN", association__exact="prospect").redirect_chain[0][0].partition("?")[2]
    keep(client, Customer, sealed, "prospects")
    assert SavedFilter.objects.get().query == "association__exact=prospect"


def test_a_name_stands_for_one_filter_and_a_member_keeps_only_so_many(sign_in, monkeypatch):
    client = sign_in("clerk")
    keep(client, Customer, "on_hold=yes", "work")
    keep(client, Customer, "association__exact=ended", " work ")
    assert SavedFilter.objects.get().query == "association__exact=ended"
    for name in ("", " ", "x" * 41, "\0"):
        assert keep(client, Customer, "on_hold=yes", name).status_code == 200
    monkeypatch.setattr(SavedFilter, "MOST", 1)
    assert "delete one first" in keep(client, Customer, "on_hold=yes", "second").text
    assert SavedFilter.objects.count() == 1
    keep(client, Customer, "on_hold=yes", "work")
    assert SavedFilter.objects.get().query == "on_hold=yes"


def test_a_filter_that_the_list_no_longer_offers_is_not_shown(sign_in):
    client = sign_in("clerk")
    SavedFilter.objects.create(member=make_staff("clerk"), list="customers.customer", name="of old", query="gone__exact=1")
    answer = client.get(page(Customer))
    assert answer.status_code == 200 and "of old" not in answer.text


def test_whoever_may_not_see_a_list_keeps_nothing_of_it(sign_in):
    client, before = sign_in("marketer"), tables()
    assert client.post(f"{page(Customer)}?on_hold=yes", {"keep": "mine"}).status_code == 403
    assert client.post(page(Customer), {"export": "csv"}).status_code == 403
    assert changed(before) == {"audit_entry"}


def test_a_filter_whose_entry_cannot_be_written_is_not_kept(sign_in):
    client = sign_in("clerk")
    client.raise_request_exception = False
    keep(client, Customer, "on_hold=yes", "one")
    refuse_entry("filter.keep")
    assert client.post(f"{page(Customer)}?on_hold=yes", {"keep": "two"}).status_code == 503
    assert SavedFilter.objects.get().name == "one"


# A list as a file


def export(client, model, query=""):
    return client.post(f"{page(model)}?{query}", {"export": "csv"})


def lines(answer):
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(StringIO(text[1:])))


def test_a_list_leaves_as_it_is_filtered_with_an_entry(sign_in):
    client = sign_in("officer")
    make_customer("ANN", **PLAIN)
    binh = make_customer("BINH", association="ended", association_ended_on=date(2026, 3, 1))
    make_hold(binh)
    answer = client.post(f"{page(Customer)}?association__exact=ended", {"export": "csv"}, headers={"accept-language": "en"})
    assert answer.streaming and answer["Content-Disposition"] == 'attachment; filename="customers-customer.csv"'
    assert "no-store" in answer["Cache-Control"]
    head, *rows = lines(answer)
    assert rows == [["BINH", str(binh.public_id), "ended", "2026-03-01", "vi", "verified", "yes", "", ""]]
    assert head[:3] == ["ref", "public_id", "association"]
    entry = Entry.objects.first()
    assert (entry.action, entry.actor) == ("list.export", f"staff:{make_staff('officer').pk}")
    told = {"list": "customers.customer", "filter": "association__exact=ended", "searched": False, "rows": 1, "columns": head}
    assert entry.detail == told


@pytest.mark.walk
def test_no_file_of_any_list_holds_a_person(everything_allowed):
    make_office()
    exported = 0
    for model in MODELS:
        answer = export(everything_allowed, model)
        assert answer.status_code == 200, model
        text = b"".join(answer.streaming_content).decode()
        assert not [secret for secret in SECRETS if secret in text], model
        assert not {field.name for field in encrypted(model)} & set(text.splitlines()[0].split(",")), model
        assert "•" not in text and "<" not in text and "gAAAAA" not in text, model
        exported += 1
    assert exported == len(MODELS) == Entry.objects.filter(action="list.export").count()


def test_the_columns_of_customers_are_these_and_no_other():
    """Adding one is a decision: none may hold what tells of a person."""
    assert admin.site._registry[Customer].exported() == [
        "ref", "public_id", "association", "association_ended_on", "locale", "email_state", "on_hold", "restricted_at", "erased_at",
    ]  # fmt: skip


def test_the_entry_stands_before_the_first_byte_and_without_it_there_is_none(sign_in):
    client = sign_in("officer")
    make_customer("ANN")
    answer = export(client, Customer)
    assert Entry.objects.filter(action="list.export").exists(), "nothing of the answer was read yet"
    assert len(lines(answer)) == 2
    refuse_entry("list.export")
    client.raise_request_exception = False
    refused = export(client, Customer)
    assert refused.status_code == 503 and not refused.streaming


@pytest.mark.parametrize("role", ROLES)
def test_only_who_has_the_right_exports_and_a_try_leaves_its_entry(sign_in, role):
    make_customer("ANN")
    model = {"marketer": Campaign, "approver": Campaign, "administrator": Staff}.get(role, Customer)
    make_campaign()
    client = sign_in(role)
    may = role == "officer"
    assert ('name="export"' in client.get(page(model)).text) == may
    answer = export(client, model)
    assert answer.status_code == (200 if may else 403)
    assert Entry.objects.first().action == ("list.export" if may else "admin.refused")


def test_nothing_is_exported_by_looking(sign_in):
    client, before = sign_in("officer"), tables()
    make_customer("ANN")
    assert client.get(page(Customer), {"export": "csv"}).status_code == 400
    assert not Entry.objects.filter(action="list.export").exists() and before


def test_a_file_has_only_so_many_rows(sign_in, settings):
    client, settings.EXPORT_MOST = sign_in("officer"), 2
    for number in range(3):
        make_customer(f"C{number}", association="ended" if number else "active")
    answer = client.post(page(Customer), {"export": "csv"}, follow=True, headers={"accept-language": "en"})
    assert "more than 2 rows" in answer.text and not Entry.objects.filter(action="list.export").exists()
    assert len(lines(export(client, Customer, "association__exact=ended"))) == 3


def test_a_search_is_exported_and_its_text_is_told_to_nobody(sign_in):
    client = sign_in("officer")
    make_customer("ANN", **PLAIN)
    make_customer("BINH")
    sealed = search(client, Customer, PLAIN["email"]).redirect_chain[0][0].partition("?")[2]
    assert [row[0] for row in lines(export(client, Customer, sealed))] == ["ref", "ANN"]
    told = Entry.objects.first().detail
    assert told["searched"] and told["filter"] == "" and PLAIN["email"] not in str(told)


def test_formulas_leave_as_text_and_rows_in_their_order_by_pieces(sign_in, monkeypatch):
    monkeypatch.setattr("privacy_office.admin.exports.BATCH", 2)
    client, ann = sign_in("officer"), make_customer("=1+1")
    for number in range(5):
        make_service(ann, product="@SUM(A1)", plan=f"-{number}")
    answer = export(client, Service)
    pieces = list(answer.streaming_content)
    assert len(pieces) == 4
    rows = list(csv.reader(StringIO(b"".join(pieces).decode()[1:])))[1:]
    assert [row[1] for row in rows] == [f"'-{number}" for number in (4, 3, 2, 1, 0)]
    assert {(row[0], row[2]) for row in rows} == {("'@SUM(A1)", "'=1+1")}


def test_a_file_is_made_with_a_fixed_number_of_queries_a_piece(sign_in):
    client, ann = sign_in("officer"), make_customer("ANN")
    counts = []
    for more in (1, 6):
        for _ in range(more):
            consent(ann)
            withdraw(ann)
            Message.objects.create(campaign=make_campaign(), customer=ann, purpose=Purpose.objects.first(), state="sent")
        for model in (ConsentState, Message, Customer):
            answer = export(client, model)
            with CaptureQueriesContext(connection) as queries:
                assert len(lines(answer)) > 1
            counts.append((model, len(queries)))
    assert set(counts) == {(ConsentState, 1), (Message, 1), (Customer, 1)}


# Where there is nothing


def test_an_empty_list_says_what_to_do_and_a_filtered_one_how_to_see_more(everything_allowed):
    empty = [model for model in MODELS if not model._default_manager.exists()]
    assert len(empty) > 30
    for model in empty:
        answer = everything_allowed.get(page(model), headers={"accept-language": "en"})
        with translation.override("en"):
            words = str(admin.site._registry[model].when_empty)
        assert words != str(PLAIN_WORDS) and len(words) > 20, model
        assert re.sub("'", "&#x27;", words) in answer.text, model
    make_customer("ANN")
    answer = everything_allowed.get(page(Customer), {"on_hold": "yes"}, headers={"accept-language": "en"})
    assert "Nothing fits." in answer.text and 'class="nothing"' in answer.text
    assert 'class="nothing"' not in everything_allowed.get(page(Customer)).text
    assert {Correction, EmailHold} <= set(empty)
