"""Every page leads to itself in the other language, without a script, and by link without a cookie; what was chosen holds everywhere."""

from urllib.parse import urlsplit

import pytest
from django.test import Client

from consent import preferences
from customers.models import Link
from mailings import letters, links
from mailings.models import Message
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff, prove

pytestmark = pytest.mark.django_db
SWITCH = ('action="/language/"', "?language=")


@pytest.fixture
def ann():
    make_policy()
    customer = make_customer("ann", locale="vi")
    consent(customer)
    return customer


def by_link(ann):
    """Return the addresses of pages whose address is the key."""
    campaign = make_campaign(approved_by=make_staff("approver"))
    campaign.launch(by=campaign.approved_by)
    message = Message.objects.get(campaign=campaign, customer=ann)
    return {
        f"/preferences/{preferences.token_of(ann)}/",
        f"/link/sign-in/{Link.issue(ann, Link.Use.SIGN_IN)[1]}/",
        urlsplit(letters.unsubscribe_url(message)).path,
        urlsplit(links.leaving("https://partner.example/")).path,
    }


def test_pages_by_link_follow_the_language_that_was_chosen_and_set_no_cookie(ann):
    for address in by_link(ann):
        client = Client(enforce_csrf_checks=True)
        page = client.get(address)
        assert 'lang="vi"' in page.text and SWITCH[0] in page.text, address
        assert not client.cookies, address
        client.post("/language/", {"language": "en", "next": address})
        assert '<html lang="en"' in client.get(address).text, address
        assert list(client.cookies) == ["language"]


@pytest.mark.parametrize("address", ["/", "/policy/", "/policy/versions/", "/my/sign-in/", "/staff/sign-in/", "/nothing/here/"])
def test_open_pages_lead_to_the_other_language(ann, client, address):
    assert any(mark in client.get(address).text for mark in SWITCH)


@pytest.mark.parametrize("address", ["/admin/", "/admin/customers/customer/", "/staff/security/"])
def test_staffs_pages_lead_to_the_other_language(client, address):
    client.force_login(make_staff("clerk"))
    prove(client)
    assert SWITCH[0] in client.get(address).text


def test_an_answer_to_a_form_has_no_switch_as_a_second_look_would_not_bring_it_back(client):
    assert SWITCH[0] not in client.post("/my/sign-in/", {"email": "no address"}).text
