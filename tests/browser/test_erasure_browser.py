"""An officer on a phone asks for an erasure, cannot approve it alone, and reads the certificate of one that is done."""

import pytest

from tests.browser.staff import go as click
from tests.browser.staff import hire, sign_in
from tests.browser.test_reveal_browser import enter, look
from tests.live.test_erasure import python

pytestmark = pytest.mark.browser
DONE = """
import django; django.setup()
from customers.erasure import erase
from customers.models import Erasure
from customers.models import Customer, LegalHold
from tests.make import make_customer, make_staff
from customers import retention
erase(make_customer("KH-8"), by=None, reason="request 3")
LegalHold.place(make_customer("KH-9"), by=make_staff("clerk"), reason="case 12")
retention.apply()
"""


def test_an_officer_asks_for_an_erasure_and_reads_a_certificate(site, page):
    enter(site, page)
    page.context.clear_cookies()
    sign_in(page, "olga", hire(site, "olga", "officer"))
    python(site, DONE)
    ((number,),) = site.query("SELECT id FROM customers_customer WHERE ref = 'KH-7'")
    page.goto(f"/admin/customers/customer/{number}/change/")
    click(page, "text='Erase'")
    look(page, "erase")
    page.fill("#id_reason", "request 7")
    click(page, "input[type=submit].default")
    look(page, "erasure")
    assert "waits for a second person" in page.inner_text("#content")
    assert not page.locator(".object-tools >> text='Approve'").count(), "nobody approves their own"
    page.goto(f"/admin/customers/customer/{number}/change/")
    look(page, "customer-being-erased")
    for name in ("erasure", "legalhold", "retentionrule", "retentionrun"):
        page.goto(f"/admin/customers/{name}/")
        look(page, name + "-list")
    ((done,),) = site.query("SELECT id FROM customers_erasure WHERE step = 'done'")
    page.goto(f"/admin/customers/erasure/{done}/change/")
    click(page, "text=Certificate")
    look(page, "certificate")
    said = page.inner_text("#content-main")
    assert "What stays" in said and "KH-8" in said and "example.org" not in said.split("certifies")[1]
