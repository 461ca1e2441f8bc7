"""Staff at work in a real browser, under the real content policy."""

import pytest

pytestmark = pytest.mark.browser

PLAIN = {"full_name": "Trần Thị Ánh Tuyết", "email": "anh.tuyet@example.org", "phone": "0903 123 456", "address": "9 Ngõ Bí Mật"}
LONG = "nine horses under the banyan"
PHONE = {"width": 360, "height": 800}


def hire(site, name, role):
    return site.manage("create_staff", name, "--role", role).split()[-1]


def go(page, selector):
    """Click, and wait for the page that comes."""
    with page.expect_navigation():
        page.click(selector)


def sign_in(page, name, password, new=LONG):
    """Sign in with a one-time password and change it, as must be."""
    page.goto("/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    go(page, ".submit-row [type=submit]")
    page.goto("/admin/audit/entry/")
    assert page.url.endswith("/admin/password_change/"), "nothing else is to be had before"
    page.fill("#id_old_password", password)
    page.fill("#id_new_password1", new)
    page.fill("#id_new_password2", new)
    go(page, ".submit-row [type=submit]")
    page.goto("/admin/")
    assert page.url.endswith("/admin/")


def fits(page):
    """Say whether the page has the width of the screen."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


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

    follow("#content a:has-text('Customers') >> nth=-1")
    page.fill("#searchbar", "(+84) 903.123.456")
    follow("#changelist-search [type=submit]")
    assert page.inner_text("#result_list tbody th") == "KH-7" and page.locator("#result_list tbody tr").count() == 1
    assert "903" not in page.url and page.url.count("q=gAAAAA") == 1, "an address stays in histories and logs"
    assert "1 found" in page.inner_text("#toolbar")
    follow("text=Show all")
    assert page.locator("#result_list tbody tr").count() == 2 and page.input_value("#searchbar") == ""
    page.fill("#searchbar", "tuyet")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=gAAAAA**")
    assert page.inner_text("#result_list tbody th") == "KH-7"
    follow("#result_list a")
    assert page.inner_text(".field-full_name .readonly") == "•••"
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


def test_a_campaign_is_drafted_by_one_and_approved_by_another(site, page):
    page.set_viewport_size(PHONE)
    sign_in(page, "marta", hire(site, "marta", "marketer"))
    page.goto("/admin/mailings/campaign/add/")
    page.select_option("#id_purpose", label="promotions")
    page.fill("#id_subject", "Tin vui")
    page.fill("#id_body", "Chào {full_nam}")
    go(page, "[name=_save]")
    assert "{full_nam}" in page.inner_text(".errorlist") and page.input_value("#id_body") == "Chào {full_nam}"
    page.fill("#id_body", "Chào {full_name} <b>bạn</b>")
    go(page, "[name=_continue]")
    assert "Nguyễn Văn Mẫu <b>bạn</b>" in page.inner_text("pre.letter") and fits(page)
    go(page, "text=Dry run")
    assert "allowed" in page.inner_text("#content") and fits(page)
    go(page, ".breadcrumbs a >> nth=-1")
    campaign = page.url
    go(page, "#logout-form button")
    sign_in(page, "albert", hire(site, "albert", "approver"))
    page.goto(campaign)
    go(page, "text=Approve")
    assert "Nguyễn Văn Mẫu" in page.inner_text("pre.letter") and fits(page)
    go(page, ".submit-row input")
    assert "Approve: done" in page.inner_text(".messagelist")
    assert page.inner_text(".field-status .readonly") == "approved"
