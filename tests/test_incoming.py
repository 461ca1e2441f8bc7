"""Mail that came in: each kind does what it should to the right customer, once, and what is not signed by us changes nothing."""

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from audit.models import Entry
from consent.models import ConsentEvent, ConsentState
from customers.erasure import erase
from customers.models import Anomaly, Customer, EmailHold, HoldRule, Notice, SupportRequest
from mailings import incoming, reports, returns
from mailings.models import IncomingMail, Message
from mailings.returns import Use
from tests.arrived import FORGED, MAILBOX, complaint, dsn, forged, letter, refusal_address, report, return_path
from tests.make import consent, make_campaign, make_customer, make_email_change, make_hold, make_policy, make_staff
from tests.post import sent

pytestmark = pytest.mark.django_db
EMAIL = "ann@example.org"
# Each is by another server; for what reason it came back.
FOR_GOOD = {
    "postfix": "5.0.0",
    "postfix_old": "5.0.0",
    "sendmail": "5.1.1",
    "sendmail_old": "5.0.0",
    "exim": "5.1.1",
    "qmail": "5.0.0",
    "exchange": "5.1.1",
    "exchange_old": "5.0.0",
    "gmail_old": "5.0.0",
    "yahoo": "5.1.1",
}
DELAYED = ("postfix_delayed", "gmail_delayed")


@pytest.fixture(autouse=True)
def mailbox(settings):
    settings.BOUNCE_ADDRESS, settings.BASE_URL = MAILBOX, "https://office.example"


@pytest.fixture
def ann(sink):
    customer = make_customer("ANN")
    make_policy()
    consent(customer)
    make_customer("BINH")
    return customer


def promotion(customer):
    """Return a message of a campaign that was sent to the customer just now."""
    campaign = make_campaign(approved_by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    sent()
    return Message.objects.get(campaign=campaign, customer=customer)


def take(raw):
    return incoming.take(raw)[0]


def now_of(row):
    return type(row).objects.get(pk=row.pk)


def state(customer, purpose="promotions"):
    return ConsentState.objects.get(customer=customer, purpose__code=purpose, channel="email").state


def untouched(customer):
    """Return whether nothing is known of bounces, complaints, refusals or requests of anybody."""
    changed = Message.objects.filter(bounced_at__isnull=False).exists() or Anomaly.objects.exists() or SupportRequest.objects.exists()
    return not changed and now_of(customer).email_state == "verified" and state(customer) == "given"


# What leaves


def test_each_mail_leaves_with_a_return_path_of_its_own_that_keeps_within_the_rules(sink, ann):
    message = promotion(ann)
    (mail,) = sink.mails
    local = mail.sender.partition("@")[0]
    assert mail.sender == returns.path(message) == return_path(message)
    assert len(local) <= 64 and local == local.lower()
    assert returns.read(mail.sender)[Use.RETURN] == returns.read(mail.sender.upper())[Use.RETURN] == {message.public_id}
    assert returns.read(mail.message["Message-ID"])[Use.ID] == {message.public_id}
    web, mailto = map(str.strip, mail.message["List-Unsubscribe"].split(","))
    assert web.startswith("<https://office.example/unsubscribe/")
    assert returns.read(mailto)[Use.REFUSE] == {message.public_id}


def test_where_no_mailbox_is_read_the_return_path_is_the_sender(sink, ann, settings):
    settings.BOUNCE_ADDRESS = ""
    promotion(ann)
    (mail,) = sink.mails
    assert mail.sender == settings.MAIL_FROM and "mailto:" not in mail.message["List-Unsubscribe"]


def test_a_token_is_for_one_use_and_one_message_and_not_to_be_changed(ann):
    message = promotion(ann)
    token = returns.token(message, Use.RETURN)
    for at in range(len(token)):
        other = token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]
        assert not any(returns.read(f"bounces+{other}@office.example").values()), at
    assert not returns.read(refusal_address(message))[Use.RETURN]


