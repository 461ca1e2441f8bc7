"""Staff at work in a real browser, under the real content policy."""

import pytest

from tests.browser.staff import PHONE, fits, go, hire, sign_in

pytestmark = pytest.mark.browser

PLAIN = {"full_name": "Trần Thị Ánh Tuyết", "email": "anh.tuyet@example.org", "phone": "0903 123 456", "address": "9 Ngõ Bí Mật"}


def test_an_administrator_changes_the_one_time_password_and_hires_a_clerk(site, page):
    sign_in(page, "adam", hire(site, "adam", "administrator"))
    go(page, "text=Staff")
    go(page, ".object-tools a")
    page.fill("#id_username", "clara")
    page.check("label:has-text('clerk') input")
    go(page, "[name=_save]")
    password = page.inner_text(".told-once code")
    go(page, "text=I have noted it")
    assert password not in page.content() and "clara" in page.content()
    go(page, "#logout-form button")
    sign_in(page, "clara", password)
    assert "Customers" in page.content() and "Staff" not in page.inner_text("#content")


def test_a_clerk_finds_a_customer_by_an_unusual_phone_and_places_a_hold(site, page):
    customers = site.folder / "customers.csv"
    customers.write_text("ref,full_name,email,phone,address\nKH-7," + ",".join(PLAIN.values()) + "\nKH-8,Lê An,an@example.org,,\n", "utf-8")
    site.manage("import_customers", "--customers", customers)
    page.set_viewport_size(PHONE)
    sign_in(page, "clara", hire(site, "clara", "clerk"))
    seen = []

    def follow(selector):
        go(page, selector)
        seen.append(page.content())
        assert fits(page)

    follow("#content .model-customer th a")
    page.fill("#searchbar", "(+84) 903.123.456")
    follow("#changelist-search [type=submit]")
    assert page.inner_text("#result_list tbody th") == "KH-7" and page.locator("#result_list tbody tr").count() == 1
    assert "123456" not in page.url and page.url.count("q=gAAAAA") == 1, "an address stays in histories and logs"
    assert "1 found" in page.inner_text("#toolbar")
    follow("text=Show all")
    assert page.locator("#result_list tbody tr").count() == 2 and page.input_value("#searchbar") == ""
    page.fill("#searchbar", "tuyet")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=gAAAAA**")
    assert page.inner_text("#result_list tbody th") == "KH-7"
    follow("#result_list a")
    assert page.inner_text(".field-full_name .readonly").split() == ["•••", "reveal"]
    follow("text=Place a hold")
    follow(".submit-row input")
    assert page.locator(".errorlist").count() == 1, "a reason is asked for"
    page.fill("#id_reason", "three odd requests")
    follow(".submit-row input")
    assert "Place a hold: done" in page.inner_text(".messagelist")
    assert "three odd requests" in page.inner_text("#content") and "address_on_hold" in page.inner_text("#content")
    follow("text=Release the hold")
    page.fill("#id_note", "knew the last invoice")
    follow(".submit-row input")
    assert "another person" in page.inner_text(".errorlist") and page.input_value("#id_note") == "knew the last invoice"
    follow(".submit-row .closelink")
    follow("text=History")
    assert page.request.get("/admin/privacy_office/staff/").status == 403
    assert site.query("SELECT action FROM audit_entry WHERE action LIKE '%%.refused' ORDER BY id") == [
        ("customer.release-hold.refused",), ("admin.refused",),
    ]  # fmt: skip
    assert len(seen) == 11
    for plain in (*PLAIN.values(), "Tuyết", "+84903123456"):
        assert not [source for source in seen if plain in source]
    assert site.query("SELECT count(*) FROM customers_emailhold WHERE released_at IS NULL") == [(1,)]
