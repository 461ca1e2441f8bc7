"""What every answer says beside the page: run nothing foreign, keep nothing, tell nobody, and cookies for this host alone."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from customers.models import Customer
from tests.make import make_staff
from tests.walk import make_office, make_visitor, page, sign_in, walk

ROOT = Path(__file__).resolve().parent.parent
PRODUCTION = {"BASE_URL": "https://office.example", "ALLOWED_HOSTS": "office.example,testserver"}
ALIKE = {  # on each page, whatever it answers
    "Content-Security-Policy": (
        "base-uri 'none'; connect-src 'self'; default-src 'none'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "img-src 'self' data:; script-src 'self'; style-src 'self'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Pages that show a mail, which carries its style, in a frame that runs nothing.
WITH_A_LETTER = re.compile(r"/preview/$|/as-sent/$|/mailings/campaign/(add|[^/]+/change)/$")
KEYED = ("/unsubscribe/", "/preferences/", "/leave/", "/link/")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]


@pytest.fixture
def production(settings, monkeypatch):
    """The settings that an address with https brings."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    for name, value in runpy.run_path(str(ROOT / "privacy_office" / "settings.py")).items():
        if name.startswith(("SECURE_", "SESSION_COOKIE", "CSRF_COOKIE", "LANGUAGE_COOKIE", "ALLOWED_HOSTS")):
            setattr(settings, name, value)


def heard(answer):
    """Return an answer's headers of those that are alike everywhere, with the policy's parts in order."""
    policy = "; ".join(sorted(part.strip() for part in answer.get("Content-Security-Policy", "").split(";")))
    return {name: answer.get(name) for name in ALIKE} | {"Content-Security-Policy": policy}


def assert_strict(answer, url):
    styled = {"Content-Security-Policy": ALIKE["Content-Security-Policy"].replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}
    assert heard(answer) in (ALIKE, ALIKE | styled if WITH_A_LETTER.search(url) else ALIKE), url
    assert "no-store" in answer["Cache-Control"], url
    assert answer["Referrer-Policy"] == ("no-referrer" if url.startswith(KEYED) else "same-origin"), url
    for name, cookie in answer.cookies.items():
        assert name.startswith("__Host-") and cookie["secure"] and cookie["path"] == "/" and not cookie["domain"], (url, name)
        assert cookie["samesite"] == "Lax" and (cookie["httponly"] or name == "__Host-csrf"), (url, name)


@pytest.mark.walk
@pytest.mark.parametrize("role", ["anybody", "officer", "administrator"])
def test_every_page_whatever_it_answers_is_strict_and_its_cookies_are_this_hosts_alone(production, role):
    make_office()
    client, cookies, statuses = Client(enforce_csrf_checks=True), set(), set()
    if visitor := make_visitor(role):
        sign_in(client, visitor)
    for url in [*(url for addresses in walk().values() for url in addresses), "/nowhere", "/link/", "/link/0f3a/", "/leave/x.y/?z"]:
        for answer in (client.get(url, secure=True), client.post(url, {"a": 1}, secure=True)):  # without a token: the refusal of that too
            assert_strict(answer, url)
            cookies |= set(answer.cookies)
            statuses.add(answer.status_code)
    assert {200, 302, 403, 404} <= statuses
    assert cookies >= ({"__Host-session", "__Host-csrf"} if visitor else {"__Host-csrf"})


def test_pages_that_fail_are_strict_too(production, broken_front):
    client = Client(raise_request_exception=False)
    answer = client.get("/", secure=True)
    assert answer.status_code == 500
    assert_strict(answer, "/")
    answer = client.get("/", secure=True, headers={"host": "elsewhere.example"})
    assert answer.status_code == 400 and heard(answer)["Content-Security-Policy"] == ALIKE["Content-Security-Policy"]
    assert "elsewhere" not in answer.text and "no-store" in answer["Cache-Control"]


def test_who_comes_without_https_is_sent_to_it(production):
    answer = Client().get("/admin/")
    assert answer.status_code == 301 and answer.url == "https://testserver/admin/"
    assert answer["X-Frame-Options"] == "DENY" and "no-store" in answer["Cache-Control"]


def test_no_message_to_staff_lies_in_a_cookie(client):
    client.force_login(make_staff("clerk"))
    make_office()
    ann = Customer.objects.get(ref="REF-ANN")
    answer = client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "letter 8"})
    assert answer.status_code == 302 and set(answer.cookies) <= {"session", "csrf"}
    assert "REF-ANN" in client.get(answer.url).text


def test_the_settings_of_production_pass_djangos_own_checks():
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env={**os.environ, **PRODUCTION},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "no issues (0 silenced)" in done.stdout, done.stdout + done.stderr