def test_a_token_of_an_older_secret_key_counts_while_that_is_kept(ann, settings):
    message = promotion(ann)
    old = return_path(message)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 10, [settings.SECRET_KEY]
    assert returns.read(old)[Use.RETURN]
    settings.SECRET_KEY_FALLBACKS = []
    assert not returns.read(old)[Use.RETURN]


# Reports of delivery


@pytest.mark.parametrize("server", FOR_GOOD)
@pytest.mark.parametrize("how", ["return path", "return path in capitals", "Message-ID"])
def test_a_real_report_with_our_token_counts_against_the_right_address(ann, server, how):
    message = promotion(ann)
    to = {"return path": return_path(message), "return path in capitals": return_path(message).upper()}.get(how, "x@office.example")
    raw = report(server, to, returns.message_id(message) if how == "Message-ID" else "")
    assert take(raw) == "bounce"
    message.refresh_from_db()
    assert message.bounce == FOR_GOOD[server] and message.bounced_at and message.state == "sent"
    assert [sign.customer for sign in Anomaly.objects.filter(kind="bounce")] == [ann]


@pytest.mark.parametrize("server", FOR_GOOD)
def test_three_real_reports_make_the_address_a_dead_one(ann, server):
    for number in range(3):
        assert now_of(ann).email_state == "verified", number
        assert take(report(server, return_path(promotion(ann)))) == "bounce"
    assert now_of(ann).email_state == "bouncing"
    assert now_of(Customer.objects.get(ref="BINH")).email_state == "verified"
    assert not EmailHold.objects.exists()
    entry = Entry.objects.filter(action="customer.email_state").latest("pk")
    assert (entry.subject, entry.clause, entry.actor) == (ann.public_id, "§3.1", "system")


@pytest.mark.parametrize("server", [*FOR_GOOD, *DELAYED])
@pytest.mark.parametrize(
    "token", [lambda message, use: "", forged, lambda message, use: message.public_id.hex], ids=["no", "forged", "bare"]
)
def test_a_report_without_our_token_or_with_a_forged_one_changes_nothing(ann, server, token):
    message = promotion(ann)
    raw = report(server, f"bounces+{token(message, Use.RETURN)}@office.example", f"<{token(message, Use.ID)}@office.example>")
    assert take(raw) == "unsigned"
    assert untouched(ann)


def test_a_token_of_another_use_is_none_for_a_report(ann):
    message = promotion(ann)
    assert take(dsn(refusal_address(message))) == "unsigned"
    assert untouched(ann)


@pytest.mark.parametrize("server", DELAYED)
def test_a_report_of_a_delay_changes_nothing(ann, server):
    assert take(report(server, return_path(promotion(ann)))) == "delay"
    assert untouched(ann)


@pytest.mark.parametrize(
    ("status", "action", "kind", "counts"),
    [
        ("5.1.1", "failed", "bounce", True),
        ("5.2.2", "failed (mailbox full)", "bounce", True),
        ("5.4.4", "failed", "bounce", True),
        ("5.7.1", "failed", "bounce", False),
        ("5.6.0", "failed", "bounce", False),
        ("5.3.4", "failed", "bounce", False),
        ("4.4.7", "failed", "delay", False),
        ("4.4.1", "delayed", "delay", False),
        ("2.0.0", "delivered", "delay", False),
        ("2.0.0", "relayed", "delay", False),
    ],
)
def test_what_the_status_says_decides_whether_the_address_is_to_blame(ann, status, action, kind, counts):
    message = promotion(ann)
    assert take(dsn(return_path(message), status, action)) == kind
    assert bool(now_of(message).bounced_at) == (kind == "bounce")
    assert Anomaly.objects.filter(kind="bounce").exists() == counts


@pytest.mark.parametrize(
    ("status", "diagnostic", "found"),
    [
        ("5.0.0", "smtp; 550 5.7.26 unauthenticated", "5.7.26"),
        ("", "smtp; 452 later", "4.0.0"),
        ("", "smtp; 550 no", "5.0.0"),
        ("", "x", "5.0.0"),
    ],
)
def test_the_closer_reason_counts(status, diagnostic, found):
    assert reports.read(dsn("x@office.example", status, diagnostic=diagnostic)).report == found


