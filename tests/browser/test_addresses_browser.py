"""A change of address, worked by the customer in both mailboxes, and undone by whoever reads the old one: a real worker and browser."""

import pytest

from tests.browser.staff import go
from tests.browser.test_my_data_browser import shell
from tests.live.test_sending import wait_until
from tests.post import link, text

pytestmark = pytest.mark.browser

OLD, NEW = "ann@example.org", "ann.new@example.org"
COMES_WITHIN = 120  # seconds, on a machine that is busy
BEGIN = """
from customers.models import Session
from tests.make import make_customer
print(Session.begin(make_customer("ANN", locale="{language}"), how="test", source={{}})[1])
"""
SAID = {
    "en": {"waiting": "is waiting", "one": "as soon as it agrees", "both": "From now on", "undone": "The old address counts again"},
    "vi": {"waiting": "đang chờ", "one": "đồng ý", "both": "Từ nay", "undone": "Địa chỉ cũ đã có hiệu lực"},
}


def comes(site, recipient, use):
    """Wait for the mail to an address that has a link of some use; return the link."""

    def arrived():
        return [mail for mail in site.sink.mails if mail.recipient == recipient and f"/link/{use}/" in text(mail)]

    wait_until(arrived, COMES_WITHIN)
    return link(arrived()[-1])


def email(site):
    return shell(site, "from customers.models import Customer; print(Customer.objects.get().email)")


@pytest.mark.parametrize(("language", "width"), [("vi", 360), ("en", 1280)])
def test_two_mailboxes_change_an_address_and_the_old_one_takes_it_back(site, page, look, language, width):
    said = SAID[language]
    page.context.add_cookies([{"name": "my", "value": shell(site, BEGIN.format(language=language)), "url": site.env["BASE_URL"]}])
    page.set_viewport_size({"width": width, "height": 800})
    with site.worker():
        look.at("/my/email/", f"email-{language}")
        page.fill("#id_email", "not an address")
        go(page, "main form:has(#id_email) button")
        assert page.input_value("#id_email") == "not an address" and page.locator(".error").count()
        look.now(f"email-wrong-{language}", page.content())
        page.fill("#id_email", NEW)
        go(page, "main form:has(#id_email) button")
        assert said["waiting"] in page.inner_text(".told >> nth=-1") and email(site) == OLD
        look.now(f"email-waiting-{language}")

        for recipient, use, words in ((NEW, "confirm-address", "one"), (OLD, "approve-address", "both")):
            page.goto(comes(site, recipient, use))
            look.now(f"{use}-{language}")
            assert email(site) == OLD
            go(page, "main button >> nth=0")
            assert said[words] in page.inner_text("main")
            look.now(f"{use}-done-{language}", page.content())
        assert email(site) == NEW

        page.goto(comes(site, OLD, "object"))
        look.now(f"object-{language}")
        go(page, "main button >> nth=0")
        assert said["undone"] in page.inner_text("main") and email(site) == OLD
        look.now(f"object-done-{language}", page.content())
        page.goto("/my/")
        assert page.url.endswith("/my/sign-in/"), "everybody was signed out"
