"""From the mail with which a customer comes in to the mail that greets them by the corrected name: a real worker, server and browser."""

import pytest

from tests import scans
from tests.browser.staff import go, hire, sign_in
from tests.browser.test_reveal_browser import look as look_at_staff
from tests.live.test_erasure import python
from tests.live.test_sending import wait_until
from tests.post import link, text

pytestmark = pytest.mark.browser

EMAIL, OLD, NEW = "anh@example.org", "+84901234567", "+84909999999"
NAME, NEW_NAME = "Phạm Thị Ánh", "Phạm Thị Ánh Mai"
PROOF = {"name": "the bill of Ánh.png", "mimeType": "text/html", "buffer": scans.png()}  # what the browser says of it counts for nothing
SEND = "main form:has(.field) button"
MAIL_COMES_WITHIN = 120  # seconds, on a machine that is busy

MAKE = """
import django; django.setup()
from tests.make import make_customer
make_customer("KH-7", full_name={name!r}, email={email!r}, phone={old!r}, address="9 Ngõ Huế", locale={language!r})
"""
ASK = """
import django; django.setup()
from customers.models import Customer, Correction
from tests.make import ask_information, make_staff
Correction.objects.undecided().get(field="phone").ask_for_more(by=make_staff("officer", "olga"), question="HD-12?")
ask_information(Customer.objects.get(), by=make_staff("officer", "olga"), wanted=["order", "error"])
"""
SAID = {
    "en": {
        "nav": "Corrections", "wrong": "telephone number", "checked": "being checked", "add": "Add what is missing",
        "thanks": "Thank you", "done": "done", "mail": "is done", "file": "The file you sent",
    },
    "vi": {
        "nav": "Đính chính", "wrong": "số điện thoại", "checked": "đang được kiểm tra", "add": "Bổ sung phần còn thiếu",
        "thanks": "Xin cảm ơn", "done": "đã thực hiện", "mail": "đã được thực hiện", "file": "Tệp quý khách đã gửi",
    },
}  # fmt: skip


def arrived(site, words):
    """Return the mails to the customer whose text has some words."""
    return [mail for mail in site.sink.mails if mail.recipient == EMAIL and words in text(mail)]


def comes(site, words, count=1):
    """Wait for the mail with some words that the worker sends; return the latest."""
    wait_until(lambda: len(arrived(site, words)) >= count, MAIL_COMES_WITHIN)
    return arrived(site, words)[-1]


def correct(page, field, value, proof=None):
    """Say on the customer's page what is right, with a file or without."""
    go(page, f"a[href='/my/corrections/{field}/']")
    page.fill("#id_value", value)
    if proof:
        page.set_input_files("#id_scan", proof)
    go(page, SEND)


@pytest.mark.parametrize(("language", "width"), [("en", 360), ("vi", 1280)])
def test_a_customer_corrects_with_a_proof_staff_approve_and_mail_goes_to_the_new_data(site, page, look, language, width):
    said, screen = SAID[language], {"width": width, "height": 800}
    python(site, MAKE.format(name=NAME, email=EMAIL, old=OLD, language=language))
    one_time = hire(site, "clara", "clerk")
    page.set_viewport_size(screen)
    with site.worker():
        # The customer comes in by the mail that arrived, and says what is right.
        page.goto("/my/sign-in/")
        page.fill("form:has(button[value=link]) input[type=email]", EMAIL)
        page.locator("button[value=link]").click()
        page.goto(link(comes(site, "/link/sign-in/")))
        go(page, "main button")
        if width == 360:
            page.click("summary:visible >> nth=0")  # a phone's menu
        go(page, f"nav:visible >> text={said['nav']}")
        look.now(f"corrections-empty-{language}")
        go(page, "a[href='/my/corrections/phone/']")
        look.now(f"correct-{language}")
        page.fill("#id_value", "12")
        page.set_input_files("#id_scan", PROOF)
        go(page, SEND)
        assert said["wrong"] in page.inner_text(".error") and page.input_value("#id_value") == "12"
        look.now(f"correct-wrong-{language}", page.content())
        page.fill("#id_value", "0909 999 999")
        page.set_input_files("#id_scan", PROOF)
        go(page, SEND)
        look.now(f"corrections-sent-{language}", page.content())
        correct(page, "full_name", NEW_NAME)
        assert page.inner_text("main").count(said["checked"]) >= 2 and NEW in page.inner_text("main")

        # Staff ask for something more, and a question: the customer answers both.
        python(site, ASK)
        page.goto("/my/corrections/")
        look.now(f"corrections-asked-{language}")
        go(page, f"text={said['add']}")
        look.now(f"complete-{language}")
        page.set_input_files("#id_scan", PROOF)
        go(page, SEND)
        page.goto(link(comes(site, "/link/information/")))
        look.now(f"information-{language}")
        page.fill("#id_order", "HD-2231")
        go(page, SEND)
        assert said["thanks"] in page.inner_text("main")
        look.now(f"answered-{language}", page.content())

        # Another person than the customer sees old and new side by side, and approves.
        sign_in(page, "clara", one_time)
        page.goto("/admin/customers/correction/")
        look_at_staff(page, f"queue-{language}")
        page.set_viewport_size(screen)
        for field, before, after in (("phone", OLD, NEW), ("full_name", NAME, NEW_NAME)):
            ((number,),) = site.query("SELECT id FROM customers_correction WHERE field = %s", field)
            page.goto(f"/admin/customers/correction/{number}/change/")
            look_at_staff(page, f"correction-{field}-{language}")
            assert after not in page.content() and before not in page.content()
            go(page, ".object-tools a[href$='/do/reveal/']")
            go(page, "input[type=submit].default")
            look_at_staff(page, f"both-{field}-{language}")
            assert page.locator(".revealed").all_inner_texts() == [before, after]
            if field == "phone":
                with page.expect_download() as file:
                    page.click(".explained >> xpath=preceding-sibling::p >> a")
                assert file.value.path().read_bytes() == scans.png() and "Ánh" not in file.value.suggested_filename
            page.goto(f"/admin/customers/correction/{number}/change/")
            go(page, ".object-tools a[href$='/do/approve/']")
            go(page, "input[type=submit].default")
            look_at_staff(page, f"approved-{field}-{language}")

        # The history has before and after; masked for whoever does not ask.
        go(page, "a[href$='/history/'] >> nth=-1")
        look_at_staff(page, f"history-{language}")
        assert "correction " in page.inner_text("#content") and NEW not in page.content()

        # The customer sees it done, and the mail about it greets by the new name.
        page.set_viewport_size(screen)
        page.goto("/my/corrections/")
        look.now(f"corrections-done-{language}")
        shown = page.inner_text(".asked")
        assert shown.count(said["done"]) == 2 and all(value in shown for value in (OLD, NEW, NAME, NEW_NAME))
        with page.expect_download() as file:
            page.click(f"text={said['file']}")
        assert file.value.path().read_bytes() == scans.png()
        page.goto("/my/")
        assert NEW in page.inner_text("main") and OLD not in page.inner_text("main")
        comes(site, said["mail"], 2)
        assert NEW_NAME in text(arrived(site, said["mail"])[-1])
