"""Fills an empty office with 1,000 invented customers and sends them what is due. Refused where customers are real."""

import json
import random
import tempfile
from collections import Counter
from datetime import timedelta
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from audit.models import actor
from consent import gate
from consent.models import Channel, ConsentEvent, Event, PolicyVersion, Purpose, Source
from customers.models import Customer, EmailHold, Evidence, Service
from privacy_office.models import Staff

CUSTOMERS = 1000
FAMILIES = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý"]
MIDDLES = ["Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc", "Thanh", "Quang", "Thu", "Xuân", "Gia", "Bảo"]
GIVEN = ["An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Hạnh", "Hiếu", "Hoa", "Khánh", "Lan", "Long", "Mai", "Nam", "Sơn", "Trang", "Tú"]
STREETS = ["Phố Tưởng Tượng", "Đường Ví Dụ", "Ngõ Không Có Thật", "Phố Bịa Đặt"]
PRODUCTS = [("Máy chủ ảo", ["VPS 2", "VPS 4", "VPS 8"]), ("Lưu trữ", ["100 GB", "1 TB"]), ("Tên miền", [".vn", ".com.vn"])]
STAFF = {"clerk": "clerk", "marketer": "marketer", "approver": "approver", "officer": "officer", "auditor": "auditor"}

POLICY_FILE = settings.BASE_DIR.parent / "shared" / "policy" / "privacy_policy.vi.txt"
POLICY_TEXT = """Chính sách bảo mật (bản minh họa)

Chúng tôi chỉ dùng thông tin của quý khách cho những việc quý khách đã đồng ý, giữ thông tin đó ở dạng mã hóa,
và ngừng gửi thư ngay khi quý khách từ chối. Chúng tôi không mua bán thông tin của quý khách.
"""
PROMOTION = """Kính gửi {full_name},

**Tháng này giảm 20 %** cho mọi gói lưu trữ đăng ký mới.

- Áp dụng đến hết tháng
- Không cần mã giảm giá

Trân trọng,
{company}
"""


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        if not settings.DEMO:
            raise CommandError("The demo needs DEMO=1, as ./run sets it: it shows every mail at /mailbox/.")
        if Customer.objects.exclude(ref__startswith="DEMO-").exists():
            self.stdout.write("This office has customers of its own: no demo.")
            return
        if not Customer.objects.exists():
            with transaction.atomic():
                self.load_policy()
                self.hire()
                self.enrol(random.Random(1))
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            self.stdout.write(f"{CUSTOMERS} invented customers are here.")
        if settings.EMAIL_HOST in ("127.0.0.1", "localhost"):
            self.send()
        else:
            self.stdout.write("EMAIL_URL names a mail server elsewhere: the demo sends nothing to it.")

    def load_policy(self):
        if PolicyVersion.objects.exists():
            return
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write(POLICY_TEXT)
            file.flush()
            text = POLICY_FILE if POLICY_FILE.exists() else file.name
            call_command("load_policy", text, number=1, language="vi", publish=True, stdout=StringIO())

    def hire(self):
        """Make one person of each role, so that each can be tried."""
        self.stdout.write("One-time passwords, each to be changed at the first sign-in:")
        for username, role in STAFF.items():
            if not Staff.objects.filter(username=username).exists():
                call_command("create_staff", username, role=[role], stdout=self.stdout)

    def enrol(self, rng):
        now, today = timezone.now(), timezone.localdate()
        customers = [self.customer(rng, number, today) for number in range(1, CUSTOMERS + 1)]
        Customer.objects.enrol(customers, by=None, source="demo")
        Service.objects.enrol([s for c in customers for s in self.services(rng, c, today)], by=None, source="demo")
        policy, purposes = PolicyVersion.objects.published().first(), list(Purpose.objects.filter(legal_basis="consent"))
        events = [e for c in customers for e in self.consents(rng, c, purposes, policy, now)]
        Evidence.objects.bulk_create([e.evidence for e in events if e.evidence])
        ConsentEvent.objects.record(events, by=None)
        for customer in rng.sample(customers, 5):
            EmailHold.place(customer, by=None, reason="Ba lần yêu cầu đổi địa chỉ trong một ngày")

    def customer(self, rng, number, today):
        ended = rng.random() < 0.06
        return Customer(
            ref=f"DEMO-{number:04d}",
            full_name=f"{rng.choice(FAMILIES)} {rng.choice(MIDDLES)} {rng.choice(GIVEN)}",
            email=f"khach{number:04d}@example.{rng.choice(['com', 'net', 'org'])}",
            phone=f"+8490{rng.randrange(10**7):07d}" if rng.random() < 0.9 else None,
            address=f"{rng.randrange(1, 300)} {rng.choice(STREETS)}, {rng.choice(['Hà Nội', 'Đà Nẵng', 'TP. Hồ Chí Minh'])}",
            locale=rng.choices(["vi", "en"], [9, 1])[0],
            association="ended" if ended else "active",
            association_ended_on=today - timedelta(days=rng.randrange(1, 400)) if ended else None,
            email_state=rng.choices(["verified", "unverified", "bouncing"], [92, 5, 3])[0],
        )

    def services(self, rng, customer, today):
        for number in range(rng.choices([0, 1, 2, 3], [1, 6, 2, 1])[0]):
            product, plans = rng.choice(PRODUCTS)
            expires_in = rng.choices([30, 7, 1, rng.randrange(2, 300)], [1, 1, 1, 9])[0]
            yield Service(
                customer=customer, product=product, plan=rng.choice(plans), started_on=today - timedelta(days=365 + number),
                expires_on=today + timedelta(days=expires_in), access_username=f"user{rng.randrange(10**6)}",
                access_secret=f"{rng.randrange(16**12):012x}",
            )  # fmt: skip

    def consents(self, rng, customer, purposes, policy, now):
        for purpose in purposes:
            at, said = now - timedelta(days=rng.randrange(30, 300)), rng.choices(["", "g", "gw", "r"], [4, 5, 2, 1])[0]
            for letter in said:
                event = {"g": Event.GIVEN, "w": Event.WITHDRAWN, "r": Event.REFUSED}[letter]
                source = Source.SIGNUP_FORM if letter == "g" else Source.PHONE_CALL
                yield ConsentEvent(
                    customer=customer, purpose=purpose, channel=Channel.EMAIL, event=event, at=at, source=source, policy_version=policy,
                    shown_digest=policy.shown_digest(customer.locale), by=actor(None),
                    evidence=Evidence(customer=customer, text=f"phiếu {rng.randrange(10**6)}"),
                )  # fmt: skip
                at += timedelta(days=rng.randrange(1, 29))

    def send(self):
        """Send the renewal notices that are due and one promotion; print who got what, and who did not and why."""
        self.report("Renewal notices", "send_renewals", wait=True)
        with tempfile.TemporaryDirectory() as folder:
            body = Path(folder) / "body.md"
            body.write_text(PROMOTION, encoding="utf-8")
            self.report(
                "One promotion", "send_campaign", purpose="promotions", subject="Giảm 20 % cho gói lưu trữ mới", body=body,
                created_by="marketer", approved_by="approver", wait=True,
            )  # fmt: skip
        counts = Counter(decision.reason for _, decision in gate.audience("promotions", Channel.EMAIL))
        self.stdout.write("Asked again now, the gate says of promotions:")
        for reason, number in counts.most_common():
            self.stdout.write(f"{number:>7}  {reason}")

    def report(self, title, *command, **options):
        said = StringIO()
        call_command(*command, stdout=said, stderr=StringIO(), **options)
        report = json.loads(said.getvalue().splitlines()[-1])
        self.stdout.write(f"{title}: {report['sent']} sent, {report['failed']} failed, {report['unknown']} unknown")
        for reason, number in report["blocked"].items():
            self.stdout.write(f"{number:>7}  {reason}")
