"""The e-mail address: verified, changed by two mailboxes, objected to for a week, and suspended on signs of fraud."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from customers.models import (
    AccessRequest,
    Anomaly,
    AnomalyKind,
    Customer,
    EmailChange,
    EmailHold,
    HoldRule,
    Link,
    Notice,
    Session,
    addresses,
)
from tests.make import make_customer, make_email_change, make_hold, make_staff
from tests.post import link, sent, text

pytestmark = pytest.mark.django_db
NEW = "ann.new@example.org"


@pytest.fixture
def ann():
    return make_customer("ANN")


def now_of(customer):
    return Customer.objects.get(pk=customer.pk)


def issue(customer, use, about):
    return reverse(f"customers:link_{use}", args=[Link.issue(customer, use, about=about)[1]])


def changed(customer, email=NEW, at=None):
    return make_email_change(customer, email, at)


def test_a_change_takes_the_word_of_both_mailboxes(ann):
    change = EmailChange.ask(ann, " Ann.New@Example.org", by=ann)
    change.confirm(by=ann)
    assert now_of(ann).email == "ann@example.org"
    change.approve(by=ann)
    assert (now_of(ann).email, now_of(ann).email_state, change.state) == (NEW, "verified", "applied")


def test_whoever_holds_a_session_alone_cannot_take_the_address(ann):
    change = EmailChange.ask(ann, "thief@example.org", by=ann)
    change.confirm(by=ann)
    assert now_of(ann).email == "ann@example.org"
    change.reject(by=ann)
    assert (now_of(ann).email, ann.holds.open().count(), change.state) == ("ann@example.org", 1, "objected")


def test_a_dead_address_has_no_say(ann):
    for _ in range(3):
        addresses.bounced(ann, by=None, reason="5.1.1")
    EmailChange.ask(ann, NEW, by=ann).confirm(by=ann)
    assert now_of(ann).email == NEW


def test_staff_who_recognised_the_customer_stand_for_the_old_address_and_not_for_the_new(ann):
    change = EmailChange.ask(ann, NEW, by=make_staff("clerk"))
    assert now_of(ann).email != NEW
    change.confirm(by=ann)
    assert now_of(ann).email == NEW


def test_mails_go_to_both_and_their_links_work(ann, sink, client):
    EmailChange.ask(ann, NEW, by=ann)
    sent()
    mails = {mail.recipient: mail for mail in sink.mails}
    assert set(mails) == {NEW, "ann@example.org"}
    assert "ann@example.org" not in text(mails[NEW]) and "ANN" not in text(mails[NEW]) and ann.full_name not in text(mails[NEW])
    for mail in mails.values():
        client.get(link(mail))
    assert now_of(ann).email == "ann@example.org"
    for mail in mails.values():
        assert client.post(link(mail), {"answer": "yes"}).status_code == 200
    assert now_of(ann).email == NEW
    sink.mails.clear()
    sent()
    (told,) = sink.mails
    assert told.recipient == "ann@example.org" and NEW not in text(told)
    client.post(link(told))
    assert (now_of(ann).email, ann.holds.open().count()) == ("ann@example.org", 1)


def test_an_objection_restores_the_address_signs_everybody_out_and_suspends(ann):
    change = changed(ann)
    Session.begin(ann, how="link", source={})
    _, token = Link.issue(ann, Link.Use.SIGN_IN)
    change.object(by=ann)
    assert (now_of(ann).email, now_of(ann).email_state) == ("ann@example.org", "verified")
    assert not ann.sessions.live().exists()
    with pytest.raises(Link.Refused):
        Link.find(token, Link.Use.SIGN_IN)
    hold = ann.holds.open().get()
    assert (hold.placed_by, hold.rule) == (None, "fraud_report")
    assert Entry.objects.filter(action="email_change.object", subject=ann.public_id).exists()


def test_an_objection_suspends_whatever_the_rules_say(ann):
    rule = HoldRule.objects.get(kind="fraud_report")
    rule.active = False
    rule.save()
    changed(ann).object(by=ann)
    assert ann.holds.open().exists()


def test_an_objection_to_the_first_of_two_changes_undoes_both(ann):
    first = changed(ann)
    second = changed(now_of(ann), "third@example.org")
    first.object(by=ann)
    second.refresh_from_db()
    assert (now_of(ann).email, second.state) == ("ann@example.org", "objected")


def test_an_old_address_that_another_customer_has_by_now_stays_theirs(ann):
    change = changed(ann)
    make_customer("BINH", email="ann@example.org")
    change.object(by=ann)
    assert now_of(ann).email == NEW and ann.holds.open().exists()


@pytest.mark.parametrize(("days", "works"), [(6.9, True), (7, False)])
def test_the_time_to_object_is_a_week(ann, days, works):
    change = changed(ann, at=timezone.now() - timedelta(days=days))
    if works:
        change.object(by=ann)
    else:
        with pytest.raises(ValidationError):
            change.object(by=ann)
    assert (now_of(ann).email == "ann@example.org") == works


def test_no_address_is_kept_longer_than_an_objection_needs(ann):
    now = timezone.now()
    applied = changed(ann, at=now - timedelta(days=7))
    asked = EmailChange.ask(now_of(ann), "third@example.org", by=ann, at=now - timedelta(days=3))
    assert EmailChange.objects.forget(now) == 2
    for change in (applied, asked):
        change.refresh_from_db()
        assert (change.proposed, change.former) == (None, None)
    assert asked.state == "lapsed"
    assert EmailChange.objects.forget(now) == 0


@pytest.mark.parametrize("days", [3, 4])
def test_a_change_that_is_not_confirmed_in_time_lapses(ann, days):
    change = EmailChange.ask(ann, NEW, by=ann, at=timezone.now() - timedelta(days=days))
    with pytest.raises(ValidationError):
        change.confirm(by=ann)


def test_another_question_takes_the_place_of_an_open_one(ann):
    first = EmailChange.ask(ann, NEW, by=ann)
    EmailChange.ask(ann, "third@example.org", by=ann)
    first.refresh_from_db()
    assert first.state == "lapsed"
    with pytest.raises(ValidationError):
        first.confirm(by=ann)


def test_who_asks_does_not_learn_that_another_customer_has_the_address_and_does_not_get_it(ann):
    binh = make_customer("BINH")
    change = EmailChange.ask(ann, binh.email, by=ann)
    change.approve(by=ann)
    with pytest.raises(ValidationError):
        change.confirm(by=ann)
    assert now_of(ann).email == "ann@example.org"


def test_a_hold_blocks_a_change_at_every_step(ann):
    change = EmailChange.ask(ann, NEW, by=ann)
    change.approve(by=ann)
    make_hold(ann)
    with pytest.raises(ValidationError):
        change.confirm(by=ann)
    with pytest.raises(ValidationError):
        EmailChange.ask(ann, NEW, by=ann)
    assert now_of(ann).email == "ann@example.org"


def test_a_link_of_one_change_does_nothing_for_another_customer(client, ann):
    binh = make_customer("BINH")
    change = EmailChange.ask(ann, NEW, by=ann)
    assert client.post(issue(binh, Link.Use.CONFIRM_ADDRESS, change)).status_code == 404
    change.refresh_from_db()
    assert change.confirmed_at is None


def test_an_address_is_verified_by_a_press_and_not_by_a_look(client, sink):
    ann = make_customer("ANN", email_state="unverified")
    addresses.ask_verification(ann, by=make_staff("clerk"))
    sent()
    (mail,) = sink.mails
    client.get(link(mail))
    assert now_of(ann).email_state == "unverified"
    client.post(link(mail))
    assert now_of(ann).email_state == "verified"


# Holds


def note(customer, kind, times, at=None):
    return [Anomaly.note(customer, kind, at=at) for _ in range(times)]


@pytest.mark.parametrize("kind", AnomalyKind)
def test_a_rule_suspends_at_its_threshold_and_not_before(ann, kind):
    rule = HoldRule.objects.get(kind=kind)
    placed = note(ann, kind, rule.threshold)
    assert [bool(hold) for hold in placed] == [False] * (rule.threshold - 1) + [True]
    assert placed[-1].rule == kind and placed[-1].placed_by is None


def test_signs_too_long_ago_do_not_count(ann):
    rule = HoldRule.objects.get(kind="failed_link")
    note(ann, "failed_link", rule.threshold - 1, at=timezone.now() - timedelta(hours=rule.within_hours))
    note(ann, "failed_link", 1)
    assert not ann.holds.exists()


def test_what_an_officer_switched_off_suspends_nobody(ann):
    rule = HoldRule.objects.get(kind="failed_link")
    rule.active = False
    rule.save()
    note(ann, "failed_link", rule.threshold)
    assert not ann.holds.exists()


def test_pressing_used_links_again_and_again_suspends_and_looking_at_them_does_not(client, ann):
    row, token = Link.issue(ann, Link.Use.VERIFY)
    row.spend()
    url = reverse("customers:link_verify", args=[token])
    for _ in range(20):
        client.get(url)
    assert not Anomaly.objects.exists()
    for _ in range(10):
        client.post(url)
    assert ann.holds.open().exists()


def test_wrong_passwords_suspend_and_the_door_does_not_say_so(client, ann):
    said = set()
    for minutes in range(40, 0, -2):
        knock = AccessRequest.of(AccessRequest.Kind.FAILED, ann.email, b"0" * 16, timezone.now() - timedelta(minutes=minutes))
        knock.save()
        AccessRequest.objects.answer()
        answer = client.post("/my/sign-in/password/", {"with-email": "nobody@example.org", "with-password": "wrong"})
        said.add(answer.status_code)
    assert ann.holds.open().get().rule == "failed_sign_in"
    assert said == {200}


def test_a_bounce_soon_after_a_change_suspends(ann):
    for _ in range(3):
        addresses.bounced(ann, by=None, reason="5.1.1")
    assert not ann.holds.exists()
    binh = make_customer("BINH")
    changed(binh, "binh.new@example.org")
    addresses.bounced(now_of(binh), by=None, reason="5.1.1")
    assert binh.holds.open().get().rule == "bounce_after_change"


def test_a_hold_of_a_rule_is_released_by_anybody_of_the_staff_who_reached_the_customer(ann):
    note(ann, "fraud_report", 1)
    EmailHold.objects.get(customer=ann).release(by=make_staff("clerk"), channel="phone", note="knows the plan")
    assert not ann.holds.open().exists()


# Pages


def signed_in(customer):
    client = Client()
    client.post(issue(customer, Link.Use.SIGN_IN, ""))
    return client


def test_a_customer_asks_for_a_change_on_a_page(ann):
    client = signed_in(ann)
    assert client.post("/my/email/", {"email": NEW}).url == "/my/email/"
    assert ann.email_changes.open().get().proposed == NEW
    assert Notice.objects.filter(kind="approve_address").count() == 1


def test_a_change_that_is_refused_says_why_and_keeps_what_was_typed(ann):
    client = signed_in(ann)
    make_hold(ann)
    answer = client.post("/my/email/", {"email": NEW})
    assert answer.status_code == 200 and NEW in answer.text and 'class="error"' in answer.text
    assert not EmailChange.objects.exists()
