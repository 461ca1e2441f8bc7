"""The preference page and its receipts, without a script, in both languages, as people with any eyes and any screen meet them."""

import pytest

pytestmark = pytest.mark.browser

MAKE = """
from consent import preferences
from tests.make import consent, make_customer, make_policy, withdraw
make_policy(101, text_vi="Chính sách thử nghiệm.", text_en="A policy to try things with.")
ann = make_customer("ann", locale="{language}")
consent(ann, "promotions"); consent(ann, "surveys"); withdraw(ann, "product_news", "sms")
make_policy(102, severity="major", changes=["surveys"], text_vi="Chính sách, bản hai.", text_en="A second policy.")
print("/preferences/" + preferences.token_of(ann) + "/")
"""


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_preference_page_and_its_receipts_have_no_error(site, page, look, language):
    address = site.manage("shell", "--verbosity", "0", "--command", MAKE.format(language=language)).strip().splitlines()[-1]
    look.at(address, f"preferences-{language}")
    assert page.locator("input[type=checkbox]:checked").count() == 1
    page.get_by_label("E-mail").nth(1).check()
    page.locator("button[value=save]").click()
    assert page.locator("input[type=checkbox]:checked").count() == 2
    look.now(f"preferences-saved-{language}", page.content())
    page.locator("button[value=refuse_all]").click()
    assert page.locator("input[type=checkbox]:checked").count() == 0
    look.now(f"preferences-refused-{language}", page.content())
    page.locator("td a").first.click()
    look.now(f"receipt-{language}")
