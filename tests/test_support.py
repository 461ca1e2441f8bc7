"""Requests by mail: kept encrypted, waiting while the address is on hold, taken, answered or closed by those who may, masked."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from audit.models import Entry
from customers import erasure, retention
from customers.models import Customer, Notice, Reveal, SupportRequest
from mailings.models import IncomingMail
from tests.make import ask_reveal, make_customer, make_hold, make_staff, prove
from tests.post import sent, text

pytestmark = pytest.mark.django_db
EN = {"accept-language": "en"}
SECRET = "My server is at 7 Secret Lane"


@pytest.fixture
def ann():
    return make_customer("ANN", locale="en")


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


def receive(customer, mail=f"Question\n\n{SECRET}", **how):
    return SupportRequest.receive(customer, mail, **how)


def taken(customer, by=None):
    request = receive(customer)
    request.take(by=by or make_staff("clerk"))
    return request


def signed_in(role, username=None):
    client = Client(headers=EN)
    client.force_login(make_staff(role, username))
    prove(client)
    return client


def act(request, name):
    return reverse("admin:customers_supportrequest_act", args=[request.pk, name])


def change(request):
    return reverse("admin:customers_supportrequest_change", args=[request.pk])


# Verbs


def test_the_mail_lies_encrypted_in_its_history_too_and_in_no_entry(ann):
    request = taken(ann)
    with connection.cursor() as cursor:
        cursor.execute("SELECT mail FROM customers_supportrequest UNION ALL SELECT mail FROM customers_historicalsupportrequest")
        assert all(row[0].startswith("gAAAAA") for row in cursor.fetchall())
    assert request.mail.endswith(SECRET) and SECRET not in str(request)
    assert "Secret" not in str(list(Entry.objects.values())) and "Secret" not in str(list(Notice.objects.values("values")))


def test_it_is_confirmed_once_a_day_however_many_come(sink, ann):
    for _ in range(5):
        receive(ann)
    sent()
    assert [mail.recipient for mail in sink.mails] == ["ann@example.org"]
    assert "number" in text(sink.mails[0]) and SECRET not in text(sink.mails[0])
    receive(ann, at=timezone.now() + timedelta(days=1, seconds=1))
    assert Notice.objects.filter(kind="support_received").count() == 2


def test_from_a_suspended_address_it_waits_for_the_release(sink, ann):
    hold = make_hold(ann)
    request = receive(ann)
    assert request.state == "waiting"
    for verb in (lambda: request.take(by=make_staff("clerk")), lambda: request.reply(by=make_staff("clerk"), answer="yes")):
        with pytest.raises(ValidationError, match="waits"):
            verb()
    sent()
    assert ["waits until" in text(mail) for mail in sink.mails] == [True]
    hold.release(by=make_staff("officer"), channel="phone", note="knew the plan")
    request.refresh_from_db()
    assert request.state == "received"
    assert Entry.objects.filter(action="support.resume").exists()


def test_whoever_takes_it_answers_it_to_the_address_on_file(sink, ann):
    clerk = make_staff("clerk")
    request = receive(ann)
    with pytest.raises(ValidationError, match="received"):
        request.reply(by=clerk, answer="yes")
    request.take(by=clerk)
    request.reply(by=clerk, answer="Please restart the server.")
    sent()
    answer = sink.mails[-1]
    assert answer.recipient == "ann@example.org" and "Please restart the server." in text(answer)
    assert f"no. {request.pk}" in answer.message["Subject"]
    assert (request.state, request.closed_at is not None) == ("answered", True)
    with pytest.raises(ValidationError, match="answered"):
        request.close(by=clerk, reason="again")


@pytest.mark.parametrize("verb", [lambda r, by: r.reply(by=by, answer="  "), lambda r, by: r.close(by=by, reason=" ")])
def test_an_answer_or_a_reason_says_something(ann, verb):
    with pytest.raises(ValidationError):
        verb(taken(ann), make_staff("clerk"))


def test_a_colleague_may_go_on_with_it(ann):
    request = taken(ann)
    request.take(by=make_staff("clerk", "other"))
    assert request.taken_by.username == "other" and request.history.count() == 3


def test_each_step_leaves_its_entry(ann):
    request = taken(ann)
    request.close(by=make_staff("clerk"), reason="told by phone")
    entries = Entry.objects.filter(object=f"customers.supportrequest:{request.pk}").order_by("pk")
    assert [(e.action, e.actor.partition(":")[0]) for e in entries] == [
        ("support.receive", "system"),
        ("support.take", "staff"),
        ("support.close", "staff"),
    ]
    assert {(e.subject, e.clause) for e in entries} == {(ann.public_id, "§3.2")}


# Pages


def test_the_queue_shows_what_is_open_first_and_no_word_of_it(ann):
    first, second = receive(ann), receive(ann)
    first.close(by=make_staff("clerk"), reason="spam")
    page = signed_in("clerk").get(reverse("admin:customers_supportrequest_changelist")).text
    assert page.index(change(second)) < page.index(change(first)) and "Secret" not in page
    assert "Secret" not in signed_in("clerk").get(change(second)).text


def test_a_clerk_sees_the_mail_with_the_request_as_the_case_takes_and_answers_it(ann):
    request, client, clerk = receive(ann), signed_in("clerk"), make_staff("clerk")
    with pytest.raises(ValidationError, match="that is the case"):
        ask_reveal(request, "mail", by=clerk)
    answer = client.post(act(request, "reveal"))
    assert SECRET in client.get(answer.url).text
    assert Reveal.objects.get().case == f"support request {request.pk}"
    assert client.post(act(request, "take")).status_code == 302
    assert client.post(act(request, "reply"), {"answer": "Done."}).status_code == 302
    request.refresh_from_db()
    assert (request.state, request.answer, request.taken_by) == ("answered", "Done.", clerk)


def test_who_does_not_serve_customers_sees_no_request_and_the_auditor_changes_none(ann):
    request = receive(ann)
    for role in ("marketer", "approver", "administrator"):
        client = signed_in(role)
        for url in (reverse("admin:customers_supportrequest_changelist"), change(request), act(request, "take")):
            assert client.get(url).status_code == 403, (role, url)
        assert client.get(reverse("admin:mailings_incomingmail_changelist")).status_code == 403
    auditor = signed_in("auditor")
    assert auditor.get(change(request)).status_code == 200
    assert auditor.post(act(request, "take")).status_code == 403


# What ends


def test_erasure_blanks_the_mail_closes_what_is_open_and_keeps_no_history_of_it(ann):
    request = taken(ann)
    erasure.erase(ann, by=make_staff("officer"), reason="asked")
    request.refresh_from_db()
    assert (request.mail, request.state) == (None, "closed")
    assert not SupportRequest.history.filter(mail__isnull=False).exists()
    with pytest.raises(ValidationError, match="erased"):
        receive(Customer.objects.get(pk=ann.pk))


def test_a_mail_that_comes_while_an_erasure_is_under_way_is_blanked_too(ann):
    under_way = erasure.Erasure.at_once(ann, by=make_staff("officer"), reason="asked")
    while under_way.step != "blanked":
        if "customers.supportrequest" in under_way.blanked and not SupportRequest.objects.exists():
            receive(ann)
        erasure.NEXT[under_way.step](under_way, timezone.now())
    request = SupportRequest.objects.get()
    assert (request.mail, request.state) == (None, "closed")
    assert not SupportRequest.history.filter(mail__isnull=False).exists()


def test_it_is_kept_as_long_as_its_rule_says(ann):
    request = taken(ann)
    request.close(by=make_staff("clerk"), reason="told by phone")
    IncomingMail.objects.create(digest=b"x" * 32, kind="support")
    retention.apply(at=timezone.now() + timedelta(days=89))
    request.refresh_from_db()
    assert request.mail and IncomingMail.objects.exists()
    retention.apply(at=timezone.now() + timedelta(days=731))
    request.refresh_from_db()
    assert (request.mail, request.state) == (None, "closed") and not IncomingMail.objects.exists()
