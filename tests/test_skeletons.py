"""What is built fast is what Django's own message classes build, whatever a customer is called."""

import pytest
from django.core.signing import Signer
from django.test import override_settings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from customers.models import Customer
from mailings import letters
from mailings.models import Campaign, Message
from mailings.skeletons import Skeleton, parsed
from tests.test_letters import ADVERTISING, RULE

pytestmark = pytest.mark.django_db  # where a link may lead without a word is rows
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
HOSTILE = [
    "Ann\r\nBcc: all@example.org", '"Ann" <script>&amp;</script>', "Ann 😀👩‍👩‍👧", "\u05d0\u05df \u0645\u0631 \u202e\u200f",
    "=?utf-8?q?=41?=", "=41=\u20ac=", ".",
    ". .", "{company} {full_name}", "%s\\1\\g<0>", "x" * 2048, "ạ" * 700, "a b " * 500,
    "From ann", "--===============0==", "Nguyễn Thị Ánh", "\x00\x1f\x7f",
]  # fmt: skip
LETTERS = [
    ("Ưu đãi", "Kính gửi {full_name},\n\n**Giảm giá** của {company}.\n"),
    ("{full_name}: {company}", "{full_name}\n\n[một liên kết](https://anbinh.example/?x=1&y=2) *{full_name}*\n\n" + "rất dài " * 300),
    ("Only ASCII {full_name}", ".\n..\n{full_name}\n=41 {full_name} {full_name}\r\nx\ry"),
]


def written(subject, body):
    return Message(campaign=Campaign(pk=1, purpose=ADVERTISING, subject=subject, body=body), purpose=ADVERTISING)


def made(letter, locale="vi"):
    skeleton = Skeleton.of(written(*letter), locale, RULE)
    assert skeleton
    return skeleton


@pytest.mark.parametrize("letter", LETTERS, ids=["plain", "long", "ascii"])
@pytest.mark.parametrize(("locale", "mailbox"), [("vi", ""), ("en", "bounces@office.example")])
def test_both_ways_to_build_a_mail_parse_to_the_same_whatever_the_name(letter, locale, mailbox):
    with override_settings(BOUNCE_ADDRESS=mailbox):
        same_whatever_the_name(letter, locale)


def same_whatever_the_name(letter, locale):
    skeleton = made(letter, locale)

    @settings(max_examples=100, suppress_health_check=list(HealthCheck))
    @given(name=NAME, local=st.from_regex(r"[a-z0-9=+/'.-]{1,60}", fullmatch=True))
    def same(name, local):
        message, customer = written(*letter), Customer(full_name=name, email=f"{local}@example.org", locale=locale)
        if fast := skeleton.filled(message, customer):
            reference = letters.build(message, customer, RULE).message().as_bytes(linesep="\r\n")
            assert parsed(fast) == parsed(reference)
            head, _, bodies = fast.partition(b"\r\n\r\n")
            assert max(map(len, bodies.split(b"\r\n"))) <= 998
            assert b"\n" not in fast.replace(b"\r\n", b"") and b"\r" not in fast.replace(b"\r\n", b"")
            assert head.count(b"\r\nTo: ") == head.count(b"\r\nSubject: ") == 1 and b"\r\nBcc:" not in head

    for name in HOSTILE:
        same = example(name=name, local="ann")(same)
    same()


@pytest.mark.parametrize(
    "address", ["ann@example.org\r\nBcc: x@example.org", '"a b"@example.org', "ann@exámple.org", "ann", "a@b@c.example", "<a@b.example>"]
)
def test_an_address_that_is_not_plain_is_left_to_the_other_way(address):
    assert made(LETTERS[0]).filled(written(*LETTERS[0]), Customer(full_name="Ann", email=address)) is None


def test_a_letter_in_which_more_differs_from_reader_to_reader_is_built_the_other_way(monkeypatch):
    assert made(LETTERS[0])
    build = letters.of_consent

    def signed(message, customer, rule):
        source, context, headers = build(message, customer, rule)
        return source, context | {"purpose": Signer().sign(str(message.pk))}, headers

    monkeypatch.setattr(letters, "of_consent", signed)
    assert Skeleton.of(written(*LETTERS[0]), "vi", RULE) is None
