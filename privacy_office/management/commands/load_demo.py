"""Fills an empty office with 1,000 invented customers, some of whom have a story, and sends what is due. Refused where others are."""

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
from consent.models import Channel, ConsentCount, ConsentEvent, Event, PolicyVersion, Purpose, Source
from customers.models import Customer, Evidence, Service
from mailings.models import Campaign
from privacy_office import demo
from privacy_office.models import Staff

CUSTOMERS = 1000
FAMILIES = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý"]
MIDDLES = ["Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc", "Thanh", "Quang", "Thu", "Xuân", "Gia", "Bảo"]
GIVEN = ["An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Hạnh", "Hiếu", "Hoa", "Khánh", "Lan", "Long", "Mai", "Nam", "Sơn", "Trang", "Tú"]
STREETS = ["Phố Tưởng Tượng", "Đường Ví Dụ", "Ngõ Không Có Thật", "Phố Bịa Đặt"]
PRODUCTS = [("Máy chủ ảo", ["VPS 2", "VPS 4", "VPS 8"]), ("Lưu trữ", ["100 GB", "1 TB"]), ("Tên miền", [".vn", ".com.vn"])]
STAFF = {"clerk": "clerk", "marketer": "marketer", "approver": "approver", "officer": "officer", "auditor": "auditor"}

