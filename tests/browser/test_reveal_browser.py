"""A clerk with a customer on the phone: one value is seen, for a reason and a ticket, and leaves the screen again."""

import os
from pathlib import Path

import psycopg
import pytest

from tests.browser.staff import LONG, PHONE, fits, give_password, go, hire, sign_in
from tests.make import code

pytestmark = pytest.mark.browser

NUMBER = "+84903123456"
SHOTS = os.environ.get("SHOTS")  # a folder, to look at the pages


def look(page, name):
    """Check that the page fits the screen; take its picture in two widths where somebody wants to see it."""
    assert fits(page)
    if SHOTS:
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            page.screenshot(path=Path(SHOTS, f"{name}-{width}.png"), full_page=True)
        page.set_viewport_size(PHONE)


def change(site, sql):
    with psycopg.connect(site.env["DATABASE_URL"]) as db:
        db.execute(sql)


def actions(site):
    return [action for (action,) in site.query("SELECT action FROM audit_entry WHERE action LIKE 'reveal.%%' ORDER BY id")]


def enter(site, page):
    """Come in as a clerk before the page of the one customer there is; return the secret of the clerk's authenticator app."""
    files = {
        "customers": f"ref,full_name,email,phone,address\nKH-7,Trần Thị Ánh Tuyết,anh.tuyet@example.org,{NUMBER},9 Ngõ Bí Mật\n",
        "services": "customer_ref,service,plan,started_on,expires_on,access_username,access_secret\n"
        "KH-7,Máy chủ ảo,VPS-2,2026-01-01,2026-12-31,root,hoa-mai-vang\n",
    }
    for name, text in files.items():
        (site.folder / f"{name}.csv").write_text(text, "utf-8")
    site.manage("import_customers", *(word for name in files for word in (f"--{name}", site.folder / f"{name}.csv")))
    page.set_viewport_size(PHONE)
    secret, _codes = sign_in(page, "clara", hire(site, "clara", "clerk"))
    ((number,),) = site.query("SELECT id FROM customers_customer")
    page.goto(f"/admin/customers/customer/{number}/change/")
    return secret


def test_a_clerk_on_a_phone_sees_a_number_until_its_time_is_over(site, page):
    enter(site, page)
    customer = page.url
    look(page, "masked")
    assert NUMBER not in page.content()
    go(page, ".field-phone a.reveal")
    assert page.input_value("#id_field") == "phone" and page.locator("#id_case_reference").is_visible()
    page.check("text=to recognise a caller")
    go(page, ".submit-row input")
    assert "Which ticket" in page.inner_text(".errorlist") and page.is_checked("text=to recognise a caller")
    look(page, "form")
    page.fill("#id_case_reference", "SUP-12")
    go(page, ".submit-row input")
    assert page.inner_text(".revealed") == NUMBER and NUMBER not in page.title() and "903" not in page.url
    look(page, "shown")
    shown = page.url
    go(page, "text=I have seen it")
    assert page.url == customer and NUMBER not in page.content()
    look(page, "live")
    go(page, ".field-phone a.reveal")
    assert page.url == shown and page.inner_text(".revealed") == NUMBER, "while it is live, one tap"
    change(site, "UPDATE customers_reveal SET opened_at = opened_at - interval '1 hour', expires_at = expires_at - interval '1 hour'")
    page.reload()
    assert "is over" in page.inner_text("#content") and NUMBER not in page.content()
    look(page, "expired")
    page.goto(customer)
    page.go_back()
    assert NUMBER not in page.content(), "nor is it kept for the way back"
    go(page, "a.button:has-text('Ask again')")
    assert page.input_value("#id_field") == "phone"
    assert actions(site) == ["reveal.ask", "reveal.open", "reveal.view", "reveal.view"]
    why = "SELECT DISTINCT detail->>'field', detail->>'reason', detail->>'case_reference' FROM audit_entry WHERE action LIKE 'reveal.%%'"
    assert site.query(why) == [("phone", "caller", "SUP-12")]


def test_the_value_leaves_the_screen_by_itself(site, page):
    enter(site, page)
    customer = page.url
    go(page, ".field-phone a.reveal")
    page.check("text=to reach the customer")
    page.fill("#id_case_reference", "SUP-13")
    go(page, ".submit-row input")
    change(site, "UPDATE customers_reveal SET opened_at = now() - interval '1 hour', expires_at = now() + interval '3 seconds'")
    page.reload()
    assert page.inner_text(".revealed") == NUMBER
    page.wait_for_url(customer)
    assert NUMBER not in page.content()


def test_access_data_needs_a_second_person(site, page):
    secret = enter(site, page)
    go(page, "#content-main a:has-text('VPS-2')")
    service = page.url
    look(page, "service")
    go(page, ".field-access_secret a.reveal")
    page.check("text=to investigate abuse")
    page.fill("#id_case_reference", "SUP-14")
    look(page, "credential")
    go(page, ".submit-row input")
    assert "waits for a second person" in page.inner_text("#content")
    look(page, "waiting")
    go(page, "#logout-form button")
    sign_in(page, "otto", hire(site, "otto", "officer"))
    page.goto(service)
    go(page, "section a:has-text('Approve')")
    assert "clara" in page.inner_text("#content") and "SUP-14" in page.inner_text("#content")
    look(page, "approve")
    go(page, ".submit-row input")
    look(page, "approved")
    page.goto("/admin/customers/reveal/")
    look(page, "list")
    go(page, "#logout-form button")
    give_password(page, "clara", LONG)
    page.fill("#id_code", code(secret, 1))
    go(page, "main form >> nth=0 >> button")
    page.goto(service)
    look(page, "to-open")
    go(page, "section a:has-text('Open')")
    go(page, ".submit-row input")
    assert page.inner_text(".revealed") == "hoa-mai-vang"
    look(page, "credential-shown")
    assert actions(site) == ["reveal.ask", "reveal.approve", "reveal.open", "reveal.view"]
