"""Walks through a running ./run with the demo as docs/TOUR.md tells it, and takes the tour's pictures: docs/pictures.py [--url URL].

It gives the demo's staff new one-time passwords, and sends one more campaign to the local mailbox.
"""

import argparse
import base64
import hmac
import struct
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
PATIENCE = 120  # seconds for what workers do
SUBJECT, SUBJECT_EN = "Giảm 15 % cho máy chủ ảo", "15 % off virtual servers"
BODY = "Kính gửi {full_name},\n\nTuần này **giảm 15 %** cho mọi gói máy chủ ảo.\n\nTrân trọng,\n{company}"
BODY_EN = "Dear {full_name},\n\nThis week every virtual server is **15 % off**.\n\nYours,\n{company}"


def code(secret):
    """Return what an authenticator app shows now (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def go(page, selector):
    with page.expect_navigation():
        page.click(selector)


class Tour:
    def __init__(self, browser, url, folder):
        self.browser, self.url, self.folder = browser, url, folder

    def page(self, width=1000, height=720):
        context = self.browser.new_context(base_url=self.url, locale="en-GB", viewport={"width": width, "height": height})
        return context.new_page()

    def staff(self, name):
        """Return a page of a member of the staff who has just signed in for the first time."""
        said = subprocess.run([sys.executable, "manage.py", "reset_staff", name], cwd=ROOT, capture_output=True, text=True, check=True)
        given, own, page = said.stdout.split()[-1], "nine horses under the banyan", self.page()
        page.goto("/admin/")
        page.fill("#id_login", name)
        page.fill("#id_password", given)
        go(page, "main button >> nth=0")
        page.fill("#id_old_password", given)
        page.fill("#id_new_password1", own)
        page.fill("#id_new_password2", own)
        go(page, "main button >> nth=0")
        page.fill("#id_code", code(page.inner_text(".key").replace(" ", "")))
        go(page, "main button >> nth=0")
        go(page, "text=I have noted them")
        return page

    def picture(self, page, name, **how):
        page.screenshot(path=self.folder / f"{name}.png", **how)


def until(page, selector):
    """Look again until something is on the page."""
    end = time.monotonic() + PATIENCE
    while not page.locator(selector).count():
        if time.monotonic() > end:
            sys.exit(f"{page.url} does not show {selector}")
        time.sleep(1)
        page.reload()


def act(page, name):
    go(page, f".object-tools a[href$='/do/{name}/']")
    go(page, ".submit-row input")


def write(tour):
    """The marketer writes a letter and has it counted who would get it; return its address."""
    page = tour.staff("marketer")
    page.goto("/admin/mailings/campaign/add/")
    page.select_option("#id_purpose", label="promotions")
    for name, words in (("subject", SUBJECT), ("subject_en", SUBJECT_EN), ("body", BODY), ("body_en", BODY_EN)):
        page.fill(f"#id_{name}", words)
    tour.picture(page, "campaign-written")
    page.locator("#typed iframe >> nth=0").scroll_into_view_if_needed()
    page.frame_locator("#typed iframe >> nth=0").get_by_text("15 %").wait_for()
    time.sleep(1)  # until it is painted
    tour.picture(page, "campaign-preview")
    go(page, "[name=_continue]")
    campaign = page.url.partition("?")[0]
    act(page, "dry-run")
    until(page, "code:text-is('consent_unknown')")
    page.locator("code:text-is('consent_unknown')").scroll_into_view_if_needed()
    tour.picture(page, "campaign-counted")
    return campaign


def let_out(tour, campaign):
    """The approver lets it out, and waits for the last mail."""
    page = tour.staff("approver")
    page.goto(campaign)
    go(page, ".object-tools a[href$='/do/approve/']")
    tour.picture(page, "campaign-approved")
    go(page, ".submit-row input")
    act(page, "launch")
    until(page, ".field-status :text('done')")
    page.locator("h2:text-is('Report')").scroll_into_view_if_needed()
    page.mouse.wheel(0, 400)
    time.sleep(0.5)
    tour.picture(page, "campaign-report")


def read(tour):
    """A customer gets it, and looks at what they may refuse."""
    page = tour.page()
    page.goto("/mailbox/")
    go(page, f"a:has-text('{SUBJECT}') >> nth=0")
    tour.picture(page, "mail")
    preferences = page.frame_locator("iframe").locator("a[href*='/preferences/']").get_attribute("href")
    phone = tour.page(width=390, height=760)
    phone.goto(preferences)
    tour.picture(phone, "preferences")


def look_around(tour):
    """What waits for a clerk and for the officer."""
    page = tour.staff("clerk")
    page.goto("/admin/")
    tour.picture(page, "clerk")
    page.goto("/admin/customers/correction/")
    go(page, "#result_list th a >> nth=0")
    tour.picture(page, "correction")
    page = tour.staff("officer")
    page.goto("/admin/")
    tour.picture(page, "office")
    page.goto("/admin/disclosures/disclosurerequest/")
    go(page, "#result_list tr:has(time.clock) th a >> nth=0")
    tour.picture(page, "request")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8000", help="where ./run says that the office is")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    began = time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        tour = Tour(browser, options.url, options.folder)
        let_out(tour, write(tour))
        read(tour)
        print(f"The first campaign was in the mailbox after {time.monotonic() - began:.0f} s.")
        look_around(tour)
        browser.close()


if __name__ == "__main__":
    main()
