"""A promotion as it leaves, octet by octet: RFC 5322, 2369, 8058, 3834, whatever was typed or somebody is called; and a filter's word."""

import os
import re
import shutil
import subprocess
from email import policy
from email.parser import BytesParser
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError

from mailings.models import Message
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff
from tests.post import sent

pytestmark = pytest.mark.django_db

SPAMASSASSIN = shutil.which("spamassassin") or "/usr/bin/spamassassin"
PROMOTION = """Kính gửi {full_name},

Từ ngày 1 đến ngày 15 tháng 12, {company} giảm **20 %** cho gói lưu trữ mới và tặng thêm một tháng khi quý khách gia hạn cả năm:

- gói 100 GB: 99.000 đồng mỗi tháng;
- gói 500 GB: 299.000 đồng mỗi tháng.

Quý khách xem chi tiết tại [trang của chúng tôi](https://anbinh.example/luu-tru) hoặc gọi cho bộ phận hỗ trợ.

Trân trọng,
{company}"""
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"  # what every filter knows for spam
ONCE = ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version", "Content-Type", "List-Id", "List-Unsubscribe", "Auto-Submitted")


def promotion(sink, name="Nguyễn Thị Ánh", subject="Giảm 20 % cho gói lưu trữ", body=PROMOTION, public_id=None):
    """Return the octets that the mail server was given for one customer; with `public_id` customer and message are known by that."""
    make_policy()
    consent(make_customer("ANN", full_name=name, locale="vi", **({"public_id": public_id} if public_id else {})))
    campaign = make_campaign(subject=subject, body=body, approved_by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    if public_id:
        Message.objects.update(public_id=public_id)
    sent()
    (mail,) = sink.mails
    return mail.data


def assert_right(data):
    """Check what the standards ask of every message of ours."""
    assert re.fullmatch(rb"(?:[^\r\n]{0,998}\r\n)*", data), "lines end in CRLF and are short enough (RFC 5322 section 2.1.1)"
    head, _, _ = data.partition(b"\r\n\r\n")
    assert head.isascii()
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in names) and len(names) == len(set(names))
    assert set(ONCE) <= set(names) and not {"Cc", "Bcc", "Reply-To", "Sender", "Precedence"} & set(names)
    mail = BytesParser(policy=policy.default).parsebytes(data)
    assert not mail.defects and not [part for part in mail.walk() if part.defects]
    assert [address.addr_spec for address in mail["To"].addresses] == ["ann@example.org"]
    assert [parseaddr(str(mail["From"]))[1]] == ["support@anbinh.example"]
    assert parsedate_to_datetime(mail["Date"]).tzinfo
    assert re.fullmatch(r"<m[a-z2-7]{42}@[\w.-]+>", mail["Message-ID"])
    assert re.fullmatch(r"[\w-]+ <[\w-]+\.[\w.-]+>|<?[\w.-]+>?", mail["List-Id"])  # RFC 2919
    assert re.fullmatch(r"<https?://[^<>\s]+/unsubscribe/[^<>\s]+/>", mail["List-Unsubscribe"].strip())  # RFC 2369, 8058
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"  # RFC 8058 section 3.1
    assert mail["Auto-Submitted"] == "auto-generated"  # RFC 3834 section 5
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    return mail


def test_a_promotion_in_vietnamese_is_right_by_the_standards(sink):
    mail = assert_right(promotion(sink))
    assert str(mail["Subject"]).startswith("[QC] Giảm 20 %") and "Ánh" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize("body", ["{{7*7}}", "{0.__class__}", "{% debug %}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "%s %(x)s {full_name!r}"])
def test_what_looks_like_a_template_is_refused_or_stays_what_it_is(sink, body):
    try:
        mail = assert_right(promotion(sink, body=f"Chào, {body}"))
    except ValidationError:
        return
    assert mail.get_body(("plain",)).get_content().startswith(f"Chào, {body}")
    assert "49" not in mail.get_body(("plain",)).get_content().split("-- ")[0]


@pytest.mark.parametrize(
    "subject", ["Tin\r\nBcc: all@example.org", "Tin\nX: y", "Tin\rX: y", "Tin\x0bX", "Tin\x00", "Tin\u2028X: y", "Tin\x85X: y"]
)
def test_a_subject_of_several_lines_is_refused_or_becomes_one(sink, subject):
    try:
        data = promotion(sink, subject=subject)
    except (ValidationError, ValueError):
        return
    assert_right(data)


@pytest.mark.parametrize(
    "name",
    [
        "Ann\r\nBcc: all@example.org",
        "Ann\r\n\r\n<script>",
        "{company} {{7*7}}",
        "=?utf-8?q?Bcc=3A?=",
        "Á" * 190,
        "Ann\r\n.\r\nQUIT",
        "\u202eAnn",
    ],
)
def test_whatever_somebody_is_called_it_is_one_message_to_one_recipient(sink, name):
    mail = assert_right(promotion(sink, name=name, subject="Kính gửi {full_name}"))
    assert " ".join(name.split()) in mail.get_body(("plain",)).get_content().replace("\n", " ").replace("\r", "")


def test_lines_of_any_length_and_of_dots_arrive_whole(sink):
    long = "Á" * 3000 + " " + "x" * 3000
    mail = assert_right(promotion(sink, body=f"{long}\n\n.\n..\n\nhết"))
    said = mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert said.startswith(f"{long}\n\n.\n..\n\nhết")


def test_a_body_of_a_megabyte_is_refused(sink):
    with pytest.raises(ValidationError):
        promotion(sink, body="x" * 1_000_000)
    assert not Message.objects.exists()


BITCOIN = re.compile(r"\b[13][a-km-zA-HJ-NP-Z1-9]{29,34}\b")  # as SpamAssassin's __BITCOIN_ID has it
UNLUCKY = UUID("1abcdef1-1abc-4abc-8abc-1abcdef12345")  # no zero: its digits are those of an address


def test_no_identifier_looks_like_a_bitcoin_address(sink):
    assert BITCOIN.search(UNLUCKY.hex)
    mail = BytesParser(policy=policy.default).parsebytes(promotion(sink, public_id=UNLUCKY))
    bodies = [part.get_content() for part in mail.iter_parts()]
    assert len(bodies) == 2 and all(body.count(str(UNLUCKY)) >= 2 for body in bodies)
    assert not any(found in UNLUCKY.hex for body in bodies for found in BITCOIN.findall(body))


@pytest.mark.fault
def test_spamassassins_stock_rules_have_next_to_nothing_against_a_promotion(sink, tmp_path):
    if not Path(SPAMASSASSIN).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no SpamAssassin: apt-get install spamassassin")
    command = [SPAMASSASSIN, "--local", "--test-mode", "--prefspath", tmp_path / "prefs"]  # no look into the network
    env = {**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}

    def judged(data):
        done = subprocess.run(command, input=data, capture_output=True, timeout=120, env=env, check=True)
        told = done.stdout.decode("utf-8", "replace")
        return float(re.search(r"^X-Spam-Status: \w+, score=(-?[\d.]+)", told, re.M)[1]), told.partition("Content analysis details")[2]

    data = promotion(sink)
    score, why = judged(data)
    assert score <= 1.0, why
    known, _ = judged(re.sub(rb"(\r\n\r\n)", rb"\r\n\r\n" + GTUBE + rb"\r\n", data))
    assert known > 900, "its rules are there"
