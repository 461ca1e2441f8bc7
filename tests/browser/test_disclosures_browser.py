"""An authority asks, and the clock runs: two people answer it in a real browser, and the customer sees it on the register."""

import io
import json
import os
import zipfile
from datetime import date
from pathlib import Path

import pyrage
import pytest

from tests.browser.staff import LONG, PHONE, fits, give_password, go, hire, sign_in
from tests.browser.test_requests_browser import come_in
from tests.make import PDF, code

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("SHOTS")  # a folder, to look at the pages
CUSTOMER = "ref,full_name,email,phone,address\nKH-7,Trần Thị Ánh Tuyết,anh.tuyet@example.org,0903 123 456,9 Ngõ Bí Mật\n"


def look_at_staff(page, name):
    """Check that the page fits a phone; take its picture in two widths where somebody wants to see it."""
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        if SHOTS:
            page.screenshot(path=Path(SHOTS, f"{name}-{width}.png"), full_page=True)
    assert fits(page), name
    page.set_viewport_size(PHONE)


def come_back(page, name, secret, step):
    give_password(page, name, LONG)
    page.fill("#id_code", code(secret, step))
    go(page, "main form >> nth=0 >> button")


def test_an_urgent_request_of_an_authority_is_answered_by_two_people_within_its_clock(site, page, look):
    identity = pyrage.x25519.Identity.generate()
    (site.folder / "customers.csv").write_text(CUSTOMER, "utf-8")
    site.manage("import_customers", "--customers", site.folder / "customers.csv")
    letter = site.folder / "letter.pdf"
    letter.write_bytes(PDF)
    page.set_viewport_size(PHONE)

    # One takes it in, verifies and narrows it.
    secret, _codes = sign_in(page, "otto", hire(site, "otto", "officer"))
    page.goto("/admin/disclosures/thirdparty/add/")
    page.fill("#id_name", "Phòng An ninh mạng")
    page.select_option("#id_kind", "authority")
    page.fill("#id_contact", "Trang web chính thức, số tổng đài")
    page.fill("#id_age_key", str(identity.to_public()))
    look_at_staff(page, "third-party")
    go(page, "[name=_save]")
    page.goto("/admin/disclosures/disclosurerequest/add/")
    page.select_option("#id_third_party", label="Phòng An ninh mạng")
    page.select_option("#id_on_ground", "legal_obligation")
    page.fill("#id_document_number", "12/CV-PA05")
    page.fill("#id_document_dated_on", date.today().isoformat())
    page.fill("#id_legal_article", "Điều 16 khoản 3")
    page.set_input_files("#id_file", letter)
    page.check("#id_urgent")
    for field in ("full_name", "email", "phone"):
        page.check(f"#id_fields_asked input[value={field}]")
    page.fill("#id_refs", "KH-7")
    page.fill("#id_asked_from", "2026-01-01")
    look_at_staff(page, "intake")
    go(page, "[name=_continue], [name=_save] >> nth=0")
    page.goto("/admin/")
    assert page.inner_text(".timeline time.clock").startswith("2:5"), "the first page counts down"
    look_at_staff(page, "dashboard")
    before = page.inner_text(".timeline time.clock")
    page.wait_for_function("before => document.querySelector('.timeline time.clock').textContent !== before", arg=before)
    go(page, ".timeline a")
    request = page.url
    go(page, "text=Verify the requester")
    page.check("text=called back over the published number")
    page.fill("#id_reference", "CALL-31")
    look_at_staff(page, "verify")
    go(page, ".submit-row input")
    go(page, "text=Assess and narrow")
    page.uncheck("#id_fields_kept input[value=email]")
    page.fill("#id_assessment", "The article reaches name and phone.")
    look_at_staff(page, "assess")
    go(page, ".submit-row input")
    go(page, ".object-tools a:has-text('Approve')")
    go(page, ".submit-row input")
    assert "counts for nothing" in page.inner_text(".errorlist"), "nobody approves their own"
    go(page, "#logout-form button")

    # Another checks the key and approves.
    sign_in(page, "albert", hire(site, "albert", "approver"))
    page.goto("/admin/disclosures/thirdparty/")
    go(page, "#result_list th a")
    go(page, "text=Check the key")
    look_at_staff(page, "check-key")
    go(page, ".submit-row input")
    page.goto(request)
    go(page, ".object-tools a:has-text('Approve')")
    assert "full name, phone" in page.inner_text("pre.letter >> nth=0")
    look_at_staff(page, "approve")
    go(page, ".submit-row input")
    go(page, "#logout-form button")

    # The first hands it over, once.
    come_back(page, "otto", secret, 1)
    page.goto(request)
    look_at_staff(page, "approved")
    go(page, "text=Hand over")
    go(page, ".submit-row input")
    look_at_staff(page, "package")
    with page.expect_download() as download:
        page.click("text=Fetch the package")
    package = Path(download.value.path()).read_bytes()
    said = json.loads(zipfile.ZipFile(io.BytesIO(pyrage.decrypt(package, [identity]))).read("disclosure.json"))
    assert said["customers"] == [{"full_name": "Trần Thị Ánh Tuyết", "phone": "+84903123456"}]
    page.goto(request)
    assert "handed over" in page.inner_text(".field-status") and "answered in time" in page.inner_text(".field-time_left")
    look_at_staff(page, "disclosed")
    for url, name in (
        ("/admin/disclosures/disclosurerequest/", "requests"), ("/admin/disclosures/disclosurerequest/report/", "report"),
        ("/admin/disclosures/disclosure/", "register"), ("/admin/disclosures/disclosure/export/", "export"),
        ("/admin/disclosures/breach/add/", "breach"), ("/admin/disclosures/recipienttask/", "recipients"),
    ):  # fmt: skip
        page.goto(url)
        look_at_staff(page, name)
    assert site.query("SELECT status, answered_at <= due_at FROM disclosures_disclosurerequest") == [("disclosed", True)]
    assert site.query("SELECT fields FROM disclosures_disclosure") == [(["full_name", "phone"],)]

    # The customer sees it, and says what else may be had.
    page.goto("/admin/disclosures/permissionoffer/add/")
    page.select_option("#id_third_party", label="Phòng An ninh mạng")
    page.fill("#id_purpose_vi", "Diễn tập an toàn thông tin")
    page.fill("#id_purpose_en", "Security drills")
    page.check("#id_fields input[value=email]")
    go(page, "[name=_save]")
    come_in(site, page)
    look.at("/my/disclosures/", "my-disclosures")
    assert "full name, phone" in page.inner_text("main article >> nth=0")
    go(page, "text=Permit this")
    look.now("my-disclosures-permitted")
    assert "You permit this" in page.inner_text("main")
    assert site.query("SELECT event FROM disclosures_permissionevent") == [("given",)]
