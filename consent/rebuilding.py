"""Reads the ledger again and compares the states with it, or brings them into line. Refuses to trust a state: the events say what is so."""

from typing import NamedTuple

from django.db import connection, transaction

from audit import models as audit
from consent.models import ConsentEvent, ConsentState
from consent.models.ledger import RANK
from customers.models import Customer
from privacy_office.models import Staff, StaffNotice

BATCH = 5_000  # customers in one transaction
SHOWN = 20  # differences that are named

# What each state should be: of what was said last, the weightiest, and of those what was written down last.
SAID = """
SELECT DISTINCT ON (customer_id, purpose_id, channel) customer_id, purpose_id, channel, event, at, id, policy_version_id
  FROM {event} WHERE customer_id > %(after)s AND customer_id <= %(until)s
 ORDER BY customer_id, purpose_id, channel, at DESC, array_position(%(rank)s::text[], event::text) DESC, id DESC
"""
DIFFERENT = f"""
WITH said AS ({SAID}), there AS (SELECT * FROM {{state}} WHERE customer_id > %(after)s AND customer_id <= %(until)s)
SELECT COALESCE(said.customer_id, there.customer_id), COALESCE(said.purpose_id, there.purpose_id), COALESCE(said.channel, there.channel)
  FROM said FULL JOIN there USING (customer_id, purpose_id, channel)
 WHERE (COALESCE(said.event, 'unknown'), said.at, said.id, said.policy_version_id)
       IS DISTINCT FROM (COALESCE(there.state, 'unknown'), there.at, there.event_id, there.policy_version_id)
 ORDER BY 1, 2, 3
"""
# Whoever says something now waits for these rows, or has committed before they are read again.
MAKE = f"""
INSERT INTO {{state}} (customer_id, purpose_id, channel, state)
SELECT customer_id, purpose_id, channel, 'unknown' FROM ({SAID}) said ON CONFLICT DO NOTHING
"""
LOCK = "SELECT count(*) FROM (SELECT 1 FROM {state} WHERE customer_id > %(after)s AND customer_id <= %(until)s ORDER BY id FOR UPDATE) rows"
MEND = f"""
WITH said AS ({SAID})
UPDATE {{state}} there
   SET state = COALESCE(said.event, 'unknown'), at = said.at, event_id = said.id, policy_version_id = said.policy_version_id
  FROM {{state}} me LEFT JOIN said USING (customer_id, purpose_id, channel)
 WHERE me.id = there.id AND there.customer_id > %(after)s AND there.customer_id <= %(until)s
   AND (COALESCE(said.event, 'unknown'), said.at, said.id, said.policy_version_id)
       IS DISTINCT FROM (there.state, there.at, there.event_id, there.policy_version_id)
"""
NAMES = {"event": ConsentEvent._meta.db_table, "state": ConsentState._meta.db_table}


class Found(NamedTuple):
    customers: int
    differences: int
    named: list  # the first of them, as customer:purpose:channel by their numbers


def batches():
    """Yield (after, until, how many customers) in order of their numbers."""
    after = 0
    while ids := list(Customer.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield after, ids[-1], len(ids)
        after = ids[-1]


def _run(cursor, statement, after, until):
    cursor.execute(statement.format(**NAMES), {"after": after, "until": until, "rank": [str(event) for event in RANK]})


def compare(progress=None):
    """Return what differs, and write nothing."""
    return _through(progress, mend=False)


def rebuild(*, by, progress=None):
    """Bring every state that differs into line, with an entry for each batch that had one; return what differed."""
    return _through(progress, mend=True, by=by)


def _through(progress, *, mend, by=None):
    customers, differences, named = 0, 0, []
    for after, until, count in batches():
        with transaction.atomic(), connection.cursor() as cursor:
            if mend:
                _run(cursor, MAKE, after, until)
                made = cursor.rowcount
                _run(cursor, LOCK, after, until)
            _run(cursor, DIFFERENT, after, until)
            found = cursor.fetchall()
            if mend and (found or made):
                _run(cursor, MEND, after, until)
                audit.record("consent.rebuild", by=by, clause="§2.4", after=after, until=until, states=len(found))
        customers, differences = customers + count, differences + len(found)
        named += [":".join(map(str, key)) for key in found[: SHOWN - len(named)]]
        if progress:
            progress(count)
    return Found(customers, differences, named)


def compare_and_tell(*, by):
    """Compare, leave the entry, and alarm the officers where the states are not what the ledger says; return what was found."""
    found = compare()
    with transaction.atomic():
        if found.differences:
            StaffNotice.objects.tell(Staff.objects.in_role("officer"), StaffNotice.Kind.CONSENT_DIFFERS)
        audit.record("consent.compare", by=by, clause="§2.4", **found._asdict())
    return found
