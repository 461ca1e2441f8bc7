"""Measures the rotation of keys: customers a second of one core, each with history, a service and its history, and tokens a second.

A core's speed differs from machine to machine, so the same run counts Fernet encryptions too, and the goal is set in those.
"""

import argparse
import contextlib
import cProfile
import io
import json
import pstats
import sys
import time

from cryptography.fernet import Fernet, MultiFernet
from database import own_database
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from privacy_office import keys

# 5,000 customers a second on the core that makes 148,000 Fernet tokens of 12 to 25 bytes a second.
GOAL = 5_000 / 148_000  # customers for each token
TOKENS = 12  # of a customer: four values, a service's two, and the history of both


def fill(customers):
    """Enrol so many customers, each with a service, as an import does."""
    from customers.models import Customer, Service

    for first in range(0, customers, 2000):
        some = [
            Customer(
                ref=f"B{n}", full_name=f"Nguyễn Thị Bình {n}", email=f"khach{n}@example.com", phone=f"+8490{n:07d}",
                address=f"{n} Phố Ví Dụ, Hà Nội",
            )
            for n in range(first, min(first + 2000, customers))
        ]  # fmt: skip
        Customer.objects.enrol(some, by=None, source="benchmark")
        services = [
            Service(customer=c, product="Máy chủ ảo", plan="VPS 4", access_username=f"user{c.ref}", access_secret="an invented secret")
            for c in some
        ]
        Service.objects.enrol(services, by=None, source="benchmark")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def new_keys(*names):
    """Put a new key in front of the others, as an operator does and restarts."""
    from encrypted_model_fields import fields as library

    for name in names:
        setattr(settings, name, [keys.NAMES[name][0](), *getattr(settings, name)][:2])
    library.CRYPTER = library.get_crypter()


def run(customers, profile=None):
    """Rotate; return what it said, and customers a CPU second and a second of the clock."""
    said = io.StringIO()
    cpu, clock = time.process_time(), time.perf_counter()
    if profile:
        profile.enable()
    with contextlib.redirect_stderr(io.StringIO()):
        call_command("rotate_keys", stdout=said)
    if profile:
        profile.disable()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return json.loads(said.getvalue()), customers / cpu, customers / clock


def a_second(work, count=10_000):
    started = time.process_time()
    for _ in range(count):
        work()
    return count / (time.process_time() - started)


def speeds():
    """Return this core's Fernet encryptions a second, and turns of a token from a second key to the first."""
    new, old = Fernet(Fernet.generate_key()), Fernet(Fernet.generate_key())
    both, token = MultiFernet([new, old]), old.encrypt(b"customers.customer.email|khach0@example.com")
    return a_second(lambda: new.encrypt(b"khach0@example.com")), a_second(lambda: both.rotate(token))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="say where the time goes, also when the goal is reached")
    options = parser.parse_args()
    profile = cProfile.Profile()
    with own_database():
        fill(options.customers)
        before = speeds()
        new_keys("FIELD_ENCRYPTION_KEY")
        said, rate, wall = run(options.customers)
        encrypted, turned = ((one + other) / 2 for one, other in zip(before, speeds(), strict=True))
        reached = rate / encrypted >= GOAL and said["rotated"] == TOKENS * options.customers and not said["left"]
        new_keys("FIELD_ENCRYPTION_KEY", "BLIND_INDEX_KEY")
        _, both, _ = run(options.customers)
        if options.profile or not reached:
            new_keys("FIELD_ENCRYPTION_KEY")
            run(options.customers, profile)
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(20)
    result = {
        "customers": options.customers, "customers_a_cpu_second": round(rate), "customers_a_second": round(wall),
        "tokens_a_second": round(encrypted), "customers_a_token": round(rate / encrypted, 4), "goal": round(GOAL, 4),
        "turned_a_cpu_second": round(rate * TOKENS), "against_multifernet": round(rate * TOKENS / turned, 2),
        "with_index_key_customers_a_cpu_second": round(both), "with_index_key_customers_a_token": round(both / encrypted, 4),
    }  # fmt: skip
    print(json.dumps({"benchmark": "rotate", **result, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
