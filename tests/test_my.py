"""How customers come in: links that work once, sessions that end, and a door that tells nobody whose address is known."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from customers.models import AccessRequest, Link, Notice, Session
from mailings import notices
from mailings.models import Message
from tests.make import consent, make_campaign, make_customer, make_hold, make_staff
from tests.post import link, sent, text

pytestmark = pytest.mark.django_db
DOOR = "/my/sign-in/"


@pytest.fixture
def ann():
    return make_customer("ANN")


def issue(customer, use=Link.Use.SIGN_IN, **how):
    """Return (link, address) of a one-time link."""
    link, token = Link.issue(customer, use, **how)
    return link, reverse(f"customers:link_{use}", args=[token])


def ask(client, email):
    return client.post(DOOR, {"email": email})


def test_every_notice_has_its_letter():
    assert set(notices.LETTERS) == set(Notice.Kind)


def test_the_door_answers_the_same_for_an_address_that_nobody_has(client, ann):
    known, unknown = ask(client, ann.email), ask(client, "nobody@example.org")
    assert known.status_code == unknown.status_code == 200
    assert known.content == unknown.content


def test_only_who_is_known_gets_a_link(client, ann):
    ask(client, f"  {ann.email.upper()} ")
    ask(client, "nobody@example.org")
    AccessRequest.objects.answer()
    assert [n.customer for n in Notice.objects.all()] == [ann]
    assert not AccessRequest.objects.answer(), "nobody is answered twice"


def test_a_sixth_request_for_one_address_within_the_hour_is_answered_the_same_and_sends_nothing(client, ann):
    answers = set()
    for _ in range(6):
        answers.add(ask(client, ann.email).content)
        AccessRequest.objects.answer()
    assert (len(answers), Notice.objects.count()) == (1, 5)


def test_a_notice_becomes_one_message_however_often_it_is_looked_for(ann):
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    assert (Message.objects.queue_notices(), Message.objects.queue_notices()) == (1, 0)


def test_a_notice_leaves_with_a_link_of_which_a_digest_alone_is_kept(ann, sink):
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    message = sent()["ANN"]
    (mail,) = sink.mails
    assert (message.state, message.purpose.code, mail.recipient) == ("sent", "account_access", ann.email)
    token = link(mail).rstrip("/").rpartition("/")[2]
    assert Link.find(token, Link.Use.SIGN_IN).customer == ann
    assert token.encode() not in bytes(Link.objects.get().digest)
    assert "List-Unsubscribe" not in mail.message and "agreed" not in text(mail)


def test_a_notice_goes_before_a_campaign(ann, sink):
    consent(ann)
    campaign = make_campaign(approved_by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    sent()
    assert [m.message["List-Id"] is None for m in sink.mails] == [True, False]


def test_a_link_is_not_sent_to_an_address_on_hold(ann, sink):
    make_hold(ann)
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    assert sent()["ANN"].reason == "address_on_hold"
    assert not sink.mails


def test_a_restricted_customer_still_comes_to_their_own_data(ann, sink):
    ann.restrict(by=make_staff("clerk"), reason="as asked")
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    assert sent()["ANN"].state == "sent"


def test_looking_at_a_link_changes_nothing_and_pressing_its_button_signs_in_once(client, ann):
    row, url = issue(ann)
    for method in (client.head, client.get, client.options):
        method(url)
    row.refresh_from_db()
    assert row.used_at is None and not Session.objects.exists()
    answer = client.post(url)
    assert answer.url == "/my/"
    assert ann.email in client.get("/my/").text
    assert Client().post(url).status_code == 410


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (30, 410)])
def test_a_link_ends_after_its_time(client, ann, minutes, status):
    _row, url = issue(ann, at=timezone.now() - timedelta(minutes=minutes))
    assert client.get(url).status_code == status


def test_a_link_that_was_sent_twice_works_once(client, ann):
    notice = Notice.tell(ann, Notice.Kind.SIGN_IN)
    (_, first), (_, second) = issue(ann, notice=notice), issue(ann, notice=notice)
    assert client.post(second).status_code == 302
    assert Client().post(first).status_code == 410


def test_a_link_issued_before_a_hold_opens_nothing_while_it_lasts(client, ann):
    _row, url = issue(ann)
    make_hold(ann)
    answer = client.post(url)
    assert answer.status_code == 410
    assert not Session.objects.exists()


def test_a_made_up_link_is_refused_with_a_page_that_helps(client):
    answer = client.get("/link/sign-in/made-up/")
    assert answer.status_code == 404 and DOOR in answer.text


def test_without_a_session_there_is_nothing_to_see(client):
    assert client.get("/my/").url == DOOR


def test_sessions_end_alone_and_all_others_at_once(ann):
    here, there = Client(), Client()
    for browser in (here, there):
        browser.post(issue(ann)[1])
    here.post("/my/end-sessions/")
    assert (here.get("/my/").status_code, there.get("/my/").status_code) == (200, 302)
    here.post("/my/sign-out/")
    assert here.get("/my/").status_code == 302


@pytest.mark.parametrize(("seen", "began", "there"), [(29, 60, True), (30, 60, False), (1, 12 * 60, False)])
def test_a_session_ends_by_itself(ann, seen, began, there):
    now = timezone.now()
    _session, token = Session.begin(ann, how="link", source={}, at=now - timedelta(minutes=began))
    Session.objects.update(seen_at=now - timedelta(minutes=seen))
    assert bool(Session.find(token, now)) == there


def test_every_look_and_every_coming_and_going_leaves_an_entry(client, ann):
    client.post(issue(ann)[1])
    client.get("/my/")
    client.post("/my/sign-out/")
    actions = Entry.objects.filter(subject=ann.public_id, actor=ann.actor).order_by("id").values_list("action", flat=True)
    assert [a for a in actions if a.startswith("customer.")] == ["customer.sign_in", *["customer.look"] * 2, "customer.sign_out"]
    assert Entry.objects.get(action="customer.sign_in").detail["address"] == "127.0.0.1"
