"""Measures what the audit trail costs: transactions with and without it, sealing, and verifying, on one database in one run."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from database import ROOT, own_database

GOALS = {"ratio": 0.90, "verified": 150_000, "seal_seconds": 1.0}
CLIENT = """
import json, sys, time
from collections import Counter
sys.path.insert(0, {root!r})
import django
django.setup()
from audit import models as audit
from customers.models import Customer
first, last = int(sys.argv[1]), int(sys.argv[2])
record, nothing = audit.record, lambda *args, **kwargs: None
customers = list(Customer.objects.order_by("pk")[first:last])
print("ready", flush=True)
began, done, n = float(sys.stdin.readline()), Counter(), 0
while (second := int(time.time() - began)) < {seconds}:
    audit.record = record if second % 2 else nothing
    customer = customers[n % len(customers)]
    customer.set_email_state(("verified", "bouncing")[n // len(customers) % 2], by=None, reason="benchmark")
    done[second] += 1
    n += 1
print(json.dumps(done), flush=True)
"""


def transactions(clients, seconds):
    """Return transactions of each second of `clients` processes that change customers of their own by the model's verb.

    Every other second is with audit, for all of them at once, so that whatever else the machine does falls on both.
    """
    code = CLIENT.format(root=str(ROOT), seconds=seconds)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(n * 20), str(n * 20 + 20)],
            env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for n in range(clients)
    ]  # fmt: skip
    for client in started:
        client.stdout.readline()
    began = time.time()
    for client in started:
        client.stdin.write(f"{began}\n")
        client.stdin.flush()
    done = [json.loads(client.communicate()[0]) for client in started]
    return [sum(client.get(str(second), 0) for client in done) for second in range(seconds)]


def enrol(count):
    Customer.objects.enrol(
        [Customer(ref=f"B{n}", full_name=f"Nguyễn {n}", email=f"b{n}@example.org", phone=f"+8490{n:07}") for n in range(count)],
        by=None,
        source="benchmark",
    )


def fill(entries):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_entry (actor, action, object, subject, clause, detail, kept, commitment) "
            "SELECT 'staff:' || n %% 40, 'message.sent', 'mailings.message:' || n, gen_random_uuid(), '§2.4', "
            """'{"reason": "allowed", "evidence": "consent.consentevent:123456", "reply": "250"}', '{}', '' """
            "FROM generate_series(1, %s) n",
            [entries],
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=60, help="how long the transactions go on, with and without audit in turn")
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    with own_database(durable=True), tempfile.TemporaryDirectory() as folder:
        global connection, Customer
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        from audit import sealing, verify_audit
        from customers.models import Customer

        settings.AUDIT_ANCHORS = str(Path(folder) / "anchors.jsonl")
        enrol(options.clients * 20)
        counts = transactions(options.clients, options.seconds)[2:]  # the first ones open connections
        without, with_audit = counts[::2], counts[1::2]
        sealing.seal()
        seal_seconds = []
        for _ in range(3):
            fill(20_000)
            began = time.perf_counter()
            sealing.seal()
            seal_seconds.append(time.perf_counter() - began)
        fill(options.entries)
        sealing.seal()
        export = Path(folder) / "export.jsonl"
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            call_command("export_audit", export, stdout=nowhere)
        began, cpu = time.perf_counter(), time.process_time()
        verifier = verify_audit.Verifier(sealing.public_keys(), sealing.anchors())
        with export.open("rb") as lines:
            said = verifier.read(lines).summary()
        cpu, began = time.process_time() - cpu, time.perf_counter() - began
    result = {
        "ratio": round(sum(with_audit) / sum(without), 3),
        "with_audit": round(statistics.median(with_audit)),
        "without": round(statistics.median(without)),
        "seal_seconds": round(max(seal_seconds), 3),
        "verified": round(said["entries"] / cpu),
        "verified_wall": round(said["entries"] / began),
        "entries": said["entries"],
    }
    reached = (
        said["ok"]
        and result["ratio"] >= GOALS["ratio"]
        and result["verified"] >= GOALS["verified"]
        and result["seal_seconds"] <= GOALS["seal_seconds"]
    )
    print(json.dumps({"benchmark": "audit", "clients": options.clients, **result, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
