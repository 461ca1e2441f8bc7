"""Loads what the office needs before it can work: roles, purposes, rules, renewal notices, terms, the canary. May be run again."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import models as audit
from consent.models import ChannelRule, Purpose
from customers.models import Customer, DeadlineRule, HoldRule, RetentionRule
from disclosures.models import TermRule
from mailings.models import CompanyHost, RelayRule, RenewalNotice
from privacy_office.models import Canary
from privacy_office.roles import ROLES, codenames

ADVERTISING = {"legal_basis": "consent", "kind": "advertising", "channels": ["email", "sms", "phone"], "while_associated": True}
SERVICE = {"legal_basis": "agreement", "kind": "service", "channels": ["email", "sms", "phone"], "while_associated": False}
OWED = {"legal_basis": "legal_obligation", "kind": "service", "channels": ["email"], "while_associated": False}
MAIL_FIELDS = {"fields": ["full_name", "email"], "retention_days": 730}

PURPOSES = [
    {"code": "payment_confirmation", "title_vi": "Xác nhận thanh toán", "title_en": "Payment confirmations", "clause": "§2.1", **SERVICE},
    {"code": "service_support", "title_vi": "Hỗ trợ dịch vụ", "title_en": "Service support", "clause": "§2.1", **SERVICE},
    {"code": "service_renewal", "title_vi": "Nhắc gia hạn dịch vụ", "title_en": "Renewal notices", "clause": "§2.2",
     **SERVICE, "legal_basis": "consent", "while_associated": True},
    {"code": "product_news", "title_vi": "Sản phẩm, dịch vụ mới", "title_en": "New products and services", "clause": "§2.3", **ADVERTISING},
    {"code": "promotions", "title_vi": "Khuyến mãi", "title_en": "Promotions", "clause": "§2.4", **ADVERTISING},
    {"code": "other_information", "title_vi": "Thông tin khác", "title_en": "Other information", "clause": "§2.4", **ADVERTISING},
    {"code": "surveys", "title_vi": "Khảo sát chất lượng", "title_en": "Surveys", "clause": "§2.5",
     **ADVERTISING, "kind": "survey", "channels": ["email"]},
    {"code": "account_access", "title_vi": "Truy cập dữ liệu của mình", "title_en": "Access to one's own data", "clause": "§3.2",
     **OWED, "confidential": True},
    {"code": "legal_notices", "title_vi": "Thông báo theo luật", "title_en": "Notices that the law asks for", "clause": "§3.2", **OWED},
]  # fmt: skip

# What customers read of a purpose: what is sent and what for, and how often.
WORDS = {
    "payment_confirmation": {
        "meaning_vi": "Xác nhận các khoản quý khách đã thanh toán.",
        "meaning_en": "We confirm what you paid.",
        "frequency_vi": "Mỗi lần quý khách thanh toán.",
        "frequency_en": "Each time you pay.",
    },
    "service_support": {
        "meaning_vi": "Trả lời và hỗ trợ quý khách khi sử dụng dịch vụ.",
        "meaning_en": "We answer you and help you use your services.",
        "frequency_vi": "Khi dịch vụ hoặc yêu cầu của quý khách cần đến.",
        "frequency_en": "When your service or your question needs it.",
    },
    "service_renewal": {
        "meaning_vi": "Báo trước khi một dịch vụ của quý khách sắp hết hạn, để quý khách kịp gia hạn. Không kèm quảng cáo.",
        "meaning_en": "We tell you before one of your services expires, in time to renew it. Without advertising.",
        "frequency_vi": "Nhiều nhất ba lần trước mỗi ngày hết hạn.",
        "frequency_en": "At most three times before each expiry date.",
    },
    "product_news": {
        "meaning_vi": "Giới thiệu sản phẩm, dịch vụ mới mà quý khách có thể dùng. Đây là quảng cáo.",
        "meaning_en": "We introduce new products and services that you could use. This is advertising.",
        "frequency_vi": "Khoảng một lần mỗi tháng.",
        "frequency_en": "About once a month.",
    },
    "promotions": {
        "meaning_vi": "Báo cho quý khách các đợt giảm giá và ưu đãi. Đây là quảng cáo.",
        "meaning_en": "We tell you of discounts and special offers. This is advertising.",
        "frequency_vi": "Khoảng hai lần mỗi tháng.",
        "frequency_en": "About twice a month.",
    },
    "other_information": {
        "meaning_vi": "Gửi quý khách bài viết, lời mời tham dự sự kiện và các tin khác của chúng tôi. Đây là quảng cáo.",
        "meaning_en": "We send you articles, invitations to events and other news of ours. This is advertising.",
        "frequency_vi": "Khoảng một lần mỗi tháng.",
        "frequency_en": "About once a month.",
    },
    "surveys": {
        "meaning_vi": "Hỏi ý kiến quý khách để cải thiện chất lượng dịch vụ. Trả lời hay không là tùy quý khách.",
        "meaning_en": "We ask what you think, to make our services better. You need not answer.",
        "frequency_vi": "Nhiều nhất hai lần mỗi năm.",
        "frequency_en": "At most twice a year.",
    },
}

DECREE = "Decree 91/2020/NĐ-CP"
CHANNEL_RULES = [
    {"channel": "email", "cap": 3, "label": "[QC]", "source": DECREE},
    {"channel": "sms", "cap": 3, "label": "[QC]", "opens": "07:00", "closes": "22:00", "register": True, "source": DECREE},
    {"channel": "phone", "cap": 1, "opens": "08:00", "closes": "17:00", "register": True, "source": DECREE},
]

# Whether days of "done" are worked days the decree does not say: all of them count, the stricter reading.
ARTICLE = "Nghị định 356/2025/NĐ-CP, Điều 5"
STOPS = {"reply_days": 2, "done_days": 15, "shared_days": 20, "extension_days": 15, "source": ARTICLE}
SHOWS = {"reply_days": 2, "done_days": 10, "shared_days": 15, "extension_days": 10, "source": ARTICLE}
DEADLINE_RULES = [
    {"kind": "access", **SHOWS},
    {"kind": "correction", **SHOWS},
    {"kind": "copy", **SHOWS},
    {"kind": "withdrawal", **STOPS},
    {"kind": "restriction", **STOPS},
    {"kind": "objection", **STOPS},
    {"kind": "erasure", "reply_days": 2, "done_days": 20, "shared_days": 30, "extension_days": 20, "source": ARTICLE},
    {"kind": "protection", "reply_days": 2, "done_days": 15, "shared_days": 15, "extension_days": 15, "source": ARTICLE},
]

HOLD_RULES = [
    {"kind": "failed_sign_in", "threshold": 20, "within_hours": 1},
    {"kind": "failed_link", "threshold": 10, "within_hours": 24},
    {"kind": "change_asked", "threshold": 5, "within_hours": 24},
    {"kind": "bounce_after_change", "threshold": 1, "within_hours": 168},
    {"kind": "fraud_report", "threshold": 1, "within_hours": 24},
    {"kind": "bounce", "threshold": 3, "within_hours": 720},
]

NOTICE = {
    "subject_vi": "{service} hết hạn ngày {expires_on}",
    "body_vi": "Kính gửi {full_name},\n\nDịch vụ sau của quý khách sắp hết hạn:\n\n"
    "- **{service}** {plan}: hết hạn ngày {expires_on} (còn {days} ngày)\n\n"
    "Để dịch vụ không bị gián đoạn, quý khách vui lòng gia hạn trước ngày này.\n\n{company}",
    "subject_en": "{service} expires on {expires_on}",
    "body_en": "Dear {full_name},\n\nThe following will expire soon:\n\n"
    "- **{service}** {plan}: expires on {expires_on} (days left: {days})\n\n"
    "To keep it running without a break, please renew before that day.\n\n{company}",
}
OWN_RULE = "the office's own rule"
TERM_RULES = [
    {"code": "authority", "hours": 24, "source": "Decree 333/2026/NĐ-CP Art. 16(3)"},
    {"code": "authority_urgent", "hours": 3, "source": "Decree 333/2026/NĐ-CP Art. 16(3)"},
    {"code": "approval", "hours": 24, "source": OWN_RULE},
    {"code": "package", "hours": 1, "source": OWN_RULE},
    {"code": "breach", "hours": 72, "source": "Law 91/2025/QH15 Art. 23"},
    {"code": "tell_correction", "hours": 15 * 24, "source": "Decree 356/2025/NĐ-CP Art. 5"},
    {"code": "tell_erasure", "hours": 30 * 24, "source": "Decree 356/2025/NĐ-CP Art. 5"},
    {"code": "commitment", "hours": 30 * 24, "source": OWN_RULE},
]
RENEWAL_NOTICES = [{"days_before": days, **NOTICE} for days in (30, 7, 1)]

# Numbers of our own where no law names one: as short as the use allows. What is erased whole is switched on by an officer, after a dry run.
RETENTION_RULES = [
    {"of": "access_requests", "days": 1, "ground": "Limits count within a day.", "source": "the office's own"},
    {"of": "links", "days": 30, "ground": "To tell whoever comes late why a link does nothing.", "source": "the office's own"},
    {"of": "sessions", "days": 90, "ground": "To look into a sign-in that was not the customer's.", "source": "the office's own"},
    {"of": "sign_ups", "days": 3, "ground": "Until then its link can be pressed.", "source": "the office's own"},
    {"of": "notice_addresses", "days": 90, "ground": "To clear up a change of address.", "source": "the office's own"},
    {"of": "contact_notes", "days": 730, "ground": "To show how a customer was recognised.", "source": "the office's own"},
    {"of": "attachments", "days": 365, "ground": "To show what a correction rested on.", "source": "the office's own"},
    {"of": "request_words", "days": 730, "ground": "To answer a complaint about how it was settled.", "source": "the office's own"},
    {"of": "answers", "days": 730, "ground": "To show what a request was decided on.", "source": "the office's own"},
    {"of": "support_mails", "days": 730, "ground": "To answer a complaint about what was answered.", "source": "the office's own"},
    {"of": "incoming", "days": 90, "ground": "So that no mail counts twice.", "source": "the office's own"},
    {"of": "messages", "days": None, "ground": "As long as each purpose says.", "source": "Decree 91/2020/NĐ-CP: one year at least"},
    {"of": "unconfirmed", "days": 90, "ground": "Who never confirmed never became a customer.", "source": "the officer", "active": False},
    {"of": "ended", "days": 3650, "ground": "Contracts, accounts and disputes are over.", "source": "the officer", "active": False},
]


def own_hosts():
    """Return the hosts of the office and of the company's site."""
    return sorted({urlsplit(url).hostname for url in (settings.BASE_URL, settings.COMPANY["website"])} - {None})


