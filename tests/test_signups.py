"""Sign-ups from the company's own site: signed, once, at a measured pace; nobody but the owner of the address makes a consent of one."""

import hashlib
import hmac
import json
import re
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from consent import gate, receipts
from consent.models import ConsentEvent, Suppression
from customers import erasure, retention
from customers.erasure import erase
from customers.models import Customer, Erasure, Link, Notice, SignUp
from mailings.models import Message
from tests.make import consent, make_customer, make_hold, make_policy, make_sign_up, make_staff, withdraw
from tests.post import link, sent, text
from tests.walk import tables

pytestmark = pytest.mark.django_db
KEY = "a key that the site and the office share, of 48 c"
TOLD = {"email": "new@example.org", "purposes": ["promotions", "surveys"], "language": "en", "policy_version": 1, "network": "192.0.2.7"}


@pytest.fixture(autouse=True)
def shared(settings):
    settings.SIGNUP_KEY = ["the key that comes next, of as many characters", KEY]
    make_policy(1)


def signed(body, at=None, key=KEY):
    at = int(at or time.time())
    return f"t={at},v1={hmac.new(key.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def post(told=None, signature=None, **changes):
    body = json.dumps({**TOLD, **(told or {}), **changes}).encode()
    headers = {"X-Signature": signed(body) if signature is None else signature(body)}
    return Client(enforce_csrf_checks=True).post("/sign-up/", body, content_type="application/json", headers=headers)


def signed_up(sink, **changes):
    """Sign up and have the owner asked; return the address of the page that the mail leads to."""
    assert post(**changes).status_code == 202
    SignUp.objects.ask()
    sent()
    return next(link(mail) for mail in reversed(sink.mails) if "/link/" in text(mail))


def press(path, number=1):
    return Client(enforce_csrf_checks=True).post(path, {"policy_number": number})


def allowed(customer, purpose="promotions"):
    return gate.decide([customer.pk], purpose, "email")[customer.pk].allowed


# What the endpoint takes


@pytest.mark.parametrize(
    "signature",
    [
        lambda body: "",
        lambda body: "v1=00",
        lambda body: signed(body, key="another key, of as many characters as it takes"),
        lambda body: signed(body + b" "),
        lambda body: signed(body, at=time.time() - 301),
        lambda body: signed(body, at=time.time() + 330),
        lambda body: signed(body).replace("t=", "t=1"),
        lambda body: signed(body).upper(),
    ],
    ids=["none", "torn", "another key", "another body", "old", "of the future", "another moment", "another form"],
)
def test_without_a_signature_of_these_minutes_nothing_is_kept(signature):
    answer = post(signature=signature)
    assert (answer.status_code, answer.json()) == (403, {"status": "refused", "reason": "signature"})
    assert not SignUp.objects.exists()


def test_without_a_shared_key_there_is_no_such_address(settings):
    settings.SIGNUP_KEY = []
    assert post().status_code == 404
    assert Client().get("/sign-up/").status_code == 405


