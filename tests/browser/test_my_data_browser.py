"""The customer's own pages, in both languages, on any screen and for any eyes; and links in mails, opened by a browser with scripts."""

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.browser.staff import go
from tests.links import WORDS

pytestmark = pytest.mark.browser

MAKE = """
from customers.models import Attachment, Link, Session
from tests import scans
from tests.make import *
ann = make_customer("REF-ANN", full_name="Trần Thị Ánh Tuyết", locale="{language}")
make_service(ann, product="Máy chủ ảo", plan="VPS-2")
consent(ann); withdraw(ann, channel="sms", evidence="SUP-12")
ask_reveal(ann); make_request(ann, "copy", words="Cho tôi xin tất cả dữ liệu")
Attachment.keep(ann, scans.png(), by=None)
ann.correct(by=make_staff("clerk"), reason="SUP-13", phone="+84903000111")
make_hold(ann).release(by=make_staff("clerk"), channel="phone", note="Biết tên gói dịch vụ")
ann.restrict(by=make_staff("clerk"), reason="SUP-14")
make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
ann.messages.update(state="sent")
links = [Link.issue(ann, "download")[1] for _ in range(2)]
print(*[Session.begin(ann, how="test", source={{}})[1], *links])
"""
LINKS = """
import json
from customers.models import Link
from tests.links import CASES
from tests.make import make_customer
from tests.test_links import address
found = []
for use, case in CASES.items():
    customer = make_customer(f"OF-{use}", email_state="unverified" if use == "verify" else "verified")
    about = case.begin(customer)
    about = about if hasattr(about, "customer") and use not in ("sign_in", "password", "download", "verify") else ""
    found.append(address(use, Link.issue(customer, use, about=about)[1]))
print(json.dumps(found))
"""
DIGEST = "import json; from tests.walk import tables; print(json.dumps(tables()))"


def shell(site, command):
    return site.manage("shell", "--verbosity", "0", "--command", command).strip().splitlines()[-1]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_what_customers_see_and_take_along_has_no_error(site, page, look, language, tmp_path):
    cookie, first, second = shell(site, MAKE.format(language=language)).split()
    page.context.add_cookies([{"name": "my", "value": cookie, "url": site.env["BASE_URL"]}])
    for name in ("", "mails/", "views/", "download/"):
        look.at(f"/my/{name}", f"my-{name.rstrip('/') or 'overview'}-{language}")
        assert page.get_attribute("html", "lang") == language
    page.locator("main form:not(.language):not(nav form) button").click()
    assert page.locator(".told").count() == 1
    look.now(f"my-download-asked-{language}")

    look.at(f"/link/download/{first}/", f"link-download-{language}")
    page.locator("button[value=page]").click()
    assert "Trần Thị Ánh Tuyết" in page.inner_text("main")
    look.now(f"copy-{language}", page.content())

    page.goto(f"/link/download/{second}/")
    with page.expect_download() as coming:
        page.locator("button[value=file]").click()
    with ZipFile(BytesIO(Path(coming.value.path()).read_bytes())) as archive:
        archive.extractall(tmp_path)
    assert json.loads((tmp_path / "my-data.json").read_text())["customer"]["ref"] == "REF-ANN"
    page.goto((tmp_path / "my-data.html").as_uri())
    look.now(f"copy-file-{language}", page.content().replace(page.locator("style").text_content(), ""))  # which the checker is too old for


def test_the_language_is_changed_by_a_button_and_everybody_else_signed_out_from_the_navigation(site, page):
    cookie = shell(site, MAKE.format(language="vi")).split()[0]
    page.context.add_cookies([{"name": "my", "value": cookie, "url": site.env["BASE_URL"]}])
    page.goto("/my/")
    page.click("form.language button")
    page.wait_for_selector("html[lang=en]")
    page.click("nav.my >> text=Signing in")
    page.click("text=Sign out everywhere else")
    page.click("nav.my >> text=Sign out")
    page.wait_for_url("**/my/sign-in/")


def test_on_a_phone_the_navigation_is_one_line_until_it_is_opened_and_on_paper_it_is_gone(site, page):
    cookie = shell(site, MAKE.format(language="en")).split()[0]
    page.context.add_cookies([{"name": "my", "value": cookie, "url": site.env["BASE_URL"]}])
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/my/")
    assert page.locator("nav:visible").count() == 0 and page.locator("h1").bounding_box()["y"] < 200
    page.click("summary >> text=Menu")
    go(page, "details nav >> text=Corrections")
    assert page.url.endswith("/my/corrections/") and page.locator("details[open]").count() == 0
    page.emulate_media(media="print")
    assert page.locator("nav:visible, summary:visible, button:visible").count() == 0 and page.locator("h1:visible").count() == 1


def test_a_browser_that_opens_every_link_and_runs_every_script_changes_nothing(site, page):
    addresses = json.loads(shell(site, LINKS))
    before = json.loads(shell(site, DIGEST))
    for address in addresses:
        page.goto(address, wait_until="networkidle")
        assert page.locator("main button").count() >= 1
        page.mouse.wheel(0, 2000)
        page.keyboard.press("Tab")
    assert json.loads(shell(site, DIGEST)) == before
    for address in addresses:
        page.goto(address)
        for field in page.locator("input[type=password]").all():
            field.fill(WORDS)
        for field in page.locator("main input[type=text], main textarea").all():
            field.fill("HD-12")
        if "/download/" not in address:
            go(page, "main button >> nth=0")
    used = site.query("SELECT use FROM customers_link WHERE used_at IS NOT NULL ORDER BY use")
    assert {use for (use,) in used} == {address.split("/")[2].replace("-", "_") for address in addresses} - {"download"}