def test_two_reports_of_one_message_count_once(ann):
    message = promotion(ann)
    for number in range(5):
        take(dsn(return_path(message), Date=f"day {number}"))
    assert Anomaly.objects.filter(kind="bounce").count() == 1
    assert now_of(ann).email_state == "verified"


def test_how_many_make_it_dead_is_a_row_of_the_officer(ann):
    rule = HoldRule.objects.get(kind="bounce")
    rule.threshold = 1
    rule.save()
    take(dsn(return_path(promotion(ann))))
    assert now_of(ann).email_state == "bouncing"


def test_a_refusal_by_the_mail_server_itself_counts_by_the_same_rule(sink, ann):
    sink.answers[EMAIL] = "550 5.1.1 no such user"
    for _ in range(2):
        assert promotion(ann).bounce == "5.1.1"
    assert now_of(ann).email_state == "verified"
    sink.answers.clear()
    take(dsn(return_path(promotion(ann))))
    assert now_of(ann).email_state == "bouncing"


@pytest.mark.parametrize("answer", ["550 5.7.1 blocked", "554 transaction failed", "552 5.3.4 too large", "450 4.2.1 later"])
def test_a_refusal_for_another_reason_than_the_address_does_not(sink, ann, answer):
    sink.answers[EMAIL] = answer
    promotion(ann)
    assert not Anomaly.objects.exists()


def test_what_the_former_address_sends_back_is_not_counted_against_the_new_one(sink, ann):
    message = promotion(ann)
    make_email_change(ann, "ann.new@example.org")
    assert take(dsn(return_path(message))) == "bounce"
    assert now_of(message).bounced_at and not Anomaly.objects.filter(kind="bounce").exists()
    sent()
    told_old = Message.objects.get(notice__kind="address_changed")
    assert take(dsn(return_path(told_old))) == "bounce"
    assert not Anomaly.objects.filter(kind__startswith="bounce").exists()


def test_so_soon_after_a_change_one_bounce_suspends(ann):
    make_email_change(ann, "ann.new@example.org")
    take(dsn(return_path(promotion(ann))))
    assert ann.holds.open().get().rule == "bounce_after_change"


def test_the_report_of_a_campaign_counts_what_came_back(ann):
    message = promotion(ann)
    messages = Message.objects.filter(campaign=message.campaign)
    assert messages.report()["bounced"] == 0
    take(dsn(return_path(message)))
    assert (messages.report()["sent"], messages.report()["bounced"]) == (1, 1)


@pytest.mark.parametrize("say_no", ["reply", "complaint"])
def test_the_report_of_a_campaign_counts_who_refused_in_answer_to_it(ann, say_no):
    message, binh = promotion(ann), Customer.objects.get(ref="BINH")
    consent(binh)
    answer = {"In_Reply_To": returns.message_id(message)}
    take(letter(binh.email, "STOP", **answer))
    assert message.campaign.refusals() == 0, "another customer's no is not an answer to hers"
    take(letter(EMAIL, "STOP", **answer) if say_no == "reply" else complaint(message))
    assert message.campaign.refusals() == 1


# Complaints


def test_a_complaint_refuses_the_purpose_and_marks_the_address_and_no_more_mail_comes_of_it(sink, ann):
    consent(ann, "product_news")
    message = promotion(ann)
    assert take(complaint(message)) == "complaint"
    assert (now_of(ann).email_state, state(ann), state(ann, "product_news")) == ("complained", "withdrawn", "given")
    event = ConsentEvent.objects.latest("pk")
    assert (event.source, event.by) == ("complaint", "system")
    assert not Notice.objects.exists()
    before = len(sink.mails)
    consent_only = make_campaign("product_news", approved_by=make_staff("approver"))
    consent_only.launch(by=make_staff("approver"))
    sent()
    assert len(sink.mails) == before
    assert Message.objects.get(campaign=consent_only).reason == "address_complained"


