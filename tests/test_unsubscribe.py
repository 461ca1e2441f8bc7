"""The one-click address (RFC 8058) and its page."""

import pytest

from consent import gate
from consent.models import ConsentEvent, ConsentState
from mailings import letters
from mailings.models import Message
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    customer = make_customer("ANN")
    make_policy()
    for purpose in ("promotions", "service_renewal"):
        consent(customer, purpose)
    return customer


@pytest.fixture
def address(ann):
    campaign = make_campaign()
    campaign.approve(by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    return f"/unsubscribe/{letters.signer.sign(str(Message.objects.get().public_id))}/"


def allowed(customer, purpose):
    return gate.decide([customer.pk], purpose, "email")[customer.pk].allowed


@pytest.mark.parametrize(
    "how",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_one_click_refuses_at_once_without_cookie_token_or_redirect_and_may_be_repeated(client, ann, address, how):
    client.handler.enforce_csrf_checks = True
    for _ in range(2):
        response = client.post(address, **how)
        assert response.status_code == 200
        assert not response.cookies
        assert not allowed(ann, "promotions")
    assert allowed(ann, "service_renewal")
    event = ConsentEvent.objects.get(event="withdrawn")
    assert (event.source, event.by) == ("one_click", f"customer:{ann.public_id}")


@pytest.mark.parametrize("method", ["get", "head"])
def test_fetching_the_page_changes_nothing(client, ann, address, method):
    response = getattr(client, method)(address)
    assert response.status_code == 200
    assert allowed(ann, "promotions")
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]


def test_the_page_has_a_button_and_no_word_of_the_person(client, ann, address):
    page = client.get(address).content.decode()
    assert '<form method="post"' in page
    for value in (ann.full_name, ann.email, ann.phone, ann.ref):
        assert value not in page


def test_everything_can_be_refused_in_one_go_and_service_mail_goes_on(client, ann, address):
    assert client.post(address, {"scope": "all"}).status_code == 200
    assert not [purpose for purpose in ("promotions", "service_renewal", "surveys", "product_news") if allowed(ann, purpose)]
    assert allowed(ann, "payment_confirmation")
    assert set(ConsentState.objects.filter(customer=ann).values_list("state", flat=True)) == {"withdrawn", "refused"}


@pytest.mark.parametrize("token", ["x", "00.x", "0" * 32 + ".AAAA", "%00", "a" * 3000])
def test_an_address_that_was_cut_or_forged_gets_a_helpful_page(client, token):
    response = client.get(f"/unsubscribe/{token}/")
    assert response.status_code == 404
    assert b"<h1>" in response.content
    assert client.post(f"/unsubscribe/{token}/").status_code == 404
