"""A customer writes a mail, a clerk takes it, reads it and answers, and the answer arrives: with a real mailbox and a real browser."""

from mailbox import Maildir

import pytest

from tests.arrived import letter
from tests.browser.staff import PHONE, go, hire, sign_in
from tests.browser.test_reveal_browser import look
from tests.live.test_erasure import python
from tests.live.test_sending import wait_until
from tests.post import text

pytestmark = pytest.mark.browser
EMAIL, WORDS = "anh@example.org", "Máy chủ của tôi bị chậm từ sáng nay"
MAKE = """
import django; django.setup()
from tests.make import make_customer, make_hold
make_customer("KH-7", email="anh@example.org", locale="en")
make_hold(make_customer("KH-8", email="binh@example.org", locale="en"))
"""
SEND = "input[type=submit].default"


def test_a_mail_is_taken_read_and_answered(site, page, tmp_path):
    python(site, MAKE)
    site.env["INCOMING_MAILDIR"] = str(tmp_path / "Maildir")
    maildir = Maildir(tmp_path / "Maildir", create=True)
    for sender in (EMAIL, "binh@example.org", "mallory@example.net"):
        maildir.add(letter(f"Someone <{sender}>", WORDS, "Chậm"))
    assert site.json("read_mail") == {"support": 2, "unknown": 1}
    ((number,),) = site.query("SELECT id FROM customers_supportrequest WHERE state = 'received'")
    page.set_viewport_size(PHONE)
    sign_in(page, "clara", hire(site, "clara", "clerk"))
    page.goto("/admin/mailings/incomingmail/")
    look(page, "incoming")
    page.goto("/admin/customers/supportrequest/")
    assert "waits for the end of a hold" in page.inner_text("#content") and WORDS not in page.content()
    look(page, "support-queue")

    def act(name, **fields):
        page.goto(f"/admin/customers/supportrequest/{number}/change/")
        assert WORDS not in page.content()
        look(page, f"support-before-{name}")
        go(page, f".object-tools a[href$='/do/{name}/']")
        for field, value in fields.items():
            page.fill(f"#id_{field}", value)
        look(page, f"support-{name}")
        go(page, SEND)

    act("take")
    act("reveal")
    assert WORDS in page.inner_text("#content")
    look(page, "support-mail")
    act("reply", answer="It is repaired; please restart it.")
    assert "answered" in page.inner_text("#content")
    look(page, "support-answered")
    with site.worker():
        wait_until(lambda: any("It is repaired" in text(mail) for mail in site.sink.mails), 120)
    for log in ("processes.log", "commands.log", "web.log"):
        assert "@example.org" not in (tmp_path / log).read_text() and "sáng nay" not in (tmp_path / log).read_text()
