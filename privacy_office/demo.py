"""What the demo's people lived through, told by the models' own verbs: so each act stands on the trail, at the moment it was written down.

What is said to be older came in on paper or by an earlier system, as an office writes down late what was asked early.
"""

from datetime import timedelta
from email.message import EmailMessage

import pyrage
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from consent.models import Event, Purpose
from customers.models import Contact, Correction, Customer, EmailHold, InformationRequest, Reveal, RightsRequest, SupportRequest
from disclosures import handover
from disclosures.models import Commitment, DisclosureRequest, PermissionOffer, ThirdParty
from mailings import incoming, postman, returns
from mailings.models import Campaign
from privacy_office.models import Staff

CAST = 16  # the first customers: each has a story, an address that works, and services
DAY = timedelta(days=1)
GIVEN, WITHDRAWN, REFUSED = Event.GIVEN, Event.WITHDRAWN, Event.REFUSED
# {customer: {purpose: [(days ago, what was said, how)]}}, as an earlier system had it; the others of the cast said yes at their sign-up.
SAID = {
    1: {
        "promotions": [(400, GIVEN, "signup_form"), (210, WITHDRAWN, "phone_call"), (45, GIVEN, "preference_page")],
        "surveys": [(400, GIVEN, "signup_form")],
        "product_news": [(400, REFUSED, "signup_form"), (45, GIVEN, "preference_page")],
        "service_renewal": [(400, GIVEN, "signup_form")],
    },
    14: {"promotions": [(300, GIVEN, "signup_form"), (12, WITHDRAWN, "one_click")], "product_news": [(300, GIVEN, "signup_form")]},
    15: {"promotions": [(90, REFUSED, "paper")], "product_news": [(90, REFUSED, "paper")]},
    16: {},
}
AT_SIGN_UP = {code: [(200, GIVEN, "signup_form")] for code in ("promotions", "product_news", "service_renewal", "surveys")}
NEWS = {
    "subject": "Sao lưu hằng đêm cho máy chủ ảo",
    "body": "Kính gửi {full_name},\n\nTừ tháng này, mỗi máy chủ ảo có thể được **sao lưu hằng đêm**.\n\nTrân trọng,\n{company}",
    "subject_en": "Nightly backups for your virtual server",
    "body_en": "Dear {full_name},\n\nFrom this month on, each virtual server can be **backed up every night**.\n\nYours,\n{company}",
}
INVITATION = {
    "subject": "Mời dự buổi hỏi đáp trực tuyến",
    "body": "Kính gửi {full_name},\n\nMời quý khách dự **buổi hỏi đáp trực tuyến** vào thứ Năm tới.\n\nTrân trọng,\n{company}",
    "subject_en": "An hour of questions and answers online",
    "body_en": "Dear {full_name},\n\nYou are invited to an **hour of questions and answers** online, next Thursday.\n\nYours,\n{company}",
}


def said_by(number, purpose):
    """Return what a customer of the cast said of one purpose."""
    return SAID.get(number, AT_SIGN_UP).get(purpose.code, [])


def pdf(words):
    """Return the bytes of a page with some words, as a scan stands for the paper."""
    drawn = f"BT /F 14 Tf 60 780 Td ({words}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(drawn)} >> stream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    page, table = "%PDF-1.4\n", "0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += f"{len(page):010} 00000 n \n"
        page += f"{number} 0 obj {content} endobj\n"
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(page)}\n%%EOF\n"
    return f"{page}xref\n0 {len(objects) + 1}\n{table}{end}".encode()


def cast(number):
    return Customer.objects.get(ref=f"DEMO-{number:04d}")


def member(role):
    return Staff.objects.get(username=role)


def live():
    """Have the cast live what needs no mail to have been sent; in the transaction of the caller."""
    corrections(member("clerk"), timezone.now())
    requests(member("clerk"), timezone.now())
    suspicion(member("clerk"))
    authority = third_party("Thanh tra Ví Dụ", ThirdParty.Kind.AUTHORITY)
    handed_over(authority, timezone.now())
    on_the_clock(authority, timezone.now())
    partners(timezone.localdate())
    draft(INVITATION, "other_information")