@pytest.mark.parametrize("kind", ["not-spam", "opt-out", "fraud", "virus"])
def test_feedback_of_another_kind_is_no_complaint(ann, kind):
    assert take(complaint(promotion(ann), kind=kind)) == "automatic"
    assert untouched(ann)


@pytest.mark.parametrize(
    "name", [forged, lambda message, use: message.public_id.hex, lambda message, use: "x"], ids=["forged", "bare", "no"]
)
def test_a_complaint_without_our_token_changes_nothing(ann, name):
    message = promotion(ann)
    assert take(complaint(message_id=f"<{name(message, Use.ID)}@office.example>")) == "unsigned"
    assert untouched(ann)


# Refusals

WORDS = ["TỪ CHỐI", "từ chối", "Tu choi", "TU CHOI.", "Hủy", "HUY", "huỷ đăng ký", "STOP", "Stop!", "unsubscribe", "Không nhận quảng cáo"]
NO_WORDS = [
    *("Tôi muốn hủy dịch vụ VPS-1", "Xin đừng hủy tên miền của tôi", "stop my server please", "Cảm ơn", ""),
    "> STOP",
    "Xin chào\n\nFrom: An Bình <support@anbinh.example>\nSTOP",
]


ABOVE = "{}\n\nVào 09:12, Th 2, 30 thg 11, 2026, An Bình Cloud <support@anbinh.example>\nđã viết:\n> Giảm giá"
BELOW = "On Mon, 30 Nov 2026, An Bình <support@anbinh.example> wrote:\n> trả lời TỪ CHỐI để ngừng nhận\n\n{}\n-- \nÁnh"
OUTLOOK = "{}\n\n________________________________\nFrom: An Bình <support@anbinh.example>\nSubject: [QC] Giảm giá\n\nTrả lời TỪ CHỐI"


@pytest.mark.parametrize("written", [ABOVE, BELOW, OUTLOOK])
def test_a_refusal_is_found_wherever_it_is_written_and_nothing_is_left_to_read(ann, written):
    message = promotion(ann)
    assert take(letter(EMAIL, written.format("Từ chối"), "Re: x", In_Reply_To=returns.message_id(message))) == "refusal"
    assert state(ann) == "withdrawn" and not SupportRequest.objects.exists()


@pytest.mark.parametrize("words", WORDS)
def test_a_reply_with_a_word_of_refusal_refuses_the_purpose_at_once_and_is_confirmed_once(sink, ann, words):
    consent(ann, "product_news")
    message = promotion(ann)
    quoted = f"{words}\n\nVào 09:12, An Bình <support@anbinh.example> đã viết:\n> Giảm giá"
    assert take(letter(f"Ann <{EMAIL}>", quoted, "Re: [QC] Giảm giá", In_Reply_To=returns.message_id(message))) == "refusal"
    assert (state(ann), state(ann, "product_news")) == ("withdrawn", "given")
    assert ConsentEvent.objects.latest("pk").source == "reply"
    assert take(letter(EMAIL, words, "Re: x", In_Reply_To=returns.message_id(message))) == "refusal"
    assert Notice.objects.filter(kind="refused").count() == 1
    assert not SupportRequest.objects.exists()
    sink.mails.clear()
    promoted = make_campaign(approved_by=make_staff("approver"))
    promoted.launch(by=make_staff("approver"))
    sent()
    (confirmation,) = sink.mails
    assert confirmation.recipient == EMAIL and "List-Unsubscribe" not in confirmation.message


@pytest.mark.parametrize("words", NO_WORDS)
def test_what_only_holds_such_a_word_is_for_a_person_to_read(ann, words):
    message = promotion(ann)
    assert take(letter(EMAIL, words, "Re: x", In_Reply_To=returns.message_id(message))) == "support"
    assert state(ann) == "given"
    assert SupportRequest.objects.get().about == f"mailings.message:{message.pk}"