POLICY_FILE = settings.BASE_DIR.parent / "shared" / "policy" / "privacy_policy.vi.txt"
POLICY = {
    "vi": """Chính sách bảo mật (bản minh họa)

1. Chúng tôi dùng thông tin để làm gì

Chúng tôi chỉ dùng thông tin của quý khách cho những việc quý khách đã đồng ý, và ngừng gửi thư ngay khi quý khách từ chối.
{change}
2. Chúng tôi giữ thông tin ra sao

Thông tin được giữ ở dạng mã hóa. Chúng tôi không mua bán thông tin của quý khách.
""",
    "en": """Privacy policy (an example)

1. What we use your data for

We use your data only for what you agreed to, and stop writing to you at once when you refuse.
{change}
2. How we keep it

Your data is kept encrypted. We never buy or sell it.
""",
}
CHANGE = {
    "vi": "\nKhảo sát từ nay do chính chúng tôi thực hiện và không kèm quảng cáo.\n",
    "en": "\nSurveys are from now on our own, and carry no advertising.\n",
}
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
        passwords = ""
        if not Customer.objects.exists():
            with transaction.atomic():
                self.publish_policy()
                passwords = self.hire()
                self.enrol(random.Random(1))
                demo.live()
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            ConsentCount.objects.keep()  # of the past days too, for the first page's lines
            self.stdout.write(f"{CUSTOMERS} invented customers are here.")
        try:
            if settings.EMAIL_HOST in ("127.0.0.1", "localhost"):
                self.send()
            else:
                self.stdout.write("EMAIL_URL names a mail server elsewhere: the demo sends nothing to it.")
        finally:
            if passwords:  # last, where they are found
                self.stdout.write(f"One-time passwords, each to be changed at the first sign-in:\n{passwords}")

    def publish_policy(self):
        """Publish two versions, of which the second asks anew who agreed to surveys."""
        if PolicyVersion.objects.exists():
            return
        real = {"vi": POLICY_FILE.read_text(encoding="utf-8-sig")} if POLICY_FILE.exists() else None
        self.publish(1, {language: text.format(change="") for language, text in POLICY.items()})
        changed = real or {language: text.format(change=CHANGE[language]) for language, text in POLICY.items()}
        self.publish(2, changed, severity="major", changes=["surveys"])

    def publish(self, number, texts, **severity):
        for language, text in texts.items():
            with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                last = {"publish": True} if language == list(texts)[-1] else {}
                call_command("load_policy", file.name, number=number, language=language, stdout=StringIO(), **last, **severity)

    def hire(self):
        """Make one person of each role, so that each can be tried; return their one-time passwords, a line each."""
        said = StringIO()
        for username, role in STAFF.items():
            if not Staff.objects.filter(username=username).exists():
                call_command("create_staff", username, role=[role], stdout=said)
        return said.getvalue()

    def enrol(self, rng):
        now, today = timezone.now(), timezone.localdate()
        customers = [self.customer(rng, number, today) for number in range(1, CUSTOMERS + 1)]
        Customer.objects.enrol(customers, by=None, source="demo")
        Service.objects.enrol([s for c in customers for s in self.services(rng, c, today)], by=None, source="demo")
        policy, purposes = PolicyVersion.objects.published().last(), list(Purpose.objects.filter(legal_basis="consent"))
        events = [e for number, c in enumerate(customers, 1) for e in self.consents(rng, number, c, purposes, policy, now)]
        Evidence.objects.bulk_create([e.evidence for e in events if e.evidence])
        ConsentEvent.objects.record(events, by=None)

    def customer(self, rng, number, today):
        ended, state = rng.random() < 0.06, rng.choices(["verified", "unverified", "bouncing"], [92, 5, 3])[0]
        told = number <= demo.CAST
        return Customer(
            ref=f"DEMO-{number:04d}",
            full_name=f"{rng.choice(FAMILIES)} {rng.choice(MIDDLES)} {rng.choice(GIVEN)}",
            email=f"khach{number:04d}@example.{'com' if told else rng.choice(['com', 'net', 'org'])}",
            phone=f"+8490{rng.randrange(10**7):07d}" if told or rng.random() < 0.9 else None,
            address=f"{rng.randrange(1, 300)} {rng.choice(STREETS)}, {rng.choice(['Hà Nội', 'Đà Nẵng', 'TP. Hồ Chí Minh'])}",
            locale=rng.choices(["vi", "en"], [9, 1])[0],
            association="ended" if ended and not told else "active",
            association_ended_on=today - timedelta(days=rng.randrange(1, 400)) if ended and not told else None,
            email_state="verified" if told else state,
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

    def consents(self, rng, number, customer, purposes, policy, now):
        """Yield what a customer said in the earlier system, which the first policy was shown in."""
        for purpose in purposes:
            said = demo.said_by(number, purpose) if number <= demo.CAST else self.at_random(rng)
            for days, event, source in said:
                yield ConsentEvent(
                    customer=customer, purpose=purpose, channel=Channel.EMAIL, event=event, at=now - timedelta(days=days), source=source,
                    policy_version=policy, shown_digest=policy.shown_digest(customer.locale), by=actor(None),
                    evidence=Evidence(customer=customer, text=f"phiếu {rng.randrange(10**6)}"),
                )  # fmt: skip

    def at_random(self, rng):
        days, said = rng.randrange(30, 300), rng.choices(["", "g", "gw", "r"], [4, 5, 2, 1])[0]
        for letter in said:
            event = {"g": Event.GIVEN, "w": Event.WITHDRAWN, "r": Event.REFUSED}[letter]
            yield days, event, Source.SIGNUP_FORM if letter == "g" else Source.PHONE_CALL
            days -= rng.randrange(1, 29)

    def send(self):
        """Send the renewal notices that are due and one promotion, and half of a second; print who got what, and who did not and why."""
        self.report("Renewal notices", "send_renewals", wait=True)
        with tempfile.TemporaryDirectory() as folder:
            body = Path(folder) / "body.md"
            body.write_text(PROMOTION, encoding="utf-8")
            self.report(
                "One promotion", "send_campaign", purpose="promotions", subject="Giảm 20 % cho gói lưu trữ mới", body=body,
                created_by="marketer", approved_by="approver", wait=True,
            )  # fmt: skip
        if not Campaign.objects.filter(purpose__code="product_news").exists():
            demo.half_way()
            demo.come_in(Campaign.objects.get(purpose__code="promotions"))
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
