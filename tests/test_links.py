"""Links in mails: looking at one changes nothing, whoever looks; its button acts once, in time, for whom and for what it was sent."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from customers.models import Link, Notice
from mailings import notices
from mailings.models import queue_renewals
from tests.links import CASES
from tests.make import consent, make_campaign, make_customer, make_hold, make_policy, make_service, make_staff
from tests.post import sent
from tests.walk import tables

pytestmark = pytest.mark.django_db
DOOR = "/my/sign-in/"
LINK = re.compile(r"https?://[^\s<>\"']+")
OFFICES = {"full_name", "company", "phone", "language"}  # words that the office fills in itself
each_use = pytest.mark.parametrize("use", CASES)


@pytest.fixture
def ann():
    return make_customer("ANN", email_state="unverified")


def paths(sink):
    """Return every address of ours in the mails that arrived, in their text and in their HTML."""
    bodies = [mail.message.get_body((kind,)).get_content() for mail in sink.mails for kind in ("plain", "html")]
    headers = [str(mail.message.get("List-Unsubscribe", "")) for mail in sink.mails]
    found = {url.rstrip(".,)") for text in bodies + headers for url in LINK.findall(text.replace("&amp;", "&"))}
    return {url.removeprefix(settings.BASE_URL) for url in found if url.startswith(settings.BASE_URL)}


def mailed(customer, use, sink):
    """Have the mail of a use sent; return its link."""
    CASES[use].begin(customer)
    sent()
    (path,) = {path for path in paths(sink) if path.startswith(address(use, "x").removesuffix("x/"))}
    return path


def address(use, token):
    return reverse(f"customers:link_{use}", args=[token])


def look(path):
    """Look as a scanner does: follow a link without pressing anything."""
    for method in ("head", "get", "options"):
        getattr(Client(), method)(path)


def press(path, use):
    return Client().post(path, CASES[use].form)


def assert_refused(answer, helpful):
    assert answer.status_code in (404, 410)
    assert helpful in answer.text and "<button" not in answer.text.partition("<main")[2]


def test_every_use_stands_in_the_table_with_the_mail_that_carries_it():
    """A new use, or a new kind of mail with a link, fails here until the table has it: all rules below then hold for it."""
    assert set(CASES) == set(Link.Use) == set(Link.LASTS)
    carried = {letter.link: kind for kind, letter in notices.LETTERS.items() if letter.link}
    assert {use: case.kind for use, case in CASES.items()} == carried


@each_use
def test_a_look_changes_nothing_and_a_press_acts_once(ann, sink, use):
    path, case = mailed(ann, use, sink), CASES[use]
    before = tables()
    look(path)
    assert tables() == before
    assert not case.done(ann)
    assert press(path, use).status_code in (200, 302)
    assert case.done(ann)
    after = tables()
    look(path)
    assert tables() == after
    for answer in (Client().get(path), press(path, use)):
        assert_refused(answer, DOOR)
    assert Link.objects.exclude(used_at=None).filter(use=use).count() == 1


@each_use
def test_too_late_it_does_nothing_and_says_what_helps(ann, sink, use):
    path = mailed(ann, use, sink)
    Link.objects.filter(use=use).update(expires_at=timezone.now() - timedelta(seconds=1))
    for answer in (Client().get(path), press(path, use)):
        assert_refused(answer, DOOR)
    assert not CASES[use].done(ann)


@each_use
def test_it_does_nothing_at_the_address_of_another_use(ann, sink, use):
    token = mailed(ann, use, sink).rstrip("/").rpartition("/")[2]
    before = tables()
    for other in set(CASES) - {use}:
        for answer in (Client().get(address(other, token)), Client().post(address(other, token), CASES[other].form)):
            assert_refused(answer, DOOR)
    assert tables() == before


@each_use
def test_it_does_nothing_to_another_customer(ann, sink, use):
    """A link about a row opens no other customer's row; one about none acts on whom it was sent to, whoever is signed in."""
    binh = make_customer("BINH", email_state="unverified")
    about = CASES[use].begin(ann)
    if hasattr(about, "customer"):
        before = tables()
        path = address(use, Link.issue(binh, use, about=about)[1])
        for answer in (Client().get(path), press(path, use)):
            assert_refused(answer, DOOR)
        assert {name for name, digest in tables().items() if digest != before[name]} == {"customers_link"}
    else:
        browser = Client()
        browser.post(address(Link.Use.SIGN_IN, Link.issue(binh, Link.Use.SIGN_IN)[1]))
        stands = CASES[use].done(binh)
        browser.post(address(use, Link.issue(ann, use)[1]), CASES[use].form)
        assert CASES[use].done(ann) and CASES[use].done(binh) == stands


@each_use
def test_a_suspended_address_opens_only_what_protects(ann, sink, use):
    path = mailed(ann, use, sink)
    make_hold(ann)
    assert press(path, use).status_code == (410 if use in Link.BARRED_BY_HOLD else 200)
    assert CASES[use].done(ann) == (use not in Link.BARRED_BY_HOLD)


def test_whoever_follows_every_link_of_every_mail_changes_nothing(sink):
    """As mail scanners do, for every kind of mail there is: notices, a promotion, a renewal notice."""
    make_policy(1), make_policy(2)
    ann, approver = make_customer("ANN"), make_staff("approver")
    for purpose in ("promotions", "service_renewal"):
        consent(ann, purpose)
    for kind, letter in notices.LETTERS.items():
        if not letter.link:
            names = set(re.findall(r"{(\w+)}", f"{letter.subject} {letter.body} {letter.page}")) - OFFICES
            Notice.tell(ann, kind, **dict.fromkeys(names, "2") | {"previous": "1"})
    for use, case in CASES.items():
        if use != Link.Use.OBJECT:
            case.begin(make_customer(f"OF-{use}", email_state="unverified"))
    CASES[Link.Use.OBJECT].begin(make_customer("OF-OBJECT"))
    make_campaign(approved_by=approver).launch(by=approver)
    make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    queue_renewals(timezone.localdate(), by=None)
    messages = sent()
    assert {m.state for m in messages.values()} == {"sent"}
    found = paths(sink)
    kinds = {urlsplit(path).path.split("/")[1] for path in found}
    assert {"link", "policy", "unsubscribe", "preferences"} <= kinds
    assert {path.split("/")[2] for path in found if path.startswith("/link/")} == {str(use).replace("_", "-") for use in Link.Use}
    before = tables()
    for path in found:
        look(path)
        assert Client().get(path).status_code in (200, 302), path
    assert {name for name, digest in tables().items() if digest != before[name]} == set()