def test_the_same_request_counts_once():
    moment = time.time()
    answers = [post(signature=lambda body: signed(body, at=moment)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert SignUp.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "no address"}, {"email": None}, {"email": "a" * 250 + "@example.org"}, {"purposes": []}, {"purposes": "promotions"},
        {"purposes": ["payment_confirmation"]}, {"purposes": ["account_access"]}, {"purposes": ["nothing"]}, {"purposes": [["promotions"]]},
        {"language": "fr"}, {"language": []}, {"network": "nowhere"}, {"network": 7.5},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_and_not_kept(changes):
    assert post(changes).json() == {"status": "refused", "reason": "not understood"}
    assert not SignUp.objects.exists()


def test_no_object_and_too_much_are_refused():
    for body, status in ((b"[]", 400), (b"[" * 9000, 400), (b"\xff", 400), (b'"' + b"x" * 10_000 + b'"', 413)):
        answer = Client().post("/sign-up/", body, content_type="application/json", headers={"X-Signature": signed(body)})
        assert answer.status_code == status


def test_the_form_must_have_shown_the_policy_in_force():
    make_policy(2)
    assert post().json()["reason"] == "policy"
    assert post(policy_version=3).json()["reason"] == "policy"
    assert post(policy_version=2).status_code == 202


def test_the_answer_and_the_work_are_the_same_for_an_address_that_somebody_has_and_for_one_that_nobody_has():
    ann, held, gone = make_customer("ANN"), make_customer("HELD"), make_customer("GONE")
    consent(ann)
    withdraw(held)
    make_hold(held)
    erased = gone.email
    erase(gone, by=None, reason="asked")
    post(email="warm@example.org")
    answers, work = [], set()
    for email in (ann.email, "nobody@example.org", held.email, erased):
        with CaptureQueriesContext(connection) as asked:
            answers.append(post(email=email))
        work.add(tuple(re.sub(r"'[^']*'| ?-?[0-9]+", "?", query["sql"]) for query in asked))
    assert len(work) == 1 and not [query for query in work.pop() if "customers_customer" in query]
    assert (
        len(
            {
                (a.status_code, a.content, tuple(h for h in sorted(a.headers.items()) if h[0] not in ("Expires", "X-Request-ID")))
                for a in answers
            }
        )
        == 1
    )
    assert Customer.objects.filter(association="prospect").count() == 0, "who has it is looked up by a worker, later"
    assert not Notice.objects.filter(kind="confirm_signup").exists()


def test_one_address_is_asked_thrice_a_day_and_the_form_is_not_told():
    assert [post(network=f"198.51.100.{n}").status_code for n in range(5)] == [202] * 5
    assert SignUp.objects.filter(email__isnull=False).count() == 3
    while SignUp.objects.ask():
        pass
    assert Notice.objects.count() == 3
    SignUp.objects.update(received_at=timezone.now() - timedelta(days=1))
    post()
    SignUp.objects.ask()
    assert Notice.objects.count() == 4


def test_one_network_signs_up_thirty_times_an_hour_whoever_it_is():
    answers = [post(email=f"a{n}@example.org", network=f"2001:db8::{n}") for n in range(32)]
    assert [a.status_code for a in answers] == [202] * 30 + [429] * 2
    assert post(network="2001:db8:0:1::1").status_code == 202, "another network"
    SignUp.objects.update(received_at=timezone.now() - timedelta(hours=1))
    assert post(network="2001:db8::1").status_code == 202


def test_where_the_form_does_not_say_who_filled_it_in_the_network_of_the_site_counts():
    post(network=None)
    post(email="b@example.org", network="127.0.0.1")
    assert SignUp.objects.values("network").distinct().count() == 1


def test_the_recipe_of_the_document_signs_what_the_office_takes(monkeypatch):
    (recipe,) = re.findall(r"```python\n(.*?)```", (settings.BASE_DIR / "docs" / "SIGN_UP.md").read_text(), re.DOTALL)
    monkeypatch.setattr("urllib.request.urlopen", carry)
    given = {}
    exec(recipe, given)
    assert given["sign_up"]("https://office.example", KEY, **TOLD).status_code == 202


def carry(asked, timeout):
    """Bring a request of urllib to the office."""
    return Client().post(asked.selector, asked.data, content_type=asked.get_header("Content-type"), headers=dict(asked.header_items()))


# Who is asked, and what the press of the button does


def test_a_newcomer_is_asked_and_the_press_alone_gives_the_consent(sink):
    path = signed_up(sink)
    (mail,) = sink.mails
    assert mail.message["To"] == "new@example.org" and "None" not in text(mail)
    new = Customer.objects.get(association="prospect")
    assert (new.email, new.locale, new.email_state, new.full_name) == ("new@example.org", "en", "unverified", None)
    assert SignUp.objects.get().email is None, "the customer has it now"
    before = tables()
    page = Client().get(path)
    Client().head(path)
    assert tables() == before
    assert "Promotions" in page.text and "version 1" in page.text and "<button" in page.text
    assert not ConsentEvent.objects.exists() and not allowed(new)
    assert press(path).status_code == 200
    new.refresh_from_db()
    assert new.email_state == "verified" and allowed(new) and allowed(new, "surveys") and not allowed(new, "product_news")
    events = ConsentEvent.objects.filter(customer=new)
    row = SignUp.objects.get()
    for event in events:
        assert (event.event, event.source, event.by) == ("given", "signup_form", f"customer:{new.public_id}")
        assert event.shown_digest == event.policy_version.shown_digest("en")
        assert bytes(row.request).hex() in event.evidence.text and f"link {Link.objects.get().pk}" in event.evidence.text
        told = receipts.receipt(event)
        assert (told["event"]["event_type"], told["event"]["event_state"]) == ("explicit", "given")
        assert receipts.find(new, receipts.receipt_id(event)) == event
    assert (row.indexes, bytes(row.network)) == ([], b"") and row.confirmed_at
    assert Client().get(path).status_code == press(path).status_code == 410
    assert ConsentEvent.objects.count() == 2


def test_a_customer_confirms_too_and_what_stood_before_stands(sink):
    ann = make_customer("ANN")
    consent(ann, "product_news")
    path = signed_up(sink, email=f"  {ann.email.upper()} ")
    assert press(path).status_code == 200
    assert allowed(ann) and allowed(ann, "product_news")
    assert Customer.objects.count() == 1


def test_a_page_that_showed_another_policy_gives_no_consent_and_may_be_pressed_again(sink):
    path = signed_up(sink)
    make_policy(2)
    for number in (1, "", "x"):
        assert press(path, number).status_code == 409
    assert not ConsentEvent.objects.exists()
    assert 'value="2"' in Client().get(path).text
    assert press(path, 2).status_code == 200
    assert {event.policy_version.number for event in ConsentEvent.objects.all()} == {2}


def test_who_refused_before_may_choose_again_by_this_act_of_their_own(sink):
    ann = make_customer("ANN")
    consent(ann)
    withdraw(ann)
    path = signed_up(sink, email=ann.email)
    assert not allowed(ann), "a sign-up alone lifts nothing"
    press(path)
    assert allowed(ann)
    assert not Suppression.objects.filter(lifted_at=None).exists()


def test_an_erased_persons_no_stands_until_they_press_the_button_themselves(sink):
    ann = make_customer("ANN")
    consent(ann)
    withdraw(ann)
    email = ann.email
    erase(ann, by=None, reason="asked")
    path = signed_up(sink, email=email)
    new = Customer.objects.living().get()
    assert gate.decide([new.pk], "promotions", "email")[new.pk].reason == "suppressed"
    press(path)
    assert allowed(new)


def test_a_suspended_address_is_not_asked_and_a_link_sent_before_does_nothing(sink):
    ann, binh = make_customer("ANN"), make_customer("BINH")
    path = signed_up(sink, email=ann.email)
    make_hold(ann)
    assert press(path).status_code == 410
    make_hold(binh)
    make_sign_up(binh)
    sent()
    assert Message.objects.get(customer=binh).state == "blocked"
    assert not ConsentEvent.objects.exists()


def test_a_link_to_an_address_that_is_no_longer_the_customers_does_nothing(sink):
    ann = make_customer("ANN")
    path = signed_up(sink, email=ann.email)
    ann.correct(by=make_staff("clerk"), reason="ticket 1", email="other@example.org")
    assert press(path).status_code == 409
    assert not ConsentEvent.objects.exists()


def test_an_erased_customers_link_does_nothing(sink):
    ann = make_customer("ANN")
    path = signed_up(sink, email=ann.email)
    erase(ann, by=None, reason="asked")
    assert press(path).status_code == 410
    row = SignUp.objects.get()
    assert (row.indexes, bytes(row.network), row.email) == ([], b"", None)


def test_an_erasure_takes_a_sign_up_that_nobody_was_asked_about_yet():
    ann = make_customer("ANN")
    make_sign_up(ann, asked=False)
    make_sign_up(email="other@example.org", asked=False)
    erase(ann, by=None, reason="asked")
    assert [row.email for row in SignUp.objects.all()] == ["other@example.org"]


# What nobody confirms


def after(days):
    return timezone.now() + timedelta(days=days)


def forgotten(at):
    retention.apply(at=at)
    for going in Erasure.objects.under_way():
        erasure.carry_on(going)


def test_what_nobody_confirms_leaves_nothing_and_tells_nobody(sink):
    path = signed_up(sink)
    binh = make_customer("BINH")
    make_sign_up(binh)
    forgotten(after(2.9))
    assert SignUp.objects.count() == 2
    forgotten(after(3.1))
    assert not SignUp.objects.exists() and not ConsentEvent.objects.exists()
    gone = Customer.objects.get(ref__startswith="SIGNUP-")
    assert (gone.email, gone.email_index, bool(gone.erased_at)) == (None, None, True)
    binh.refresh_from_db()
    assert not binh.erased_at and not binh.erasures.exists()
    sent()
    assert not Notice.objects.filter(kind="erasure").exists()
    assert press(path).status_code in (404, 410)
    make_sign_up(email=TOLD["email"])
    assert Customer.objects.living().count() == 2, "who was forgotten may come again"


def test_who_confirmed_one_of_two_stays(sink):
    path = signed_up(sink)
    make_sign_up(email=TOLD["email"])
    press(path)
    forgotten(after(3.1))
    assert not Erasure.objects.exists()
    assert SignUp.objects.get().confirmed_at and allowed(Customer.objects.get())


def test_a_newcomer_who_asked_again_yesterday_is_not_forgotten_yet():
    make_sign_up(email=TOLD["email"], at=timezone.now() - timedelta(days=2))
    make_sign_up(email=TOLD["email"])
    forgotten(after(1.5))
    assert SignUp.objects.count() == 1 and not Erasure.objects.exists()
    forgotten(after(3.1))
    assert Customer.objects.get().erased_at


def test_too_late_is_too_late_before_the_night_too(sink):
    row = make_sign_up(email=TOLD["email"])
    _link, token = Link.issue(row.customer, Link.Use.SIGN_UP, about=row)
    SignUp.objects.update(received_at=timezone.now() - timedelta(days=3, seconds=1))
    assert press(reverse("customers:link_sign_up", args=[token])).status_code == 409
    assert not ConsentEvent.objects.exists()
