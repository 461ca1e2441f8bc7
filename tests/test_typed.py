"""What customers type stays in the form when it cannot be taken, and the error says what helps. Passwords never come back."""

import re
from html import unescape

import pytest
from django import forms as django_forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from customers import forms, my
from customers.models import Link, Session
from customers.models.notices import name_of
from tests import scans
from tests.make import ask_information, make_customer, make_service, propose

pytestmark = pytest.mark.django_db
NO_FILE = b"no picture at all"
LONG = "x" * 5000
CHOSEN = 'value="copy" id="id_kind_2" required checked'
ONLY_PASSWORDS = {forms.SetPasswordForm, forms.ChangePasswordForm}
ONLY_A_FILE = {forms.CompleteForm}  # a browser keeps no file, and the page says so
# (form, address, what is sent, what must stand there again, what to do about it)
CASES = [
    (forms.AskLinkForm, "/my/sign-in/", {"email": "ann@@example.org"}, ["ann@@example.org"], "name@example.com"),
    (forms.AskLinkForm, "/my/sign-in/", {"email": ""}, [], "Please type your e-mail address."),
    (forms.PasswordSignInForm, "/my/sign-in/password/", {"with-email": "ann@example.org"}, ["ann@example.org"], "Please type"),
    (forms.RequestForm, "/my/requests/", {"words": "My own words"}, ["My own words"], "Please choose"),
    (forms.RequestForm, "/my/requests/", {"kind": "copy", "words": LONG}, [CHOSEN, LONG], "4000"),
    (forms.ChangeEmailForm, "/my/email/", {"email": "ann at example"}, ["ann at example"], "name@example.com"),
    (forms.CorrectForm, "/my/corrections/phone/", {"value": "call me"}, ["call me"], "telephone number"),
    (forms.CorrectForm, "/my/corrections/address/", {"value": "7 Phố Mới", "scan": NO_FILE}, ["7 Phố Mới"], "Please send a photo"),
    (forms.CorrectForm, "/my/corrections/locale/", {"value": "en", "scan": NO_FILE}, ['value="en" selected'], "choose it again"),
    (forms.CorrectForm, "/my/corrections/full_name/", {"value": "", "scan": scans.png()}, [], "Please type"),
    (forms.AnswerForm, "information", {"order": "HD-7", "reach": LONG}, ["HD-7", LONG], "1000"),
]


@pytest.fixture
def ann():
    return make_customer("ann", locale="en")


@pytest.fixture
def client(ann):
    make_service(ann)
    client = Client(headers={"accept-language": "en"})
    client.cookies["language"] = "en"
    return client


def sign_in(client, customer):
    client.cookies[my.COOKIE] = Session.begin(customer, how="test", source={})[1]


def address_of(name, ann):
    if name != "information":
        return name
    row = ask_information(ann, wanted=["order", "reach"])
    return reverse("customers:link_information", args=[Link.issue(ann, Link.Use.INFORMATION, about=name_of(row))[1]])


def uploaded(values):
    return {name: SimpleUploadedFile("x.png", value) if isinstance(value, bytes) else value for name, value in values.items()}


@pytest.mark.parametrize(("form", "where", "typed", "kept", "told"), CASES)
def test_what_was_typed_stays_and_the_error_says_what_to_do(client, ann, form, where, typed, kept, told):
    if where.startswith("/my/") and "sign-in" not in where:
        sign_in(client, ann)
    answer = client.post(address_of(where, ann), uploaded(typed))
    text = unescape(answer.text)
    assert answer.status_code == 200
    assert not [value for value in kept if value not in text]
    errors = re.findall(r'class="error"[^>]*>([^<]+)<', text)
    assert errors and (told in " ".join(errors) or told in text)
    assert not any("This field is required" in error or "Enter a valid" in error for error in errors)


def test_every_form_of_the_customers_is_walked():
    there = {each for each in vars(forms).values() if isinstance(each, type) and issubclass(each, django_forms.Form)}
    assert there - ONLY_PASSWORDS - ONLY_A_FILE == {form for form, *_rest in CASES}


def test_passwords_are_not_sent_back(client, ann):
    typed = {"with-email": "ann@example.org", "with-password": "a wrong but secret password"}
    assert "secret" not in client.post("/my/sign-in/password/", typed).text
    sign_in(client, ann)
    ann.password = "!"
    ann.save()
    for name in ("old", "new", "again"):
        assert "secret" not in client.post("/my/access/", {name: "a secret too short"}).text


def test_a_file_that_was_asked_for_is_asked_for_again(client, ann):
    row = propose(ann)
    row.ask_for_more(by=None, question="A photo of the contract")
    sign_in(client, ann)
    answer = client.post(f"/my/corrections/{row.pk}/complete/", uploaded({"scan": NO_FILE}))
    assert "A photo of the contract" in answer.text and "Please send a photo" in answer.text
