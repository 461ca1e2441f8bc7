"""Loads what the office needs before it can work: roles, purposes, channel rules, renewal notices, the canary. May be run again."""

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import models as audit
from consent.models import ChannelRule, Purpose
from customers.models import Customer
from mailings.models import RenewalNotice
from privacy_office.models import Canary
from privacy_office.roles import ROLES, codenames

ADVERTISING = {"legal_basis": "consent", "kind": "advertising", "channels": ["email", "sms", "phone"], "while_associated": True}
SERVICE = {"legal_basis": "agreement", "kind": "service", "channels": ["email", "sms", "phone"], "while_associated": False}
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
]  # fmt: skip

DECREE = "Decree 91/2020/NĐ-CP"
CHANNEL_RULES = [
    {"channel": "email", "cap": 3, "label": "[QC]", "source": DECREE},
    {"channel": "sms", "cap": 3, "label": "[QC]", "opens": "07:00", "closes": "22:00", "source": DECREE},
    {"channel": "phone", "cap": 1, "opens": "08:00", "closes": "17:00", "source": DECREE},
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
RENEWAL_NOTICES = [{"days_before": days, **NOTICE} for days in (30, 7, 1)]


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
                (Purpose, "code", [{**MAIL_FIELDS, **row} for row in PURPOSES]),
                (ChannelRule, "channel", CHANNEL_RULES),
                (RenewalNotice, "days_before", RENEWAL_NOTICES),
            )
        )
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

    def set_roles(self):
        permissions = {(p.content_type.app_label, p.codename): p for p in Permission.objects.select_related("content_type")}
        for role, rights in ROLES.items():
            group, _ = Group.objects.get_or_create(name=role)
            group.permissions.set(permissions[right] for right in codenames(rights))
