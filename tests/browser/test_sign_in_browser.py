"""The staff's sign-in in a real browser: on a phone, under the real content policy, with a passkey of a virtual device."""

import pytest

from tests.browser.staff import LONG, PHONE, fits, give_password, go, hire, sign_in
from tests.make import code

pytestmark = pytest.mark.browser


def test_the_first_sign_in_and_the_second_on_a_phone(site, page):
    page.set_viewport_size(PHONE)
    widths = []
    page.goto("/admin/")
    assert page.url.endswith("/staff/sign-in/?next=/admin/") and fits(page)
    secret, codes = sign_in(page, "clara", hire(site, "clara", "clerk"), look=lambda: widths.append(fits(page)))
    assert widths == [True] * 3 and len(codes) == 10
    assert fits(page)
    page.goto("/staff/security/recovery-codes/")
    assert codes[0] not in page.content() and fits(page), "shown once"
    page.goto("/admin/")
    go(page, "#logout-form button")
    give_password(page, "clara", LONG)
    assert fits(page) and page.url.endswith("/staff/sign-in/code/")
    page.fill("#id_code", "123")
    go(page, "main form >> nth=0 >> button")
    assert "not right" in page.inner_text(".error") and fits(page)
    page.fill("#id_code", code(secret, 1))
    go(page, "main form >> nth=0 >> button")
    assert page.url.endswith("/admin/")
    go(page, "text=Sign-in and security")
    assert fits(page) and "10 codes are left" in page.content()


def test_a_passkey_signs_in_alone_and_is_removed(site, page):
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    device.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, "automaticPresenceSimulation": True}})
    sign_in(page, "clara", hire(site, "clara", "clerk"))
    page.set_viewport_size(PHONE)
    page.goto("/staff/security/passkeys/add/")
    page.fill("#id_name", "my laptop")
    assert fits(page)
    go(page, "#passkey-add")
    assert page.url.endswith("/staff/security/") and "my laptop" in page.content()
    page.goto("/admin/")
    go(page, "#logout-form button")
    with page.expect_navigation(url="**/admin/"):
        page.click("#passkey-login")
    assert site.query("SELECT detail->>'factor' FROM audit_entry WHERE action = 'staff.sign_in' ORDER BY id") == [(None,), ("webauthn",)]
    go(page, "#logout-form button")
    give_password(page, "clara", LONG)
    with page.expect_navigation(url="**/admin/"):
        page.click("#passkey-authenticate")
    page.goto("/staff/security/")
    go(page, "text=Remove")
    assert fits(page)
    go(page, "main form button")
    assert page.url.endswith("/staff/security/") and "my laptop" not in page.content()
    go(page, "text=Sign out everywhere else")
    assert page.url.endswith("/staff/security/")
