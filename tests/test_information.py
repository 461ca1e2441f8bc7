"""Requests for missing information (§1.3): named questions, one answer by one link, kept in confidence."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from audit.models import Entry
from customers import erasure, retention
from customers.models import InformationRequest, Link, Notice, Reveal
from tests.make import ask_information, ask_reveal, make_customer, make_hold, make_staff, prove
from tests.post import link, sent

EN = {"accept-language": "en"}
SECRET = "HD-2231, bên phố Huế"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]


@pytest.fixture
def ann():
    return make_customer("ANN", locale="en")


def issue(row, **how):
    return reverse("customers:link_information", args=[Link.issue(row.customer, Link.Use.INFORMATION, about=row, **how)[1]])


def test_the_customer_answers_by_the_link_in_the_mail_once(ann, sink):
    row = ask_information(ann, wanted=["order", "error"], other="Colour of the router")
    sent()
    url, client = link(sink.mails[0]), Client(headers=EN)
    for method in (client.head, client.get, client.options):
        method(url)
    page = client.get(url).text
    assert "Number of the order" in page and "Colour of the router" in page and "SUP-12" in page
    assert client.post(url, {"order": SECRET}).status_code == 200
    row.refresh_from_db()
    assert row.state == "answered" and SECRET in row.answer
    assert client.post(url, {"order": "another"}).status_code == 410
    with connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM customers_informationrequest")
        assert cursor.fetchone()[0].startswith("gAAAAA")
    assert not Entry.objects.filter(detail__icontains="2231").exists()


def test_an_empty_answer_is_refused_and_the_link_still_works(ann):
    row = ask_information(ann)
    url, client = issue(row), Client(headers=EN)
    assert "at least one" in client.post(url, {"order": " "}).text
    assert "Thank you" in client.post(url, {"order": SECRET}).text


@pytest.mark.parametrize("other", ["a@b.example", "the card 4111"])
def test_a_label_names_nobody(ann, other):
    with pytest.raises(ValidationError, match="not whose"):
        ask_information(ann, wanted=[], other=other)


def test_something_is_asked_for_and_for_a_ticket(ann):
    with pytest.raises(ValidationError, match="need to know"):
        ask_information(ann, wanted=[])
    with pytest.raises(ValidationError):
        ask_information(ann, ticket="Mrs Ánh")
    with pytest.raises(ValidationError):
        ask_information(ann, wanted=["religion"])


def test_a_question_waits_while_the_address_is_on_hold_and_goes_when_it_is_released(ann):
    hold = make_hold(ann)
    row = ask_information(ann)
    assert row.state == "waiting" and not Notice.objects.exists()
    hold.release(by=make_staff("officer"), channel="phone", note="she said so")
    assert (row.state, Notice.objects.get().kind) == ("asked", "information")


def test_a_link_opens_nothing_while_the_address_is_on_hold(ann):
    row = ask_information(ann)
    url = issue(row)
    make_hold(ann)
    assert Client().post(url, {"order": SECRET}).status_code == 410
    assert InformationRequest.objects.get().answer is None


def test_a_question_ends_after_its_time(ann):
    row = ask_information(ann, at=timezone.now() - timedelta(days=14))
    assert row.state == "expired"
    assert Client().get(issue(row)).status_code == 410


def test_an_answer_closes_every_other_link_to_the_question(ann):
    row = ask_information(ann)
    row.remind(by=make_staff("clerk"))
    first, second = issue(row), issue(row)
    assert Client().post(first, {"order": SECRET}).status_code == 200
    assert Client().get(second).status_code == 410


def test_a_question_that_was_withdrawn_is_not_answered(ann):
    row = ask_information(ann)
    url = issue(row)
    row.withdraw(by=make_staff("clerk"))
    assert Client().get(url).status_code == 410
    with translation.override("en"), pytest.raises(ValidationError, match="withdrawn"):
        row.give({"order": SECRET}, by=ann)


def test_a_link_for_one_question_or_use_opens_no_other(ann):
    row = ask_information(ann)
    token = issue(row).split("/")[-2]
    assert Client().get(reverse("customers:link_sign_in", args=[token])).status_code == 404
    assert Client().get(issue(ask_information(make_customer("BINH")), at=timezone.now() - timedelta(days=14))).status_code == 410


def test_staff_ask_on_a_page_and_see_the_answer_with_the_request_as_the_case(ann):
    client, clerk = Client(headers=EN), make_staff("clerk")
    client.force_login(clerk)
    prove(client)
    client.post(reverse("admin:customers_customer_act", args=[ann.pk, "ask"]), {"wanted": ["order"], "ticket": "SUP-12"})
    row = InformationRequest.objects.get()
    row.give({"order": SECRET}, by=ann)
    assert SECRET not in client.get(reverse("admin:customers_informationrequest_change", args=[row.pk])).text
    with pytest.raises(ValidationError, match="that is the case"):
        ask_reveal(row, "answer", by=clerk)
    answer = client.post(reverse("admin:customers_informationrequest_act", args=[row.pk, "reveal"]))
    assert SECRET in client.get(answer.url).text
    assert Reveal.objects.get().case_kind == "question"


def test_an_answer_is_kept_as_long_as_its_rule_says(ann):
    row = ask_information(ann)
    row.give({"order": SECRET}, by=ann)
    retention.apply(at=timezone.now() + timedelta(days=700))
    row.refresh_from_db()
    assert row.answer
    retention.apply(at=timezone.now() + timedelta(days=731))
    row.refresh_from_db()
    assert (row.answer, row.state) == (None, "answered")


def test_erasure_reaches_answers(ann):
    row = ask_information(ann)
    row.give({"order": SECRET}, by=ann)
    erasure.erase(ann, by=make_staff("officer"), reason="asked")
    row.refresh_from_db()
    assert row.answer is None and not InformationRequest.history.filter(answer__isnull=False).exists()
