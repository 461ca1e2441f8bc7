"""Measures consent: preference changes a second on two workers, reading the ledger again, and a decision of a past moment."""

import argparse
import cProfile
import json
import os
import pstats
import random
import resource
import statistics
import sys
import time
from datetime import timedelta

from database import own_database
from django.db import connection

GOALS = {"changes": 1_000, "rebuild_seconds_of_a_million": 600, "past_ms": 10}
FILL = """
SELECT set_config('session_replication_role', 'replica', false) WHERE current_setting('is_superuser') = 'on';
INSERT INTO customers_customer (ref, public_id, full_name, email, phone, address, email_index, phone_index, last4_index, name_index,
                                locale, association, email_state, password)
SELECT 'B' || n, gen_random_uuid(), 'token', 'token', NULL, 'token', decode(md5('e' || n), 'hex'), NULL, NULL, ARRAY[n % 5000],
       'vi', 'active', 'verified', ''
  FROM generate_series(1, {customers}) n;
INSERT INTO customers_historicalcustomer (id, ref, public_id, full_name, email, locale, association, email_state, history_date,
                                          history_type, history_change_reason, salt)
SELECT id, ref, public_id, full_name, '{token}', locale, association, email_state, now() - interval '400 days', '+', 'x', '\\x00'
  FROM customers_customer;
INSERT INTO consent_policyversion (number, severity, text_vi, text_en, summary_vi, summary_en, published_at, digest)
VALUES (1, 'minor', 'x', 'x', '', '', now() - interval '400 days', 'x');
INSERT INTO consent_consentevent (customer_id, purpose_id, channel, event, at, source, policy_version_id, shown_digest, by, recorded_at)
SELECT c.id, p.id, 'email', (ARRAY['given', 'renewed', 'withdrawn', 'refused'])[1 + (c.id + p.id + n) % 4],
       now() - interval '1 day' * (300 - n * 50 - c.id % 40), 'import', v.id, '', 'system',
       now() - interval '1 day' * (300 - n * 50 - c.id % 40)
  FROM generate_series(0, 4) n, (SELECT * FROM consent_purpose WHERE legal_basis = 'consent' ORDER BY id) p, customers_customer c,
       consent_policyversion v;
SELECT set_config('session_replication_role', 'origin', false) WHERE current_setting('is_superuser') = 'on';
"""


def fill(customers):
    """Make customers who said something of five purposes five times each."""
    address = Customer._meta.get_field("email")
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(customers=customers, token=address.sealed("b@example.org")))
        cursor.execute("VACUUM ANALYZE")


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def rebuilt():
    """Return seconds and megabytes that it took to make every state anew, and then to compare them."""
    before, start = memory(), time.perf_counter()
    found = rebuilding.rebuild(by=None)
    made, start = time.perf_counter() - start, time.perf_counter()
    assert found.differences == ConsentState.objects.count()
    assert rebuilding.compare().differences == 0
    return found.differences, made, time.perf_counter() - start, memory() - before


def past_ms(ids):
    def once(pk):
        start = time.perf_counter()
        past.look_back(pk, "promotions", "email", timezone.now() - timedelta(days=random.randint(1, 250)))
        return (time.perf_counter() - start) * 1000

    times = sorted(once(pk) for pk in random.sample(ids, min(1000, len(ids))))
    return round(statistics.median(times), 2), round(times[len(times) * 95 // 100], 2)


def change(ids, seconds):
    """Change preferences, one customer's at a time, for so many seconds; return how many."""
    promotions, policy, done, end = Purpose.objects.get(code="promotions"), PolicyVersion.objects.get(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        customer = Customer.objects.only("pk", "public_id", "locale").get(pk=random.choice(ids))
        said = {"by": customer, "source": Source.PREFERENCE_PAGE, "policy": policy}
        ConsentEvent.objects.say(customer, {(promotions, Channel.EMAIL): done % 2 == 0}, **said)
        done += 1
    return done


def a_second(ids, seconds, workers=2):
    """Return changes a second of so many processes at once."""
    pipes, halves = [], [ids[n::workers] for n in range(workers)]
    connection.close()
    for half in halves:
        reader, writer = os.pipe()
        if not os.fork():
            try:
                random.seed(os.getpid())
                os.write(writer, str(change(half, seconds)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        pipes.append(reader)
    done = [int(os.read(pipe, 100) or 0) for pipe in pipes]
    for _ in pipes:
        os.wait()
    return round(sum(done) / seconds)


def bare_a_second(ids, seconds):
    """Return how many transactions a second of as many plain statements, without the office's code, one process does."""
    table, done, end = ConsentState._meta.db_table, 0, time.monotonic() + seconds
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            with transaction.atomic():
                for _ in range(9):
                    cursor.execute(f"SELECT id FROM {table} WHERE customer_id = %s", [random.choice(ids)])
                cursor.execute(f"UPDATE {table} SET at = at WHERE customer_id = %s", [random.choice(ids)])
            done += 1
    return round(done / seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200_000, help="each has 5 states and 25 events")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--profile", action="store_true", help="say where the time of a change goes")
    options = parser.parse_args()
    with own_database():
        global timezone, transaction, past, rebuilding, Channel, ConsentEvent, ConsentState, PolicyVersion, Purpose, Source, Customer
        from django.db import transaction
        from django.utils import timezone

        from consent import past, rebuilding
        from consent.models import Channel, ConsentEvent, ConsentState, PolicyVersion, Purpose, Source
        from customers.models import Customer
        from privacy_office import celery

        celery.wake = lambda task: None  # there is no broker here
        fill(options.customers)
        ids = list(Customer.objects.values_list("pk", flat=True))
        states, made, compared, grown = rebuilt()
        median, most = past_ms(ids)
        bare = bare_a_second(ids, 3)
        changes = a_second(ids, options.seconds)
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(change, ids, options.seconds)
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    result = {
        "states": states, "events": 5 * states, "rebuild_seconds": round(made, 1), "compare_seconds": round(compared, 1),
        "rebuild_memory_grown_mb": grown, "rebuild_seconds_of_a_million": round(made * 1e6 / states, 1),
        "past_ms": median, "past_ms_p95": most, "changes": changes, "bare_transactions": bare,
        "changes_for_each_bare_transaction": round(changes / bare, 2),
    }  # fmt: skip
    reached = {
        "rebuild": result["rebuild_seconds_of_a_million"] <= GOALS["rebuild_seconds_of_a_million"],
        "past": median <= GOALS["past_ms"],
        "changes": changes >= GOALS["changes"],
    }
    print(json.dumps({"benchmark": "consent", "customers": len(ids), **result, "reached": reached}))
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
