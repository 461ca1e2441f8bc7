"""Measures a campaign through Celery against raw smtplib and django-post_office, on one sink and in one run."""

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from database import ROOT, own_database
from django.db import connection

PROCESSES = 4
GOALS = {"plain": 0.65, "pipelined": 1.1, "post_office": 8, "rss_mb": 150, "rtt": 0.9}
HERE = Path(__file__).parent
BODY = "Kính gửi {full_name},\n\n" + "**Giảm giá** cho quý khách, [xem tại đây](https://anbinh.example/uu-dai).\n\n" * 6 + "{company}"
FILL = """
SELECT set_config('session_replication_role', 'replica', false) WHERE current_setting('is_superuser') = 'on';
INSERT INTO customers_customer (ref, public_id, full_name, email, email_index, name_index, locale, association, email_state, password)
SELECT 'B' || n, gen_random_uuid(), f, e, decode(md5('e' || n), 'hex'), ARRAY[n %% 5000], 'vi', 'active', 'verified', ''
  FROM unnest(%s::int[], %s::text[], %s::text[]) AS v(n, f, e);
INSERT INTO consent_policyversion (number, severity, text_vi, text_en, summary_vi, summary_en, published_at, digest)
VALUES (1, 'minor', 'x', 'x', '', '', now(), 'x');
INSERT INTO consent_consentevent (customer_id, purpose_id, channel, event, at, source, policy_version_id, shown_digest, by)
SELECT c.id, p.id, 'email', 'given', now() - interval '1 day', 'import', v.id, '', 'system'
  FROM consent_purpose p, customers_customer c, consent_policyversion v WHERE p.code = 'promotions';
INSERT INTO consent_consentstate (customer_id, purpose_id, channel, state, at, event_id, policy_version_id)
SELECT customer_id, purpose_id, channel, event, at, id, policy_version_id FROM consent_consentevent;
UPDATE consent_channelrule SET cap = 1000 WHERE channel = 'email';
SELECT set_config('session_replication_role', 'origin', false) WHERE current_setting('is_superuser') = 'on';
"""


