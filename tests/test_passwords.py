"""Passwords of customers: set by a link or with the old one, and a door that is as long in saying no to anybody."""

import re
import statistics
import time
import unicodedata
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from audit.models import Entry
from customers import passwords
from customers.erasure import erase
from customers.models import AccessRequest, Anomaly, Customer, Link, Notice, Session
from tests.make import make_customer, make_hold, make_staff
from tests.post import sent
from tests.test_my import ask, issue

pytestmark = pytest.mark.django_db
DOOR = "/my/sign-in/password/"
GOOD, OTHER = "chín con ngựa dưới cây đa", "mười con trâu bên bờ ao"
TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="\w+"')
NETWORK = b"network-of-a-test"[:16]


@pytest.fixture
def ann():
    customer = make_customer("ANN")
    passwords.change(customer, GOOD, how="test")
    return customer


def enter(client, email, password=GOOD):
    return client.post(DOOR, {"with-email": email, "with-password": password})


def signed_in(client):
    return client.get("/my/").status_code == 200


def test_address_and_password_sign_in_however_the_keyboard_writes_vietnamese(client, ann):
    decomposed = unicodedata.normalize("NFD", GOOD)
    assert enter(client, f" {ann.email.upper()} ", decomposed).url == "/my/"
    assert signed_in(client)
    assert Entry.objects.get(action="customer.sign_in").detail["how"] == "password"


def test_the_hash_is_argon2id_and_lies_in_no_history(ann):
    assert ann.password.startswith("argon2$argon2id$")
    assert "password" not in {field.name for field in Customer.history.model._meta.fields}
    entry = Entry.objects.get(action="customer.set_password")
    assert entry.detail == {"fields": ["password"], "reason": "test"} and GOOD not in str(Entry.objects.values())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", ["unknown", "without password", "wrong password", "locked", "erased"])
def test_the_answer_is_the_same_in_bytes_whatever_is_wrong(client, ann, case):
    make_customer("BIN")
    gone = make_customer("CHI")
    passwords.change(gone, GOOD, how="test")
    expected = enter(client, "nobody@example.org", "wrong")
    email = {"unknown": "xxx@example.org", "without password": "bin@example.org", "erased": "chi@example.org"}.get(case, ann.email)
    if case == "erased":
        erase(gone, by=None, reason="asked")
    if case == "locked":
        for _ in range(10):
            enter(Client(), email, "wrong")
    answer = enter(client, email, "wrong" if case == "wrong password" else GOOD)
    shown = [TOKEN.sub(b"", a.content).replace(e.encode(), b"") for a, e in ((answer, email), (expected, "nobody@example.org"))]
    assert shown[0] == shown[1] and answer.status_code == expected.status_code == 200
    assert not signed_in(client)


def test_a_no_takes_as_long_for_an_address_that_nobody_has(ann, settings):
    """What takes time is one Argon2 hash, which is made in every case; the queries are the same ones."""
    make_customer("BIN")
    spent = {"xxx@example.org": [], "bin@example.org": [], ann.email: []}
    for _ in range(12):
        for email, times in spent.items():
            AccessRequest.objects.all().delete()
            began = time.perf_counter()
            assert passwords.enter(email, "wrong", NETWORK) is None
            times.append(time.perf_counter() - began)
    medians = sorted(statistics.median(times) for times in spent.values())
    assert medians[-1] / medians[0] < 1.35, spent


def test_the_queries_are_the_same_whether_the_address_is_known(ann, django_assert_num_queries):
    for email in ("xxx@example.org", ann.email):
        with django_assert_num_queries(5):
            passwords.enter(email, "wrong", NETWORK)


@pytest.mark.usefixtures("quick")
def test_ten_failures_lock_the_password_for_a_quarter_of_an_hour_and_never_the_link(client, ann):
    now = timezone.now()
    for _ in range(10):
        assert passwords.enter(ann.email, "wrong", NETWORK, at=now) is None
    assert passwords.enter(ann.email, GOOD, NETWORK, at=now) is None, "the right one too"
    ask(client, ann.email)
    AccessRequest.objects.answer()
    assert Notice.objects.filter(kind="sign_in").count() == 1
    assert passwords.enter(ann.email, GOOD, NETWORK, at=now + timedelta(minutes=15)) == ann


