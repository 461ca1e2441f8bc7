"""Links that leave the company's hosts (§5): rewritten in every letter, named on a page, and refused unless the office wrote them."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from consent.models import ChannelRule, Purpose
from customers.models import Customer
from mailings import letters, links
from mailings.models import Campaign, CompanyHost, Message, RenewalNotice
from tests.make import make_staff
from tests.walk import sign_in

pytestmark = pytest.mark.django_db

EVIL = "https://evil.example/a?b=1&c=%20#d"
LEAVE = re.compile(r"http://localhost:8000(/leave/[\w.=-]+/)")


def letter(body, renewal=False, locale="vi"):
    purpose = Purpose.objects.get(code="service_renewal" if renewal else "promotions")
    source = {"renewal": RenewalNotice(subject_vi="Tin", body_vi=body)} if renewal else {"campaign": Campaign(subject="Tin", body=body)}
    customer = Customer(full_name="Ann", email="ann@example.org", locale=locale)
    mail = letters.build(Message(purpose=purpose, **source), customer, ChannelRule.objects.get(channel="email"))
    return mail.body.split("\n-- \n")[0], mail.alternatives[0].content.split("<hr style")[0]


def leads_to(part):
    """Return where the links of a part lead in the end."""
    return [links.opened(path.rstrip("/").rpartition("/")[2]).url for path in LEAVE.findall(part)]


@pytest.mark.parametrize("renewal", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        f"[x]({EVIL})", f"<{EVIL}>", f"Đọc {EVIL}.", f"[x][1]\n\n[1]: {EVIL}", f"**{EVIL}**", EVIL.replace("https", "HTTPS"),
        f"[x]({EVIL.replace('https', 'HtTpS')})",
    ],
)  # fmt: skip
def test_every_outside_link_of_a_body_goes_over_the_notice_page_in_both_parts(body, renewal):
    for part in letter(body, renewal):
        assert set(leads_to(part)) == {EVIL}
        assert "evil.example" not in part


@pytest.mark.parametrize("spelt", ["https&#58;//evil.example/", "https:\\//evil.example/", "HTTPS&colon;//evil.example/"])
def test_an_address_that_markdown_puts_together_is_led_over_the_page_too(spelt):
    _, page = letter(f"[x]({spelt})")
    assert 'href="https://evil' not in page.lower()


@pytest.mark.parametrize(
    "odd", ["//evil.example/", "/\\evil.example", "https:evil.example", "javascript:alert(1)", "data:text/html,x", "ftp://evil.example/"]
)
def test_what_is_no_address_of_the_web_is_no_link(odd):
    _, page = letter(f"[x]({odd})")
    assert "href" not in page


def test_links_to_hosts_that_the_officer_keeps_go_there_at_once_and_to_no_other():
    host = CompanyHost(host="shop.example")
    host.save()
    for body, outside in (
        ("https://shop.example/a", []), ("https://localhost:8000/policy/", []), ("https://anbinh.example/", []),
        ("https://shop.example.evil.example/", ["https://shop.example.evil.example/"]), ("https://www.shop.example/", ["https://www.shop.example/"]),
        ("https://shop.example@evil.example/", ["https://evil.example/"]), ("https://evil.example/shop.example", ["https://evil.example/shop.example"]),
    ):  # fmt: skip
        text, page = letter(f"[x]({body})")
        assert leads_to(text) == leads_to(page) == outside
    host.active = False
    host.save()
    assert leads_to(letter("https://shop.example/a")[0]) == ["https://shop.example/a"]


@pytest.mark.parametrize("host", ["https://x.vn", "x.vn/", "X.vn", "x.vn:80", "a b", "ví-dụ.vn", ""])
def test_a_host_is_written_as_it_stands_in_an_address(host):
    with pytest.raises(ValidationError):
        CompanyHost(host=host).full_clean()


@given(text=st.text(max_size=60))
def test_whatever_follows_the_scheme_no_body_fails_and_nothing_outside_stands_in_it(text):
    body, page = letter(f"Đọc https://evil.example/{text} nhé [x](https://evil.example/{text})")
    assert 'href="https://evil.example' not in page
    assert not [address for address in links.ADDRESS.findall(body) if not address.startswith("http://localhost:8000")]


# The page


def path_of(url, language="vi"):
    with translation.override(language):
        return links.leaving(url).removeprefix("http://localhost:8000")


@pytest.mark.parametrize(("language", "said"), [("vi", "đang rời"), ("en", "You are leaving")])
def test_the_page_names_the_destination_and_never_leads_there_itself(client, language, said):
    path = path_of(EVIL, language)
    answer = client.get(path)
    assert answer.status_code == 200 and said in answer.text and f'lang="{language}"' in answer.text
    assert "<strong>evil.example</strong>" in answer.text and "https://evil.example/a?b=1&amp;c=%20#d" in answer.text
    assert 'rel="noopener noreferrer nofollow"' in answer.text and 'href="/"' in answer.text
    assert answer["Referrer-Policy"] == "no-referrer" and answer["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer["Cache-Control"] and "Refresh" not in answer and "Location" not in answer
    assert client.post(path).status_code == 405


def test_a_name_that_looks_like_another_is_shown_as_what_it_is(client):
    answer = client.get(path_of("https://аpple.com/ü")).text  # with a Cyrillic а
    assert "xn--pple-43d.com" in answer and "https://xn--pple-43d.com/%C3%BC" in answer and "аpple" not in answer


def test_a_password_in_an_address_is_left_out_of_it(client):
    answer = client.get(path_of("https://anbinh.example:443@evil.example:8443/x")).text
    assert "https://evil.example:8443/x" in answer and "@evil" not in answer


def forged():
    good = path_of(EVIL).rstrip("/").rpartition("/")[2]
    body, _, signature = good.rpartition(".")
    yield from (good[:-1], good + "x", f"{body[:-2]}.{signature}", body, f".{signature}", "x", "%00", "..", "https:evil.example")
    yield letters.signer.sign("https://evil.example")  # what the office signed for something else
    for said in ("javascript:alert(1)", "data:text/html,x", "//evil.example", "https://", "/x", 7, None, ["https://evil.example/"]):
        yield links.signer.sign_object([said, "vi"])
        yield links.signer.sign_object(said)


def test_what_the_office_did_not_write_is_refused_with_help_and_leads_nowhere(client):
    for token in forged():
        answer = client.get(f"/leave/{token}/")
        assert answer.status_code == 404 and "evil.example" not in answer.text and "Location" not in answer, token
    assert "mở lại liên kết trong thư" in client.get("/leave/x/", headers={"accept-language": "vi"}).text


def test_the_officer_keeps_the_hosts_and_others_look_or_not(client):
    add = reverse("admin:mailings_companyhost_add")
    sign_in(client, make_staff("officer"))
    assert client.post(add, {"host": "shop.example", "active": "on"}).status_code == 302
    assert CompanyHost.objects.get(host="shop.example").history.count() == 1
    client.logout()
    sign_in(client, make_staff("marketer"))
    assert client.get(add).status_code == 403
