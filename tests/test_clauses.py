"""The page of the clauses: it says how each stands, from what is really there, and turns red by what is really wrong."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import trail
from audit.models import Verification
from consent import rebuilding
from customers import retention
from customers.models import HoldRule, Notice, RetentionRun
from privacy_office.clauses import CHECKS, CLAUSES, stand
from privacy_office.models import Canary
from tests.make import (
    consent,
    make_commitment,
    make_customer,
    make_data_request,
    make_policy,
    make_request,
    make_staff,
    make_third_party,
    propose,
)

PAGE = "/admin/consent/policyversion/clauses/"

pytestmark = pytest.mark.django_db


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def well(number, now=None):
    """Return {check: whether it is well} of a clause."""
    return {says: seen.well for clause, checks in stand(now or timezone.now()) if clause.number == number for says, seen in checks}


@pytest.fixture
def nights():
    """An office that is published, and has had its night."""
    make_policy(1)
    rebuilding.compare_and_tell(by=None)
    retention.apply()
    trail.verify_and_keep(by=None)


def test_after_its_first_night_an_office_is_well_and_before_that_nobody_looked(nights):
    assert {seen.well for _clause, checks in stand(timezone.now()) for _says, seen in checks} == {True}


def test_before_the_first_night_nobody_looked():
    assert well("§1.1") == {CHECKS_BY_NAME["ledger"]: None} and well("§6.1")[CHECKS_BY_NAME["trail"]] is None


CHECKS_BY_NAME = {check.__name__: says for check, says in CHECKS.items()}


def unpublish():
    sql("SET session_replication_role = replica")  # triggers sleep
    sql("UPDATE consent_policyversion SET published_at = NULL, digest = ''")
    sql("SET session_replication_role = DEFAULT")


def break_the_ledger():
    ann = make_customer()
    consent(ann)
    sql("UPDATE consent_consentstate SET state = 'withdrawn'")
    rebuilding.compare_and_tell(by=None)


def be_late():
    make_request(make_customer(), "copy")
    sql("UPDATE customers_rightsrequest SET due_on = '2020-01-01'")


def correct_late():
    propose(make_customer())
    sql("UPDATE customers_correction SET due_on = '2020-01-01'")


def answer_late():
    make_data_request(make_customer())
    sql("UPDATE disclosures_disclosurerequest SET due_at = '2020-01-01'")


def tell_nobody():
    Notice.tell(make_customer(), Notice.Kind.PASSWORD_CHANGED)
    sql("UPDATE customers_notice SET at = now() - interval '1 hour'")


WRONG = {
    "published": unpublish,
    "ledger": break_the_ledger,
    "retention": lambda: RetentionRun.objects.update(at=timezone.now() - timedelta(days=3)),
    "trail": lambda: Verification.objects.create(entries=1, checkpoints=1, rows=1, seconds=1, problems=[{"at": "entry 1"}]),
    "append_only": lambda: sql("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_update"),
    "grounds": lambda: sql("ALTER TABLE disclosures_disclosure DROP CONSTRAINT disclosure_has_a_ground"),
    "keys": lambda: (make_customer(), Canary.objects.all().delete()),
    "roles": lambda: Group.objects.get(name="marketer").permissions.add(Permission.objects.get(codename="view_customer")),
    "requests": be_late,
    "corrections": correct_late,
    "told": tell_nobody,
    "hold_rules": lambda: HoldRule.objects.all()._raw_delete(HoldRule.objects.db),
    "purposes": lambda: sql("UPDATE consent_purpose SET legal_basis = 'agreement' WHERE code = 'surveys'"),
    "renewals": lambda: sql("UPDATE mailings_renewalnotice SET active = false"),
    "answers": answer_late,
    "commitments": lambda: make_third_party("payment_processor"),
}


@pytest.mark.parametrize("name", list(CHECKS_BY_NAME))
def test_what_is_wrong_is_found_and_nothing_else_is(nights, name):
    WRONG[name]()
    found = {says: seen.well for _clause, checks in stand(timezone.now()) for says, seen in checks}
    assert [says for says, fine in found.items() if not fine] == [CHECKS_BY_NAME[name]]


def test_a_night_that_did_not_come_for_days_is_not_well(nights):
    later = timezone.now() + timedelta(days=3)
    assert set(well("§1.1", later).values()) == {False}
    assert well("§6.1", later)[CHECKS_BY_NAME["trail"]] is False and well("§1.2", later)[CHECKS_BY_NAME["retention"]] is False


def test_a_commitment_in_force_is_enough(nights):
    make_commitment(make_third_party("payment_processor"))
    assert set(well("§6.3b").values()) == {True}


# The page


@pytest.mark.parametrize("role", ["officer", "auditor"])
def test_the_page_shows_every_clause_with_its_result_and_where_it_is_kept(client, nights, role):
    client.force_login(make_staff(role))
    page = client.get(PAGE, headers={"accept-language": "en"}).text
    for clause in CLAUSES:
        assert f'<th scope="row">{clause.number}</th>' in page and str(clause.asks).split(",")[0].replace("'", "&#x27;") in page
    assert page.count("all is well") == len([c for c in CLAUSES if c.checks])
    assert page.count("not kept yet") == len([c for c in CLAUSES if c.checks is None])
    assert "/admin/consent/purpose/" in page and "/admin/audit/checkpoint/" in page
    assert PAGE in client.get("/admin/").text


def test_the_page_says_what_is_not_so_and_since_when(client, nights):
    be_late()
    client.force_login(make_staff("officer"))
    page = client.get(PAGE, headers={"accept-language": "en"}).text
    assert 'No request of a customer is late.  <strong class="no">not so</strong>' in page and "needs attention" in page
    assert f'<time datetime="{Verification.objects.first().at.astimezone():%Y-%m-%dT%H}' in page


@pytest.mark.parametrize("role", ["clerk", "marketer", "approver", "administrator"])
def test_the_page_is_closed_to_others_and_not_offered_to_them(client, role):
    client.force_login(make_staff(role))
    assert client.get(PAGE).status_code == 403 and PAGE not in client.get("/admin/").text


def test_every_list_that_the_page_leads_to_is_there():
    assert not [label for clause in CLAUSES for label in clause.places if not admin.site.is_registered(apps.get_model(label))]


def test_the_page_takes_the_same_queries_however_many_rows(client, nights):
    client.force_login(make_staff("officer"))

    def queries():
        with CaptureQueriesContext(connection) as caught:
            client.get(PAGE)
        return [query["sql"] for query in caught if "COUNT(*)" not in query["sql"]]

    before = len(queries())
    for number in range(5):
        consent(make_customer(f"c{number}"))
        be_late()
    assert len(queries()) == before < 50
