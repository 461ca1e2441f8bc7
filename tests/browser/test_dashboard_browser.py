"""The first page of each role in a real browser: on a phone and at a desk, light and dark, in both languages, empty and full."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.staff import go, hire, sign_in
from tests.live.conftest import ROOT

pytestmark = pytest.mark.browser

LIFE = """
import random
from datetime import timedelta
import django
django.setup()
from django.utils import timezone
from audit import sealing
from consent.models import ConsentCount, PolicyVersion
from customers.models import SupportRequest
from mailings.models import Message, MessageCount
from tests.make import *

rng, now, officer = random.Random(4), timezone.now(), make_staff("officer", "first")
people = [make_customer(f"KH-{n}") for n in range(40)]
policy = PolicyVersion.objects.published().first()
for person in people:
    for purpose, share in (("promotions", .7), ("product_news", .5), ("service_renewal", .9), ("other_information", .3)):
        at = now - timedelta(days=rng.randrange(3, 120))
        if rng.random() < .85:
            if rng.random() < share:
                consent(person, purpose, at=at, policy=policy)
                if rng.random() < .2:
                    withdraw(person, purpose, at=at + timedelta(days=rng.randrange(1, 60)))
            else:
                withdraw(person, purpose, at=at)
for days in (60, 9, 4, 1):
    make_request(people[days % 40], rng.choice(["access", "copy", "erasure"]), received_at=now - timedelta(days=days), by=officer)
for days in (0, 1, 3, 4, 6, 12, 12, 30):
    propose(people[20 + days % 20 if days != 12 else rng.randrange(1, 19)], rng.choice(["phone", "address"]), at=now - timedelta(days=days))
make_hold(people[0])
make_hold(people[5], by=officer)
SupportRequest.receive(people[7], "Hello", at=now - timedelta(days=2))
make_data_request(people[3], urgent=True)
make_data_request(people[9]).refuse(by=officer, ground="no_ground")
make_breach()
campaign = make_campaign(by=make_staff("marketer", "writer"), approved_by=make_staff("approver", "reader"))
make_campaign(by=make_staff("marketer", "writer"))
words = ["sent"] * 14 + ["blocked"] * 4 + ["failed"]
Message.objects.bulk_create(
    Message(campaign=make, customer=person, purpose=campaign.purpose, state=state, decided_at=now - timedelta(days=day, minutes=5),
            reason=rng.choice(["suppressed", "cap_reached", "address_bouncing"]) if state == "blocked" else "")
    for day in range(14) for make in [make_campaign(by=make_staff("marketer", "writer"))]
    for person in people[: rng.randrange(8, 40)] for state in [rng.choice(words)]
)
ConsentCount.objects.back_fill()
ConsentCount.objects.keep()
MessageCount.objects.keep()
sealing.seal()
"""


def live(site):
    env = {**site.env, "DJANGO_SETTINGS_MODULE": "privacy_office.settings", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", LIFE], cwd=ROOT, env=env, check=True)


def speak(page, language):
    page.context.add_cookies([{"name": "language", "value": language, "url": page.url}])


@pytest.mark.parametrize("role", ["officer", "marketer"])
def test_the_first_page_stands_every_width_theme_and_language_empty_and_full(site, page, look, role):
    sign_in(page, "olga", hire(site, "olga", role))
    look.at("/admin/", f"{role}-empty")
    assert "Nothing is counted yet" in page.inner_text("#content")
    live(site)
    for language, words in (("en", "What needs you"), ("vi", "Việc cần")):
        speak(page, language)
        look.at("/admin/", f"{role}-{language}")
        assert words in page.inner_text("#content")
        page.click("details summary >> nth=0")
        look.now(f"{role}-{language}-numbers")
        page.click("details summary >> nth=0")
    speak(page, "en")
    page.reload()
    if role == "officer":
        clock = page.inner_text(".timeline time.clock >> nth=0")
        page.wait_for_function("before => document.querySelector('.timeline time.clock').textContent !== before", arg=clock)
        go(page, ".tasks a >> nth=0")
        assert "/rightsrequest/" in page.url


@pytest.mark.parametrize("role", ["clerk", "approver", "auditor", "administrator"])
def test_the_first_page_of_the_other_roles(site, page, look, role):
    live(site)
    sign_in(page, "olga", hire(site, "olga", role))
    look.at("/admin/", f"{role}-en")


def test_a_trail_that_needs_attention_says_so_on_the_first_page(site, page, look):
    live(site)
    Path(site.env["AUDIT_ANCHORS"]).unlink()
    sign_in(page, "olga", hire(site, "olga", "auditor"))
    look.at("/admin/", "auditor-alarm")
    assert "not among the anchors" in page.inner_text(".alarm")
    go(page, ".alarm a")
    look.now("auditor-chain")
