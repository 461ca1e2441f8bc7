"""The pages that anybody may see, in both languages, as people with any eyes and any screen meet them."""

import pytest

from tests.browser import checks

pytestmark = pytest.mark.browser


def test_the_front_door_has_no_error(page, look):
    look.at("/", "front")
    assert not page.context.cookies()
    page.click("form.language button")
    page.wait_for_selector("html[lang=vi]")
    assert [cookie["name"] for cookie in page.context.cookies()] == ["language"]


ONE = """Our privacy policy

1. What we keep

We keep your name, your e-mail address and your phone number for as long as you are a customer.

2. What we use it for

  • to confirm payments;

  • to help with your services;

  • to tell you of offers, where you agreed to them.

3. How to reach us

Write to our support at any time."""
TWO = ONE.replace("for as long as you are a customer", "for as long as you are a customer, and one year longer").replace(
    "  • to help with your services;\n\n", ""
)


def load(site, number, language, text, *options):
    path = site.folder / f"policy-{number}-{language}.txt"
    path.write_text(text, "utf-8")
    site.manage("load_policy", path, "--number", number, "--language", language, *options)


def test_the_policy_pages_have_no_error_in_either_language(site, page, look):
    load(site, 2, "vi", "Chính sách\n\n1. Lưu giữ\n\nChúng tôi lưu tên của quý khách trong suốt thời gian sử dụng dịch vụ.")
    load(site, 2, "en", ONE, "--publish")
    load(site, 3, "vi", "Chính sách\n\n1. Lưu giữ\n\nChúng tôi lưu tên và địa chỉ của quý khách.")
    load(site, 3, "en", TWO, "--severity", "major", "--changes", "promotions", "surveys", "--publish")
    load(site, 4, "vi", "Chính sách thứ ba, chỉ bằng tiếng Việt", "--publish")
    for language in ("vi", "en"):
        for name, address in {
            "policy": "/policy/3/", "policy-old": "/policy/2/", "policy-one-language": "/policy/", "policy-archive": "/policy/versions/",
            "policy-changes": "/policy/2/changes/3/",
        }.items():  # fmt: skip
            look.at(f"{address}?language={language}", f"{name}-{language}")
            assert page.get_attribute("html", "lang") == language
    page.click(".languages a >> nth=0")
    page.wait_for_url("**language=vi")
    page.click("text=Đọc phiên bản 3")
    page.wait_for_url("**/policy/3/?language=vi")


LEAVE = """
from django.utils import translation
from mailings import links
for language in ("vi", "en"):
    with translation.override(language):
        print(links.leaving("https://partner.example/offers/" + "a-very-long-word/" * 12 + "?from=mail"))
"""


def test_the_page_before_another_site_has_no_error_in_either_language(site, page, look):
    for language, address in zip(("vi", "en"), site.manage("shell", "--verbosity", "0", "--command", LEAVE).split(), strict=True):
        look.at(address, f"leave-{language}")
        assert page.get_attribute("html", "lang") == language
        assert page.get_attribute("a.button", "href").startswith("https://partner.example/offers/a-very")
        page.click("main a[href='/']")
        page.wait_for_url("**/")


def test_a_page_that_is_wrong_is_told_of(page, tmp_path):
    page.goto("/")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/static/office.svg\">')")
    told = "\n".join(checks.accessibility_errors(page))
    assert "image-alt" in told
    wrong, right = ("<!doctype html><html lang=en><title>x</title><body><p>hi" + more for more in ("<div></p>", ""))
    assert [line[:7] for line in checks.html_errors(tmp_path, {"right": right, "wrong": wrong})] == ["wrong:1"] * 3
