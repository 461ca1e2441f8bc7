"""A customer on a phone asks for a copy and restricts use; the clerk finds the copy in the queue and answers: every page looked at."""

import hashlib
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.browser.staff import fits, go
from tests.browser.test_reveal_browser import enter
from tests.browser.test_reveal_browser import look as look_at_staff

pytestmark = pytest.mark.browser
COOKIE = "what-the-cookie-of-the-one-customer-says"


def come_in(site, page):
    """Have the browser be signed in as the one customer there is."""
    with psycopg.connect(site.env["DATABASE_URL"]) as db:
        db.execute("UPDATE customers_customer SET locale = 'en'")
        db.execute(
            "INSERT INTO customers_session (customer_id, digest, began_at, seen_at) SELECT id, %s, now(), now() FROM customers_customer",
            [hashlib.sha256(COOKIE.encode()).digest()],
        )
    base = site.env["BASE_URL"]
    page.context.add_cookies([{"name": "my", "value": COOKIE, "domain": urlsplit(base).hostname, "path": "/"}])


def test_a_customer_asks_and_a_clerk_answers(site, page, look):
    enter(site, page)
    come_in(site, page)
    look.at("/my/requests/", "requests-empty")
    page.check("input[value=copy]")
    page.fill("#id_words", "everything, please")
    go(page, "text=Send the request")
    look.now("request")
    assert "First reply within 2 working days" in page.inner_text("main")
    page.goto("/my/requests/")
    page.check("input[value=restriction]")
    go(page, "text=Send the request")
    look.now("request-done")
    assert "Done on" in page.inner_text("main")
    look.at("/my/requests/", "requests")
    assert site.query("SELECT restricted_at IS NOT NULL FROM customers_customer") == [(True,)]

    page.goto("/admin/")
    look_at_staff(page, "staff-index")
    page.goto("/admin/customers/rightsrequest/")
    look_at_staff(page, "queue")
    ((number,),) = site.query("SELECT id FROM customers_rightsrequest WHERE kind = 'copy'")
    page.goto(f"/admin/customers/rightsrequest/{number}/change/")
    look_at_staff(page, "queue-request")
    assert "everything, please" not in page.content() and fits(page)
    go(page, "text=Give the first reply")
    look_at_staff(page, "first-reply")
    go(page, "input[type=submit].default")
    assert site.query("SELECT state FROM customers_rightsrequest WHERE id = %s", number) == [("acknowledged",)]