class Command(BaseCommand):
    help = __doc__

    @transaction.atomic
    def handle(self, **options):
        if not Canary.objects.exists():
            if Customer.objects.exists():
                raise CommandError("The canary is gone but customers are there: restore it from a backup, do not make a new one.")
            Canary.objects.create(token=Canary.WORD)
        made = sum(
            self.add(model, key, rows)
            for model, key, rows in (
                (Purpose, "code", [{**MAIL_FIELDS, **row, **WORDS.get(row["code"], {})} for row in PURPOSES]),
                (ChannelRule, "channel", CHANNEL_RULES),
                (RenewalNotice, "days_before", RENEWAL_NOTICES),
                (RelayRule, "relay", [{"relay": "default"}]),
                (DeadlineRule, "kind", DEADLINE_RULES),
                (HoldRule, "kind", HOLD_RULES),
                (TermRule, "code", TERM_RULES),
                (RetentionRule, "of", RETENTION_RULES),
                (CompanyHost, "host", [{"host": host} for host in own_hosts()]),
            )
        )
        self.explain_purposes()
        self.set_roles()
        if options["verbosity"]:
            self.stdout.write(f"Roles are set; {made} rows added, what was there is left as it is.")

    def add(self, model, key, rows):
        """Add the rows that are not there; what people changed since stays. Return how many were added."""
        there = set(model.objects.values_list(key, flat=True))
        new = [model(**row) for row in rows if row[key] not in there]
        for row in new:
            row._change_reason = "setup"
            row.save()
            audit.record("setup.add", by=None, obj=row, **{key: row.serializable_value(key)})
        return len(new)

    def explain_purposes(self):
        """Write the words of the purposes of an older office, which have none."""
        for purpose in Purpose.objects.filter(code__in=WORDS):
            words = WORDS[purpose.code]
            if not any(getattr(purpose, name) for name in words):
                for name, text in words.items():
                    setattr(purpose, name, text)
                purpose._change_reason = "setup"
                purpose.save()
                audit.record("setup.explain", by=None, obj=purpose, fields=sorted(words))

    def set_roles(self):
        permissions = {(p.content_type.app_label, p.codename): p for p in Permission.objects.select_related("content_type")}
        for role, rights in ROLES.items():
            group, _ = Group.objects.get_or_create(name=role)
            group.permissions.set(permissions[right] for right in codenames(rights))