@pytest.mark.usefixtures("quick")
def test_a_network_that_fails_a_hundred_times_is_locked_for_every_address(ann):
    for number in range(100):
        knock = AccessRequest.of(AccessRequest.Kind.FAILED, f"n{number}@example.org", NETWORK)
        knock.answered_at = knock.at
        knock.save()
    assert passwords.enter(ann.email, GOOD, NETWORK) is None
    assert passwords.enter(ann.email, GOOD, b"another network!") == ann


@pytest.mark.usefixtures("quick")
def test_failures_can_be_counted_by_the_blind_index_of_the_address(client, ann):
    for _ in range(3):
        enter(client, ann.email, "wrong")
    assert AccessRequest.objects.failed().filter(indexes__contains=[ann.email_index]).count() == 3
    AccessRequest.objects.answer()
    assert not Notice.objects.filter(kind="sign_in").exists() and Anomaly.objects.filter(customer=ann, kind="failed_sign_in").count() == 3


@pytest.mark.usefixtures("quick")
def test_who_asked_for_links_too_often_has_one_that_still_works(ann):
    now = timezone.now()
    for number in range(6):
        AccessRequest.ask(ann.email, NETWORK, at=now - timedelta(minutes=29 - number))
    assert AccessRequest.objects.count() == 5
    first = AccessRequest.objects.order_by("at").first()
    assert first.at + Link.LASTS[Link.Use.SIGN_IN] > now


def test_a_link_sets_a_password_once_ends_other_sessions_and_tells(client, ann):
    there = Client()
    there.post(issue(ann)[1])
    row, url = issue(ann, Link.Use.PASSWORD)
    assert client.get(url).status_code == 200
    assert "15" in client.post(url, {"new": "too short", "again": "too short"}).text
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    assert "different" in client.post(url, {"new": OTHER, "again": GOOD}).text
    row.refresh_from_db()
    assert row.used_at is None, "what is typed wrong does not use it up"
    assert client.post(url, {"new": OTHER, "again": OTHER}).url == "/my/"
    assert signed_in(client) and not signed_in(there)
    assert client.post(url, {"new": GOOD, "again": GOOD}).status_code == 410
    assert enter(Client(), ann.email, OTHER).status_code == 302
    assert Notice.objects.filter(kind="password_changed").count() == 2


@pytest.mark.parametrize("weak", ["password12345", "ann@example.org", "Nguyễn Thị Ann 1", "1q2w3e4r5t6y7u8i"])
def test_weak_passwords_are_refused(ann, weak):
    with pytest.raises(ValidationError):
        passwords.change(ann, weak, how="test")


def test_while_signed_in_the_old_password_is_asked_for_and_guesses_are_counted(client, ann):
    enter(client, ann.email)
    new = {"new": OTHER, "again": OTHER}
    assert client.post("/my/access/", {"old": "wrong", **new}).status_code == 200
    assert AccessRequest.objects.failed().count() == 1
    assert client.post("/my/access/", {"old": GOOD, **new}).status_code == 302
    assert signed_in(client), "here one stays signed in"
    ann.refresh_from_db()
    assert passwords.is_right(ann, OTHER, NETWORK)


def test_a_customer_without_a_password_sets_none_without_a_link(client):
    binh = make_customer("BINH")
    client.post(issue(binh)[1])
    for old in ("", "x"):
        client.post("/my/access/", {"old": old, "new": OTHER, "again": OTHER})
    binh.refresh_from_db()
    assert binh.password == ""
    client.post("/my/access/password-link/")
    AccessRequest.objects.answer()
    assert Notice.objects.get().kind == "password"


def test_while_an_address_is_held_no_password_is_set_by_mail_and_none_lets_in(client, ann, sink):
    make_hold(ann)
    client.post("/my/sign-in/", {"email": ann.email, "way": "password"})
    AccessRequest.objects.answer()
    assert sent()["ANN"].reason in ("address_on_hold", "allowed")
    assert [m for m in sink.mails if "/link/" in m.message.as_string()] == []
    assert client.post(issue(ann, Link.Use.PASSWORD)[1], {"new": OTHER, "again": OTHER}).status_code == 410
    assert enter(client, ann.email).status_code == 410
    assert not Session.objects.exists()


def test_an_erased_customer_has_no_password(ann):
    erase(ann, by=make_staff("officer"), reason="asked")
    ann.refresh_from_db()
    assert ann.password == ""
