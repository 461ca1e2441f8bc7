"""What every member of the staff does in a browser before work: come in, for the first time and again."""

from tests.make import code

LONG = "nine horses under the banyan"
PHONE = {"width": 360, "height": 800}


def hire(site, name, role):
    return site.manage("create_staff", name, "--role", role).split()[-1]


def go(page, selector):
    """Click, and wait for the page that comes."""
    with page.expect_navigation():
        page.click(selector)


def fits(page):
    """Say whether the page has the width of the screen."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def give_password(page, name, password):
    page.goto("/admin/")
    page.fill("#id_login", name)
    page.fill("#id_password", password)
    go(page, "main form >> nth=0 >> button")


def sign_in(page, name, password, new=LONG, look=lambda: None):
    """Sign in with a one-time password, change it and set up an authenticator app, as must be; return the app's secret and the codes.

    `look` is called on every page on the way.
    """
    give_password(page, name, password)
    page.goto("/admin/audit/entry/")
    assert page.url.endswith("/admin/password_change/"), "nothing else is to be had before"
    look()
    page.fill("#id_old_password", password)
    page.fill("#id_new_password1", new)
    page.fill("#id_new_password2", new)
    go(page, "main form >> nth=0 >> button")
    page.goto("/admin/audit/entry/")
    assert page.url.endswith("/staff/security/authenticator/"), "nothing else is to be had before"
    look()
    secret = page.inner_text(".key").replace(" ", "")
    page.fill("#id_code", code(secret))
    go(page, "main form >> nth=0 >> button")
    look()
    codes = page.locator(".codes code").all_inner_texts()
    go(page, "text=I have noted them")
    assert page.url.endswith("/admin/")
    return secret, codes
