"""Makes an untidy export, as a company's system writes it, and reads it plainly: who may get what is told by the files alone."""

import csv
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

FAMILIES = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý"]
MIDDLES = ["Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc", "Thanh", "Quang", "Thu", "Xuân"]
GIVEN = [
    "An",
    "Bình",
    "Chi",
    "Dũng",
    "Giang",
    "Hà",
    "Hạnh",
    "Hiếu",
    "Hoa",
    "Khánh",
    "Lan",
    "Long",
    "Mai",
    "Nam",
    "Phúc",
    "Sơn",
    "Trang",
    "Tú",
]
FORMULAS = ['=HYPERLINK("https://example.net","x")', "@SUM(1+1)*cmd|' /C calc'!A0", "+84=1", "-2+3"]
MOBILE = ["90", "91", "93", "96", "97", "98", "32", "33", "35", "38", "70", "79", "86"]  # prefixes in use
PURPOSES = ["promotions", "service_renewal", "product_news"]
BAD_ADDRESSES = [
    "khong-phai-dia-chi",
    "a@@example.com",
    "hai dau@example.com",
    "@example.com",
    "ten@",
    "ten@-example-.com",
    "a@example..com",
]
BAD_PHONES = ["12345", "không có", "0123", "+84 12"]


def spelt(number, rng):
    """Return the nine digits of a Vietnamese mobile in one of the spellings that exports hold."""
    a, b, c = number[:2], number[2:5], number[5:]
    return rng.choice(
        [f"0{number}", f"84{number}", f"+84 {a} {b} {c}", f"0{a}.{b}.{c}", f" 0{a} {b} {c} ", f"+84{number}", f"0{a}-{b}-{c}"]
    )


@dataclass
class Export:
    """What a plain reading of the written files says."""

    taken: dict = field(default_factory=dict)  # ref: {"email", "phone", "full_name", "ended"}
    rejected: int = 0
    personal: set = field(default_factory=set)  # every address, number, name and secret in the files
    consents: dict = field(default_factory=dict)  # (ref, purpose): (moment, granted)
    expiring: dict = field(default_factory=dict)  # ref: [days until expiry]

    def allowed(self, purpose):
        return {
            ref for ref, customer in self.taken.items() if not customer["ended"] and self.consents.get((ref, purpose), (None, False))[1]
        }


def write(folder, rows, today, seed=1):
    """Write customers.csv, services.csv and consents.csv of `rows` customers into `folder`; return the Export they make."""
    rng, export, owners = random.Random(seed), Export(), {}
    names = ["ref", "full_name", "email", "phone", "address", "locale", "association", "association_ended_on"]
    with (folder / "customers.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(names)
        for number in range(rows):
            ref, address, reject = f"KH{number:06d}", f"khach{number}.{rng.randrange(10**6)}@example{number % 7}.com", False
            if number % 97 == 5 and owners:
                address, reject = rng.choice(list(owners)), True  # another customer has it already
            if number % 101 == 7:
                address, reject = rng.choice(BAD_ADDRESSES), True
            phone = f"{rng.choice(MOBILE)}{rng.randrange(10**7):07d}" if number % 9 else ""
            written_phone = spelt(phone, rng) if phone else ""
            if number % 113 == 11:
                written_phone, reject = rng.choice(BAD_PHONES), True
            name = f"{rng.choice(FAMILIES)} {rng.choice(MIDDLES)} {rng.choice(GIVEN)}{number}"
            if number % 211 == 3:
                name = rng.choice(FORMULAS) + f" {name}"
            ended = number % 17 == 2
            spoilt = "".join(rng.choice([c.upper(), c]) for c in address) if not reject else address
            spoilt = rng.choice(["", " ", "\ufeff"]) + spoilt + rng.choice(["", "  "])
            street = f"{number} Phố Thử Nghiệm {rng.randrange(10**5)}, Hà Nội"
            row = [
                ref,
                name,
                spoilt,
                written_phone,
                street,
                rng.choice(["vi", "en", "", "VI"]),
                "ended" if ended else rng.choice(["active", ""]),
            ]
            writer.writerow([*row, str(today - timedelta(days=30)) if ended else ""])
            if reject:
                export.rejected += 1
                continue
            owners[address] = ref
            export.taken[ref] = {"email": address, "phone": phone, "full_name": name, "ended": ended}
            export.personal |= {address, name, street} | ({phone} if phone else set())
    _write_services(folder, rng, export, today)
    _write_consents(folder, rng, export, today)
    return export


def _write_services(folder, rng, export, today):
    with (folder / "services.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["customer_ref", "service", "plan", "started_on", "expires_on", "access_username", "access_secret"])
        for index, ref in enumerate(export.taken):
            for number in range(index % 3):
                days = rng.choice([30, 7, 1, 0, 2, 8, 15, 29, 31, 90, -3])
                secret, username = f"bí-mật-{rng.randrange(10**12)}", f"user-{ref.lower()}-{number}"
                started = today - timedelta(days=300 + number)
                writer.writerow([ref, f"Cloud {number}", f"P{number}", started, today + timedelta(days=days), username, secret])
                export.expiring.setdefault(ref, []).append(days)
                export.personal |= {secret, username}
        writer.writerow(["KH-KHONG-CO", "Cloud", "P", "", today, "", ""])
        writer.writerow([next(iter(export.taken)), "Cloud", "P", "", "30/02/2026", "", ""])


def _write_consents(folder, rng, export, today):
    start, rows = datetime(2026, 1, 1, 9), []
    for ref in export.taken:
        for purpose in PURPOSES:
            said, moments = rng.choice(["", "g", "gw", "gwg", "r", "wg", "g"]), start
            for letter in said:
                moments += timedelta(days=rng.randrange(1, 60), minutes=rng.randrange(600))
                decision = {"g": "granted", "w": "withdrawn", "r": "refused"}[letter]
                rows.append([ref, purpose, "email", decision, moments.isoformat(), "signup_form", "1", f"form {rng.randrange(10**6)}"])
                export.consents[ref, purpose] = (moments, letter == "g")
    rng.shuffle(rows)
    rows += [
        ["KH-KHONG-CO", "promotions", "email", "granted", "2026-01-02", "signup_form", "1", ""],
        [rows[0][0], "no_such_purpose", "email", "granted", "2026-01-02", "signup_form", "1", ""],
        [rows[0][0], "promotions", "fax", "granted", "2026-01-02", "signup_form", "1", ""],
        [rows[0][0], "promotions", "email", "maybe", "2026-01-02", "signup_form", "1", ""],
        [rows[0][0], "promotions", "email", "granted", "yesterday", "signup_form", "1", ""],
        [rows[0][0], "promotions", "email", "granted", "2026-01-02", "rumour", "1", ""],
        [rows[0][0], "promotions", "email", "granted", "2026-01-02", "signup_form", "99", ""],
    ]
    with (folder / "consents.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["customer_ref", "purpose", "channel", "decision", "decided_at", "source", "policy_version", "evidence"])
        writer.writerows(rows)