def test_words_after_the_refusal_are_read_by_a_person_too(ann):
    message = promotion(ann)
    text = "STOP\n\nVà xin hỏi hóa đơn tháng này?"
    assert take(letter(EMAIL, text, In_Reply_To=returns.message_id(message))) == "refusal"
    assert state(ann) == "withdrawn" and "hóa đơn" in SupportRequest.objects.get().mail


def test_what_a_mail_program_sends_to_the_address_of_refusal_refuses(ann):
    message = promotion(ann)
    raw = letter("someone.else@example.net", "This message was sent by a mail program.", "unsubscribe", to=refusal_address(message).upper())
    assert take(raw) == "refusal"
    assert state(ann) == "withdrawn"


def test_a_refusal_from_a_known_address_that_answers_nothing_is_one_of_everything(ann):
    consent(ann, "product_news")
    assert take(letter(EMAIL.upper(), "", "STOP")) == "refusal"
    assert (state(ann), state(ann, "product_news")) == ("withdrawn", "withdrawn")


def test_a_refusal_from_a_suspended_address_counts(ann):
    make_hold(ann)
    take(letter(EMAIL, "STOP"))
    assert state(ann) == "withdrawn"


def test_who_answers_from_another_address_refuses_for_who_got_the_message_and_another_customer_for_themselves(ann):
    binh, message = Customer.objects.get(ref="BINH"), promotion(ann)
    consent(binh)
    assert take(letter(binh.email, "STOP", In_Reply_To=returns.message_id(message))) == "refusal"
    assert (state(ann), state(binh)) == ("given", "withdrawn")
    assert take(letter("ann.at.work@example.net", "STOP", In_Reply_To=returns.message_id(message))) == "refusal"
    assert state(ann) == "withdrawn"


def test_a_stranger_refuses_for_nobody(ann):
    message = promotion(ann)
    reference = f"<{forged(message, Use.ID)}@office.example>"
    to = f"bounces+{forged(message, Use.REFUSE)}@office.example"
    assert take(letter("mallory@example.net", "STOP", "STOP", to=to, In_Reply_To=reference, References=reference)) == "unknown"
    assert untouched(ann)


# Automatic mail


@pytest.mark.parametrize(
    "mark",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner-email=x"},
        {"Precedence": "bulk"},
        {"Precedence": "auto_reply"},
        {"Return_Path": "<>"},
        {"X_Autoreply": "yes"},
        {"List_Id": "<list.example.org>"},
    ],
)
@pytest.mark.parametrize("text", ["STOP", "Tôi nghỉ phép đến thứ Hai."])
def test_automatic_mail_is_neither_answered_nor_a_refusal_nor_a_request(sink, ann, mark, text):
    message = promotion(ann)
    sink.mails.clear()
    for to in (MAILBOX, return_path(message), refusal_address(message)):
        raw = letter(EMAIL, text, "Automatic reply: [QC]", to=to, In_Reply_To=returns.message_id(message), **mark)
        assert take(raw) == "automatic"
    assert untouched(ann) and not Notice.objects.exists()
    sent()
    assert not sink.mails


def test_what_says_that_it_is_not_automatic_is_not(ann):
    assert take(letter(EMAIL, "Xin chào", Auto_Submitted="no")) == "support"


# Everything else


def test_a_mail_from_a_known_address_becomes_a_request_that_is_confirmed(sink, ann):
    assert take(letter(f"Ann <{EMAIL.upper()}>", "Máy chủ của tôi bị chậm", "Hỏi")) == "support"
    request = SupportRequest.objects.get()
    assert (request.customer, request.state, request.about) == (ann, "received", "")
    assert request.mail == "Hỏi\n\nMáy chủ của tôi bị chậm"
    entry = Entry.objects.get(action="support.receive")
    assert (entry.subject, entry.clause, entry.actor) == (ann.public_id, "§3.2", "system")
    sent()
    (mail,) = sink.mails
    assert mail.recipient == EMAIL and mail.message["Auto-Submitted"] == "auto-generated"


