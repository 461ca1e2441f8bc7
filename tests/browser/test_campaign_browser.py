"""A marketer writes and tries a letter, an approver reads it, sets its moment, halts it and lets it go on: real worker, server, browser."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.browser.staff import fits, go, hire, sign_in
from tests.browser.test_disclosures_browser import SHOTS, Path
from tests.live.test_erasure import python
from tests.live.test_sending import open_messages, still, wait_until
from tests.post import text

pytestmark = pytest.mark.browser

CUSTOMERS = 220  # more than the workers take in hand at once
MAKE = """
import django; django.setup()
from tests.make import consent, make_customer, make_service
from privacy_office.models import Staff
for number in range({customers}):
    customer = make_customer(f"KH-{{number}}", locale="{language}")
    consent(customer)
make_service(make_customer("KH-NO", locale="{language}"), product="VPS")
Staff.objects.filter(username="marta").update(email="marta@office.example")
"""
BEGIN = """
import django; django.setup()
from mailings import tasks
tasks.start_campaigns()
"""
SAID = {
    "en": {"test": "[Test] [QC]", "paused": "paused", "done": "done", "stale": "another letter", "minute": "a minute"},
    "vi": {"test": "[Thử] [QC]", "paused": "tạm dừng", "done": "hoàn tất", "stale": "nhóm người nhận khác", "minute": "mỗi phút"},
}


def look(page, name):
    """Check that the page fits the screen and names no customer; take its picture where somebody wants to see it."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)
    assert fits(page), name
    assert "@example.org" not in page.content().replace("mau@example.org", "") and "KH-" not in page.content(), name


def act(page, name):
    """Do one of the acts that the campaign's page offers."""
    go(page, f".object-tools a[href$='/do/{name}/']")
    look(page, f"campaign-{name}-{page.viewport_size['width']}")
    go(page, ".submit-row input")


def until(page, selector):
    """Look again until something is on the page."""
    wait_until(lambda: page.reload() and page.locator(selector).count())