def corrections(clerk, now):
    """Two that wait, one that is late, one that waits for a scan, one that was made."""
    Correction.propose(cast(3), "phone", "+84 90 555 0103", by=cast(3))
    Correction.propose(cast(4), "full_name", "Lê Thị Minh Hạnh", by=cast(4), scan=pdf("An invented certificate of a marriage"))
    Correction.propose(cast(5), "address", "7 Phố Bịa Đặt, Huế", by=clerk, at=now - 16 * DAY)
    asked = Correction.propose(cast(6), "full_name", "Trần Văn Bảo", by=cast(6))
    asked.ask_for_more(by=clerk, question="Xin gửi ảnh một giấy tờ có ghi tên mới")
    Correction.propose(cast(7), "address", "12 Đường Ví Dụ, Đà Nẵng", by=cast(7)).approve(by=clerk)


def requests(clerk, now):
    """A request of right that is late, one whose day comes, and a question that a customer has to answer."""
    RightsRequest.receive(cast(8), "copy", by=clerk, source="paper", received_at=now - 13 * DAY, words="Xin bản sao dữ liệu của tôi.")
    erasure = RightsRequest.receive(cast(9), "erasure", by=clerk, source="phone", received_at=now - 15 * DAY)
    erasure.confirm_identity(by=clerk, how="contact")
    erasure.acknowledge(by=clerk)
    RightsRequest.receive(cast(1), "access", by=cast(1), source="my")
    InformationRequest.ask(cast(10), by=clerk, wanted=["order"], ticket="HT-1042")


def suspicion(clerk):
    """An address on hold, from which a correction is asked meanwhile; another that was released."""
    EmailHold.place(cast(11), by=clerk, reason="Ba lần yêu cầu đổi mật khẩu từ nơi lạ")
    Correction.propose(cast(11), "phone", "+84 90 555 0111", by=cast(11))
    hold = EmailHold.place(cast(12), by=None, reason="Nhiều lần nhập sai mật khẩu")
    hold.release(by=clerk, channel=Contact.Channel.PHONE, note="Gọi lại theo số trong hợp đồng, khách xác nhận.")


def third_party(name, kind):
    """Return a third party whose public key was entered by one person and read back by another."""
    key = str(pyrage.x25519.Identity.generate().to_public())
    party = ThirdParty(name=name, kind=kind, contact="Trang web chính thức, tổng đài 1900 0000", age_key=key)
    party.keep(by=member("officer"))
    party.check_key(by=member("approver"))
    return party


def asked(authority, customer, document, received_at, **told):
    """Return an authority's request of the last year's data of one customer, taken in and verified."""
    today, officer = timezone.localdate(), member("officer")
    request = DisclosureRequest(
        third_party=authority, ground="legal_obligation", document_number=document, document_dated_on=today, received_at=received_at,
        legal_article="Điều 16 Nghị định 333/2026/NĐ-CP", asked_from=today - 365 * DAY, asked_until=today,
        fields_asked=["ref", "full_name", "phone", "address", "services"], **told,
    )  # fmt: skip
    request.receive(by=officer, refs=[customer.ref], document=pdf(f"An invented letter, no. {document.split('/')[0]}"))
    request.verify(by=officer, how="call_back", reference="CALL-7")
    return request


def handed_over(authority, now):
    """A request that was answered, with less than was asked for: one row of the register, which its customer sees."""
    officer, customer = member("officer"), cast(13)
    request = asked(authority, customer, "12/CV-TTVD", now - timedelta(hours=3))
    scope = {"fields": ["full_name", "services"], "refs": [customer.ref]}
    period = {"period_from": request.asked_from, "period_until": request.asked_until}
    request.assess(by=officer, assessment="Chỉ cần tên và dịch vụ để trả lời công văn.", **scope, **period)
    request.approve(by=member("approver"))
    _decision, token = handover.prepare(request, by=officer)
    handover.fetch(token, by=officer)