@contextmanager
def sink(*options):
    with subprocess.Popen([sys.executable, HERE / "mail_sink.py", *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def round_trip(port):
    """Return the seconds from a command to its answer as this sink makes them: its clock is late by up to a millisecond."""
    times = []
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for _ in range(50):
            began = time.perf_counter()
            smtp.noop()
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def taken(port):
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        return int(smtp.docmd("XTKN")[1])


def fill(count):
    """Make customers who consented, each with a name and an address of their own, encrypted."""
    numbers = list(range(count))
    name, address = (Customer._meta.get_field(field) for field in ("full_name", "email"))
    names, addresses = [name.sealed(f"Nguyễn Thị Ánh {n}") for n in numbers], [address.sealed(f"khach{n}@example.org") for n in numbers]
    with connection.cursor() as cursor:
        for number, statement in enumerate(filter(str.strip, FILL.split(";\n"))):
            cursor.execute(statement, [numbers, names, addresses] if number == 1 else None)
        cursor.execute("VACUUM ANALYZE")


def staff(name):
    return Staff.objects.get_or_create(username=name, defaults={"is_staff": True, "password": "!"})[0]


def campaign(subject):
    made = Campaign(purpose=Purpose.objects.get(code="promotions"), subject=subject, body=BODY)
    made.draft(by=staff("marta"))
    made.ask_dry_run(by=made.created_by).count()
    made.approve(by=staff("albert"))
    return made


def _raw(port, count, data, start, done):
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        start.wait()
        for number in range(count):
            smtp.sendmail("a@example.org", f"khach{number}@example.org", data)
    done.put(time.perf_counter())


def raw(port, count, data):
    """Return messages a second of smtplib alone, in as many processes, with one prepared message."""
    start, done = multiprocessing.Barrier(PROCESSES + 1), multiprocessing.Queue()
    family = [multiprocessing.Process(target=_raw, args=(port, count // PROCESSES, data, start, done)) for _ in range(PROCESSES)]
    for member in family:
        member.start()
    start.wait()
    began = time.perf_counter()
    ended = max(done.get() for _ in family)
    for member in family:
        member.join()
    return count // PROCESSES * PROCESSES / (ended - began)


@contextmanager
def worker(port, folder):
    environment = {**os.environ, "EMAIL_URL": f"smtp://127.0.0.1:{port}", "REMAP_SIGTERM": "SIGQUIT"}
    command = [sys.executable, "-m", "celery", "-A", "privacy_office", "worker", *tasks.QUEUES, "-c", str(PROCESSES), "-l", "ERROR"]
    with (Path(folder) / "worker.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        while not tasks.answers():
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def office(port, subject, folder):
    """Return messages a second of a whole campaign, from the first word to the workers to the last outcome, and the largest process."""
    made = campaign(subject)
    with worker(port, folder) as process:
        made.launch(by=staff("albert"))
        messages, before = Message.objects.filter(campaign=made), taken(port)
        begins = time.perf_counter()
        tasks.wake(PROCESSES)
        while messages.open().exists():
            time.sleep(0.05)
        seconds = time.perf_counter() - begins
        largest = max(child.memory_info().rss for child in process.children(recursive=True)) / 1024**2
    report = messages.report()
    assert report["sent"] == report["audience"] == taken(port) - before, report
    return report["sent"] / seconds, largest


def profile(port):
    """Print where the time of one process goes."""
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    made, profiler = campaign("đo"), cProfile.Profile()
    made.launch(by=staff("albert"))
    start = time.process_time()
    profiler.runcall(postman.drain, 3600)
    sent = Message.objects.filter(campaign=made, state="sent").count()
    print(f"{sent / (time.process_time() - start):.0f} messages a second of this process, profiled", file=sys.stderr)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(60)


def post_office(python, port, count, mail):
    """Return messages a second of django-post_office in a database of its own."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE " + (name := f"post_office_{os.getpid()}"))
    address = os.environ["DATABASE_URL"].replace(connection.settings_dict["NAME"], name)
    try:
        done = subprocess.run(
            [python, HERE / "mail_post_office.py", str(port), str(count)], env={**os.environ, "DATABASE_URL": address},
            input=f"{mail.body}\0{mail.alternatives[0].content}", stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def measure(options, folder):
    result = {}
    sample = Skeleton._sample(Message(campaign=campaign("mẫu"), purpose=Purpose.objects.get(code="promotions")), "vi")
    mail = letters.build(*sample, ChannelRule.objects.get(channel="email"))
    data = mail.message().as_bytes(linesep="\r\n")
    away = ["--rtt", str(options.rtt)] if options.rtt else []
    with sink(*away) as plain, sink("--pipelining", *away) as pipelined:
        if options.profile:
            profile(pipelined)
        if options.rtt:
            result["trip_ms"] = round_trip(plain) * 1000
        else:
            result["raw"] = raw(plain, options.messages, data)
        result["plain"], result["rss_mb"] = office(plain, "lần một", folder)
        if not options.rtt:
            result["raw_again"] = raw(plain, options.messages, data)
        result["pipelined"], _ = office(pipelined, "lần hai", folder)
        if options.post_office:
            result["post_office"] = post_office(options.post_office, plain, min(options.messages, 2000), mail)
    return {name: round(value, 1) for name, value in result.items()} | {"bytes": len(data)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rtt", type=float, default=0, help="milliseconds to the mail server and back")
    parser.add_argument("--post-office", metavar="PYTHON", help="the python of an environment that has django-post_office and psycopg")
    parser.add_argument("--profile", action="store_true", help="say where the time of one process goes, first")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, own_database(durable=True):
        os.environ.update(MAIL_JOURNALS=f"{folder}/journals", LOG_LEVEL="ERROR")
        global Campaign, Message, Purpose, ChannelRule, Customer, Staff, Skeleton, letters, postman, settings, tasks
        from django.conf import settings

        from consent.models import ChannelRule, Purpose
        from customers.models import Customer
        from mailings import letters, postman, tasks
        from mailings.models import Campaign, Message
        from mailings.skeletons import Skeleton
        from privacy_office.models import Staff

        fill(options.messages)
        result = measure(options, folder)
        log = (Path(folder) / "worker.log").read_text()
        print(log[-2000:], file=sys.stderr)
    if options.rtt:
        trips = PROCESSES / (result["trip_ms"] / 1000)
        ratios = {"plain": result["plain"] / (trips / 4), "pipelined": result["pipelined"] / (trips / 2)}
        reached = all(ratio >= GOALS["rtt"] for ratio in ratios.values())
    else:
        r = (result["raw"] + result["raw_again"]) / 2
        ratios = {"plain": result["plain"] / r, "pipelined": result["pipelined"] / r}
        reached = ratios["plain"] >= GOALS["plain"] and ratios["pipelined"] >= GOALS["pipelined"] and result["rss_mb"] <= GOALS["rss_mb"]
        if options.post_office:
            ratios["post_office"] = result["plain"] / result["post_office"]
            reached = reached and ratios["post_office"] >= GOALS["post_office"]
    ratios = {name: round(value, 2) for name, value in ratios.items()}
    asked = {"benchmark": "mail", "messages": options.messages, "rtt": options.rtt}
    print(json.dumps({**asked, **result, "ratios": ratios, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
