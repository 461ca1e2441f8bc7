"""The page behind the mail that asks whether somebody signed up: in both languages, on any screen and for any eyes."""

import pytest

from tests.browser.test_my_data_browser import shell

pytestmark = pytest.mark.browser

MAKE = """
from customers.models import Link
from tests.make import *
row = make_sign_up(email="moi@example.org", purposes=["promotions", "product_news"], locale="{language}")
print(Link.issue(row.customer, "sign_up", about=row)[1])
"""


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_owner_of_an_address_sees_what_was_ticked_and_agrees_by_one_button(site, page, look, language):
    look.at(f"/link/sign-up/{shell(site, MAKE.format(language=language))}/", f"sign-up-{language}")
    assert page.get_attribute("html", "lang") == language
    assert page.locator("main li").count() == 2 and page.locator("main button").count() == 1
    assert site.query("SELECT count(*) FROM consent_consentevent") == [(0,)]
    page.locator("main button").click()
    look.now(f"signed-up-{language}", page.content())
    assert page.locator(".told").count() == 1
    assert site.query("SELECT event FROM consent_consentevent") == [("given",)] * 2