def on_the_clock(authority, now):
    """A request whose 24 hours are nearly over."""
    asked(authority, cast(2), "15/CV-TTVD", now - timedelta(hours=19, minutes=20))


def partners(today):
    """A payment service whose commitment ends soon, and somebody whom a customer lets have something."""
    payment = third_party("Cổng thanh toán Bịa Đặt", ThirdParty.Kind.PAYMENT_PROCESSOR)
    commitment = Commitment(third_party=payment, valid_from=today - 345 * DAY, valid_until=today + 20 * DAY)
    commitment.sign(pdf("An invented commitment of confidentiality"), by=member("officer"))
    registrar = third_party("Nhà đăng ký tên miền Ví Dụ", ThirdParty.Kind.OTHER)
    offer = PermissionOffer(
        third_party=registrar, fields=["full_name", "email"], purpose_vi="Đăng ký tên miền cho quý khách",
        purpose_en="To register a domain name for you",
    )  # fmt: skip
    offer.keep(by=member("officer"))
    offer.give(cast(1), by=cast(1), source="page")


def draft(letter, purpose):
    """Return a campaign that the marketer wrote and tried, and that waits for its approval."""
    campaign = Campaign(purpose=Purpose.objects.get(code=purpose), **letter)
    campaign.draft(by=member("marketer"))
    campaign.ask_dry_run(by=member("marketer")).count()
    return campaign


def half_way():
    """Send the first mails of a campaign and pause it."""
    approver = member("approver")
    with transaction.atomic():  # paused from its first moment: no worker takes anything up
        campaign = draft(NEWS, "product_news")
        campaign.approve(by=approver)
        campaign.launch(by=approver)
        campaign.pause(by=approver)
    campaign.resume(by=approver)
    for _attempt in range(50):  # a busy machine may not come to the first mail in a fifth of a second
        postman.drain(0.2)
        if campaign.messages.filter(state="sent").exists():
            break
    campaign.pause(by=approver)


def come_in(promotion):
    """Have mails come in as a mail server delivers them: two bounces, a refusal, two questions; the clerk takes one of them up."""
    sent = promotion.messages.filter(state="sent").exclude(customer__ref__lte=f"DEMO-{CAST:04d}").select_related("customer")
    for message, status in zip(sent.order_by("pk")[:2], ("5.1.1", "5.2.2"), strict=False):
        incoming.take(bounce(message, status))
    if reached := promotion.messages.filter(state="sent", customer=cast(10)).first():
        incoming.take(mail(cast(10), "Re: Giảm 20 %", "Từ chối", answers=reached))
    incoming.take(mail(cast(2), "Nâng cấp máy chủ ảo", "Tôi muốn đổi sang gói lớn hơn, phí chênh lệch là bao nhiêu?"))
    incoming.take(mail(cast(12), "Hóa đơn tháng trước", "Tôi chưa nhận được hóa đơn, xin gửi lại giúp."))
    question, clerk = SupportRequest.objects.open().get(customer=cast(12)), member("clerk")
    question.take(by=clerk)
    case = {"case_kind": "support", "case_reference": str(question.pk)}
    Reveal.ask(question, "mail", by=clerk, reason="support", **case)


def mail(customer, subject, text, answers=None):
    """Return the bytes of a mail that a customer wrote."""
    written = EmailMessage()
    written["From"], written["To"], written["Subject"] = customer.email, settings.MAIL_FROM, subject
    if answers:
        written["In-Reply-To"] = returns.message_id(answers)
    written.set_content(text)
    return written.as_bytes()


REPORT = """From: MAILER-DAEMON@mail.example
To: {sender}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="part"

--part
Content-Type: text/plain

The mail could not be delivered.
--part
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: {status}

--part
Content-Type: text/rfc822-headers

Message-ID: {message_id}

--part--
"""


def bounce(message, status):
    """Return the bytes of a report that a message could not be delivered (RFC 3464)."""
    told = {"sender": settings.MAIL_FROM, "recipient": message.customer.email, "message_id": returns.message_id(message)}
    return REPORT.format(status=status, **told).encode()
