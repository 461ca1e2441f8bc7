"""Measures the import: CSV rows a second of one core into encrypted, indexed, audited customers with history, and its memory.

A core's speed differs from machine to machine, so the same run counts Fernet encryptions too, and the goal is set in those.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.fernet import Fernet
from database import ROOT, own_database

# 3,000 rows a second on the core that makes 148,000 Fernet tokens of 12 to 25 bytes a second.
GOAL = 3_000 / 148_000  # rows for each token
FLAT = 1.15  # most memory that the large import may take, in terms of the small one's


def write(path, rows, prefix):
    rng = random.Random(1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ref", "full_name", "email", "phone", "address", "locale", "association", "association_ended_on"])
        for n in range(rows):
            name = f"Nguyễn Thị {rng.choice(['An', 'Bình', 'Chi', 'Dung', 'Giang', 'Hà'])} {n}"
            phone = f"09{rng.choice('016789')}{rng.randrange(10**7):07d}"
            writer.writerow([f"{prefix}{n}", name, f"{prefix}{n}@example.com", phone, f"{n} Phố Ví Dụ, Hà Nội", "vi", "active", ""])


def run(path):
    """Import a file in a process of its own; return rows taken, its CPU seconds, wall seconds and most memory in MB."""
    command = [sys.executable, ROOT / "manage.py", "import_customers", "--customers", path]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the import ended with {process.returncode}")
    taken = json.loads(said.splitlines()[-1])["customers"]["created"]
    return taken, usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024


def tokens_a_second():
    fernet, count = Fernet(Fernet.generate_key()), 20_000
    started = time.process_time()
    for _ in range(count):
        fernet.encrypt(b"khach0@example.com")
    return count / (time.process_time() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--few", type=int, default=10_000, help="the import that its memory is compared with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.csv", Path(folder) / "many.csv"
        write(few, options.few, "few")
        write(many, options.rows, "many")
        with own_database():
            _, _, _, small = run(few)
            before = tokens_a_second()
            taken, cpu, wall, large = run(many)
            tokens = (before + tokens_a_second()) / 2
    rate = taken / cpu
    result = {
        "rows": taken, "rows_a_cpu_second": round(rate), "rows_a_second": round(taken / wall), "tokens_a_second": round(tokens),
        "rows_a_token": round(rate / tokens, 4), "goal": round(GOAL, 4), "mb": round(large), "mb_of_few": round(small),
    }  # fmt: skip
    reached = rate / tokens >= GOAL and large / small <= FLAT
    print(json.dumps({"benchmark": "import", **result, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