def test_it_changes_no_data_by_itself(ann):
    before = Customer.history.count()
    take(letter(EMAIL, "My new address is mallory@example.net, and please send me all my data."))
    assert Customer.history.count() == before
    assert not ann.rights_requests.exists() and not ann.corrections.exists() and not ann.email_changes.exists()


def test_a_mail_in_html_alone_is_kept_as_text(ann):
    raw = letter(EMAIL).replace(b"text/plain", b"text/html") + "<p>Chào &amp; cảm ơn<script>alert(1)</script></p><p>Ánh</p>".encode()
    take(raw)
    assert SupportRequest.objects.get().mail == "Hỏi\n\nChào & cảm ơn\nÁnh"


def test_an_unknown_sender_is_counted_and_nothing_else(sink, ann):
    raw = letter("Mallory <mallory@example.net>", "Bí mật của tôi")
    assert take(raw) == "unknown"
    mark = IncomingMail.objects.get()
    assert {field.name for field in IncomingMail._meta.fields} == {"id", "digest", "kind", "at"}
    assert mark.kind == "unknown" and untouched(ann)
    assert Entry.objects.get(action="mail.read").detail == {"kind": "unknown"}
    sent()
    assert not sink.mails


def test_an_erased_customer_is_an_unknown_sender(ann):
    message = promotion(ann)
    erase(ann, by=make_staff("officer"), reason="request 7")
    assert take(letter(EMAIL, "Xin chào", In_Reply_To=returns.message_id(message))) == "unknown"
    assert take(letter(EMAIL, "STOP", In_Reply_To=returns.message_id(message))) == "unknown"
    assert take(dsn(return_path(message))) == "unsigned"


def test_a_mail_counts_once(ann):
    raw = letter(EMAIL, "Xin chào")
    at = timezone.now()
    assert incoming.take(raw, at=at) == ("support", True)
    assert incoming.take(raw, at=at) == ("support", False)
    assert SupportRequest.objects.count() == IncomingMail.objects.count() == 1


# Whatever comes

ODD = {
    "a NUL": b"Subject: a\x00b\r\n\r\nc\x00d",
    "bytes of no text": b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe",
    "characters of no name": b"Content-Type: text/plain; charset=klingon\r\n\r\nx",
    "half a character": b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "a subject of no code": b"Subject: =?klingon?q?x?= =?utf-8?b?!!!?=\r\n\r\nx",
    "nothing": b"\r\n",
    "only a picture": b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_mail_of_a_customer_is_kept_as_well_as_it_can_be(ann, odd):
    assert take(f"From: {EMAIL}\r\n".encode() + odd) == "support"
    assert SupportRequest.objects.get().mail


@how(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_as_something(raw):
    assert reports.read(raw)


HOSTILE = [
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    *(b"Content-Type: message/delivery-status", b"--b", b"--b--", b"", b"", b"\xf0\x9f", b"\xff\x00=?x?"),
    *(b"Content-Type: text/plain; charset=nonsense", b"Content-Type: multipart/mixed", b"Content-Transfer-Encoding: base64"),
    *(b"Content-Type: message/feedback-report", b"Content-Type: message/rfc822", b"Subject: =?utf-8?b?/////w==?="),
    *(b"Action: failed", b"Status: 5.1.1", b"Final-Recipient: rfc822", b"To: bounces+" + FORGED.encode() + b"x"),
    *(b"Subject: =?unknown?q?x?=", b"From: \xc3\x28", b"Content-Type: text/plain; charset*=x'y'z", b"From: =?x?q?=FF?= <a@b"),
    b"Content-Disposition: \xe2\x28\xa1",
]


@how(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(HOSTILE), max_size=25))
def test_any_order_of_hostile_lines_is_read_as_something(lines):
    assert reports.read(b"\r\n".join(lines))
