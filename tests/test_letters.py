"""What a mail is made of, and what is refused before it can be one."""

import re
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from consent.models import ChannelRule, Purpose
from customers.models import Customer
from mailings import letters, links
from mailings.models import Campaign, Message, RenewalNotice

ADVERTISING = Purpose(
    code="promotions", title_vi="Khuyến mãi", title_en="Promotions", kind="advertising", legal_basis="consent", clause="§2.4"
)
RENEWAL = Purpose(code="service_renewal", title_vi="Gia hạn", title_en="Renewals", kind="service", legal_basis="consent", clause="§2.2")
RULE = ChannelRule(channel="email", cap=3, label="[QC]", source="a decree")


def make_letter(
    subject="Ưu đãi", body="Kính gửi {full_name},\n\n**Giảm giá** của {company}.", name="Nguyễn Thị Ann", locale="vi", rule=RULE
):
    campaign = Campaign(purpose=ADVERTISING, subject=subject, body=body)
    customer = Customer(full_name=name, email="ann@example.org", locale=locale)
    return letters.build(Message(campaign=campaign, purpose=ADVERTISING), customer, rule)


def parts(mail):
    return mail.body, mail.alternatives[0].content


@pytest.mark.parametrize("body", ["{0.__class__}", "{full_name.email}", "{{7*7}}", "{% load x %}", "{unknown}", "{}", "%(full_name)s"])
def test_what_is_no_placeholder_is_refused_or_stays_as_it_is(body):
    try:
        letters.check("Ưu đãi", body, letters.CAMPAIGN_PLACEHOLDERS)
    except ValidationError:
        return
    text, _ = parts(make_letter(body=body))
    assert text.startswith(body)


@pytest.mark.parametrize("body", ["{unknown}", "{}", "{service}"])
def test_an_unknown_placeholder_is_refused_when_it_is_written(body):
    with pytest.raises(ValidationError, match=r"\{"):
        letters.check("Ưu đãi", body, letters.CAMPAIGN_PLACEHOLDERS)


def test_a_subject_of_two_lines_and_a_body_of_a_megabyte_are_refused():
    with pytest.raises(ValidationError) as refused:
        letters.check("Ưu đãi\nBcc: all@example.org", "x" * 1_000_000, letters.CAMPAIGN_PLACEHOLDERS)
    assert set(refused.value.message_dict) == {"subject", "body"}


def test_a_name_is_never_markdown_html_or_another_placeholder():
    text, page = parts(make_letter(name="**<script>{company}</script>**"))
    assert "**<script>{company}</script>**" in text
    assert "**&lt;script&gt;{company}&lt;/script&gt;**" in page


@given(name=st.text(min_size=1, max_size=80))
def test_whatever_the_name_the_mail_has_one_subject_one_recipient_and_parses(name):
    raw = make_letter(subject="Kính gửi {full_name}", name=name).message().as_bytes(linesep="\r\n")
    head = raw.split(b"\r\n\r\n", 1)[0]
    assert head.count(b"\r\nTo: ") == head.count(b"\r\nSubject: ") == 1
    assert b"\r\nTo: ann@example.org\r\n" in head


@pytest.mark.django_db
def test_html_and_scripts_in_a_body_are_text_and_links_keep_harmless_schemes_alone():
    _, page = parts(make_letter(body="<script>alert(1)</script> [a](javascript:alert(1)) [b](https://example.org/?n={full_name})"))
    assert "<script>" not in page
    assert 'href="javascript' not in page
    (address,) = re.findall(r'href="([^"]+)">b</a>', page)
    destination = links.opened(address.rstrip("/").rpartition("/")[2])
    assert destination.host == "example.org" and "Ann" not in address + destination.url  # a name is no part of an address


@pytest.mark.parametrize("locale,said", [("vi", "Khuyến mãi"), ("en", "Promotions")])
def test_advertising_carries_what_the_law_asks_in_the_customers_language(locale, said, settings):
    mail = make_letter(locale=locale)
    message = mail.message()
    assert mail.subject.startswith("[QC] ")
    host = urlsplit(settings.BASE_URL).hostname
    assert message["List-Unsubscribe"].startswith(f"<{settings.BASE_URL}/unsubscribe/")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == f"promotions <promotions.{host}>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith(f"@{host}>")
    for part in parts(mail):
        advertiser = [part.index(value) for value in settings.COMPANY.values()]
        refusal = part.index(message["List-Unsubscribe"].strip("<>"))
        assert max(advertiser) < part.index(said) < refusal  # the refusal block follows the advertiser's at once


def test_advertising_without_its_label_or_advertiser_is_not_made(settings):
    with pytest.raises(ImproperlyConfigured, match="label"):
        make_letter(rule=ChannelRule(channel="email", cap=3, label=""))
    settings.COMPANY = {**settings.COMPANY, "address": " "}
    with pytest.raises(ImproperlyConfigured, match="COMPANY_ADDRESS"):
        letters.require_advertiser()


def test_a_renewal_notice_has_no_label_and_tells_of_each_service_on_a_line():
    today = timezone.localdate()
    notice = RenewalNotice(
        subject_vi="{service} còn {days} ngày", body_vi="Chào {full_name}\n\n- {service} {plan}: {expires_on}, {days}\n\nHết", days_before=7
    )
    items = [
        SimpleNamespace(service=SimpleNamespace(product=product, plan="P1"), expires_on=today + timedelta(days=days))
        for product, days in (("VPS", 1), ("{company} *DNS*", 7))
    ]
    customer = Customer(full_name="Ann", email="ann@example.org", locale="vi")
    mail = letters.build(Message(renewal=notice, purpose=RENEWAL), customer, RULE, items)
    assert mail.subject == "VPS còn 1 ngày"
    lines = mail.body.splitlines()
    first, second = today + timedelta(days=1), today + timedelta(days=7)
    assert lines[2:4] == [f"- VPS P1: {first:%d/%m/%Y}, 1", f"- {{company}} *DNS* P1: {second:%d/%m/%Y}, 7"]
    assert mail.alternatives[0].content.count("<li>") == 2


def test_an_unsubscribe_address_cannot_be_forged():
    message = Message()
    token = letters.unsubscribe_url(message).rstrip("/").rpartition("/")[2]
    assert letters.signer.unsign(token) == str(message.public_id)
    other = letters.unsubscribe_url(Message()).rstrip("/").rpartition("/")[2]
    assert token.partition(".")[2] != other.partition(".")[2]