@pytest.mark.parametrize(("language", "width"), [("en", 360), ("vi", 1280)])
def test_a_campaign_from_its_first_word_to_its_report(site, page, language, width):
    said = SAID[language]
    marta, albert = hire(site, "marta", "marketer"), hire(site, "albert", "approver")
    python(site, MAKE.format(customers=CUSTOMERS, language=language))
    page.set_viewport_size({"width": width, "height": 800})
    with site.worker():
        # She writes it, with the placeholders' buttons, and sees what it looks like before it is kept.
        sign_in(page, "marta", marta)
        page.context.add_cookies([{"name": "language", "value": language, "url": site.env["BASE_URL"]}])
        page.goto("/admin/mailings/campaign/add/")
        page.select_option("#id_purpose", label="promotions")
        page.fill("#id_subject", "Tin vui")
        page.fill("#id_subject_en", "Good news")
        for field, greeting in (("body", "Kính gửi "), ("body_en", "Dear ")):
            page.fill(f"#id_{field}", greeting)
            page.wait_for_timeout(500)  # longer than the preview waits for the next key: the button must have it made anew by itself
            page.click(f".field-{field} .placeholders button >> nth=0")
            assert page.input_value(f"#id_{field}") == greeting + "{full_name}"
        for number, greeting in enumerate(("Kính gửi", "Dear")):
            frame = page.frame_locator("#typed iframe.letter").nth(number)
            frame.get_by_text(f"{greeting} Nguyễn Văn Mẫu").wait_for()
        page.locator("#typed summary >> nth=0").click()
        page.locator("#id_body").press_sequentially("!")
        page.locator("#typed details[open] pre", has_text="Nguyễn Văn Mẫu!").wait_for()
        look(page, f"campaign-add-{width}")
        with page.expect_popup() as popup:
            page.click("button[formaction$='/preview/']")
        preview = popup.value
        preview.set_viewport_size(page.viewport_size)
        preview.wait_for_load_state()
        look(preview, f"campaign-preview-{width}")
        for number, greeting in enumerate(("Kính gửi", "Dear")):
            frame = preview.frame_locator("iframe.letter").nth(number)
            assert f"{greeting} Nguyễn Văn Mẫu" in frame.locator("body").inner_text()
        preview.close()
        assert site.query("SELECT count(*) FROM mailings_campaign") == [(0,)], "a preview keeps nothing"
        page.fill("#id_product", "Nothing")
        go(page, "[name=_continue]")
        assert page.locator(".field-product .errorlist").count() == 1
        page.fill("#id_product", "")
        page.select_option("#id_language", language)
        go(page, "[name=_continue]")
        campaign = page.url.partition("?")[0]
        act(page, "test")
        wait_until(lambda: len(site.sink.mails) == 2)
        assert {mail.recipient for mail in site.sink.mails} == {"marta@office.example"}
        assert any(str(mail.message["Subject"]).startswith(said["test"]) and "marta" in text(mail) for mail in site.sink.mails)
        act(page, "dry-run")
        until(page, "code:text-is('consent_unknown')")
        look(page, f"campaign-counted-{width}")
        page.select_option("#id_language", "")
        go(page, "[name=_continue]")
        assert said["stale"] in page.inner_text("#content")
        act(page, "dry-run")
        wait_until(lambda: page.reload() and said["stale"] not in page.inner_text("#content") and page.locator("td.number").count() == 2)
        assert page.locator("a[href$='/do/approve/']").count() == 0
        page.context.clear_cookies(name="language")
        go(page, "#logout-form button")

        # He reads it with its dry run, approves it, and sets when it begins.
        sign_in(page, "albert", albert)
        page.context.add_cookies([{"name": "language", "value": language, "url": site.env["BASE_URL"]}])
        page.goto(campaign)
        look(page, f"campaign-read-{width}")
        go(page, ".object-tools a[href$='/preview/']")
        assert preview_names(page)
        page.goto(campaign)
        go(page, ".object-tools a[href$='/do/approve/']")
        assert "consent_unknown" in page.content() and "Nguyễn Văn Mẫu" in page.content()
        look(page, f"campaign-approve-{width}")
        go(page, ".submit-row input")
        go(page, ".object-tools a[href$='/do/schedule/']")
        soon = timezone.localtime() + timedelta(seconds=2)
        page.fill("#id_starts_at_0", f"{soon:%Y-%m-%d}")
        page.fill("#id_starts_at_1", f"{soon:%H:%M:%S}")
        look(page, f"campaign-schedule-{width}")
        go(page, ".submit-row input")
        wait_until(lambda: timezone.now() > soon)
        site.sink.mails.clear()
        site.sink.delay = 0.05
        python(site, BEGIN)
        wait_until(lambda: len(site.sink.mails) >= 5)
        page.goto(campaign)
        assert said["minute"] in page.inner_text("#content")
        look(page, f"campaign-sending-{width}")
        act(page, "pause")
        wait_until(still(site))
        assert open_messages(site) and said["paused"] in page.inner_text(".field-status")
        look(page, f"campaign-paused-{width}")
        site.sink.delay = 0
        act(page, "resume")
        wait_until(lambda: not open_messages(site))
        python(site, "import django; django.setup()\nfrom mailings import tasks\ntasks.sweep()")
        page.goto(campaign)
        assert said["done"] in page.inner_text(".field-status")
        look(page, f"campaign-report-{width}")
    # Her account's own notices come when the sweep thinks them late.
    recipients = [mail.recipient for mail in site.sink.mails if mail.recipient != "marta@office.example"]
    assert len(recipients) == len(set(recipients)) == CUSTOMERS and "kh-no@example.org" not in recipients


def preview_names(page):
    return "Nguyễn Văn Mẫu" in page.frame_locator("iframe.letter").first.locator("body").inner_text()
