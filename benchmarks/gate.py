"""Measures the gate in an office of half a million: decisions a second a core, one decision, and its number of queries."""

import argparse
import json
import random
import statistics
import sys
import time

from database import own_database
from django.db import connection
from django.test.utils import CaptureQueriesContext

GOALS = {"chunks_of_50": 15_000, "chunks_of_500": 50_000, "one_ms": 3}  # decisions a second a core; milliseconds
ASKED = ("promotions", "email")
FILL = """
SELECT set_config('session_replication_role', 'replica', false) WHERE current_setting('is_superuser') = 'on';
INSERT INTO customers_customer (ref, public_id, full_name, email, phone, address, email_index, phone_index, last4_index, name_index,
                                locale, association, email_state, password)
SELECT 'B' || n, gen_random_uuid(), 'token', 'token', 'token', 'token', decode(md5('e' || n), 'hex'), decode(md5('p' || n), 'hex'),
       decode(md5('4' || n % 10000), 'hex'), ARRAY[n % 5000, n % 700], 'vi', CASE WHEN n % 20 = 0 THEN 'ended' ELSE 'active' END,
       CASE WHEN n % 33 = 0 THEN 'bouncing' WHEN n % 50 = 0 THEN 'unverified' ELSE 'verified' END, ''
  FROM generate_series(1, {customers}) n;
INSERT INTO consent_policyversion (number, severity, text_vi, text_en, summary_vi, summary_en, published_at, digest)
VALUES (1, 'minor', 'x', 'x', '', '', now(), 'x');
INSERT INTO consent_consentevent (customer_id, purpose_id, channel, event, at, source, policy_version_id, shown_digest, by)
SELECT c.id, p.id, 'email', (ARRAY['given', 'given', 'given', 'given', 'refused', 'withdrawn'])[1 + (c.id + p.id * 7) % 6],
       now() - interval '1 hour' * (c.id % 9999), 'import', v.id, '', 'system'
  FROM (SELECT * FROM consent_purpose WHERE legal_basis = 'consent' ORDER BY code = 'promotions' DESC, id) p, customers_customer c,
       consent_policyversion v
 LIMIT {consents};
INSERT INTO consent_consentstate (customer_id, purpose_id, channel, state, at, event_id, policy_version_id)
SELECT customer_id, purpose_id, channel, event, at, id, policy_version_id FROM consent_consentevent;
INSERT INTO consent_suppression (digest, purpose_id, channel, since)
SELECT c.email_index, s.purpose_id, s.channel, s.at FROM consent_consentstate s JOIN customers_customer c ON c.id = s.customer_id
 WHERE s.state IN ('refused', 'withdrawn');
INSERT INTO consent_advertisingcontacts (customer_id, channel, times)
SELECT id, 'email', ARRAY[now() - interval '2 hours', now() - interval '30 hours'] FROM customers_customer WHERE id % 3 = 0;
INSERT INTO customers_emailhold (customer_id, reason, rule, placed_at) SELECT id, 'x', '', now() FROM customers_customer WHERE id % 100 = 0;
SELECT set_config('session_replication_role', 'origin', false) WHERE current_setting('is_superuser') = 'on';
"""


def fill(customers, consents):
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(customers=customers, consents=consents))
        cursor.execute("VACUUM ANALYZE")


def a_second(chunks):
    """Return decisions a second of this process's CPU time, and of the clock."""
    clock, cpu = time.perf_counter(), time.process_time()
    decided = sum(len(gate.decide(chunk, *ASKED)) for chunk in chunks)
    return round(decided / (time.process_time() - cpu)), round(decided / (time.perf_counter() - clock))


def measure(ids, decisions):
    def chunks(size, count):
        return [random.sample(ids, size) for _ in range(count)]

    def milliseconds(pk):
        start = time.perf_counter()
        gate.decide([pk], *ASKED)
        return (time.perf_counter() - start) * 1000

    a_second(chunks(500, 20))  # warm up
    result = {}
    for size in (50, 500):
        result[f"chunks_of_{size}"], result[f"chunks_of_{size}_wall"] = a_second(chunks(size, decisions // size))
    times = sorted(milliseconds(pk) for pk in random.sample(ids, 1000))
    result["one_ms"], result["one_ms_p95"] = round(statistics.median(times), 2), round(times[950], 2)
    for size in (1, 500):
        with CaptureQueriesContext(connection) as captured:
            gate.decide(random.sample(ids, size), *ASKED)
        result[f"queries_of_{size}"] = len(captured)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=500_000)
    parser.add_argument("--consents", type=int, default=2_000_000)
    parser.add_argument("--decisions", type=int, default=100_000)
    options = parser.parse_args()
    with own_database():
        global gate
        from consent import gate
        from customers.models import Customer

        fill(options.customers, options.consents)
        ids = list(Customer.objects.values_list("pk", flat=True))
        result = measure(ids, options.decisions)
    reached = (
        result["chunks_of_50"] >= GOALS["chunks_of_50"]
        and result["chunks_of_500"] >= GOALS["chunks_of_500"]
        and result["one_ms"] <= GOALS["one_ms"]
        and result["queries_of_1"] == result["queries_of_500"]
    )
    print(json.dumps({"benchmark": "gate", "customers": len(ids), "consents": options.consents, **result, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
