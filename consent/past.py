"""What the gate would have answered at a past moment, by what is kept of it. Refuses to guess: what cannot be known any more is said."""

from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from consent import gate
from consent.gate import DAY, Decision, Facts, Terms
from consent.models import STOPS, AdvertisingContacts, Channel, ChannelRule, ConsentEvent, Purpose, Suppression
from consent.models.ledger import RANK
from customers.models import Customer
from privacy_office.fields import blinds

# Of a row's history: what held at the moment, else the first that was written down.
OF_THEN = "ORDER BY (h.history_date <= %(at)s) DESC, abs(extract(epoch FROM h.history_date - %(at)s)), h.history_id DESC LIMIT 1"
TERMS = f"""
SELECT {{of_purpose}}, (SELECT max(v.number) FROM {{policy}} v JOIN {{changes}} x ON x.policyversion_id = v.id
                         WHERE x.purpose_id = now.id AND v.severity = 'major' AND v.published_at <= %(at)s),
       {{of_rule}}, GREATEST(p.history_date, r.history_date)
  FROM {{purpose}} now
  JOIN LATERAL (SELECT * FROM {{purpose_history}} h WHERE h.id = now.id {OF_THEN}) p ON true
  LEFT JOIN LATERAL (SELECT * FROM {{rule_history}} h WHERE h.channel = %(channel)s {OF_THEN}) r ON true
 WHERE now.code = %(purpose)s
"""
FACTS = f"""
SELECT c.id, c.ref, was.history_date, was.erased_at IS NOT NULL, was.restricted_at IS NOT NULL, was.association, was.email_state,
       was.{{kind}}, was.salt IS NULL, h.id, e.event, e.id, p.number, e.recorded_at, e.at, a.times,
       (SELECT min(first.at) FROM {{event}} first WHERE first.customer_id = c.id)
  FROM {{customer}} c
  JOIN LATERAL (SELECT * FROM {{customer_history}} h WHERE h.id = c.id {OF_THEN}) was ON true
  LEFT JOIN LATERAL (SELECT id FROM {{hold}} WHERE customer_id = c.id AND placed_at <= %(at)s
                        AND (released_at IS NULL OR released_at > %(at)s) LIMIT 1) h ON true
  LEFT JOIN LATERAL (SELECT * FROM {{event}}
                      WHERE customer_id = c.id AND purpose_id = %(purpose)s AND channel = %(channel)s AND at <= %(at)s
                      ORDER BY at DESC, array_position(%(rank)s::text[], event::text) DESC, id DESC LIMIT 1) e ON true
  LEFT JOIN {{policy}} p ON p.id = e.policy_version_id
  LEFT JOIN {{contacts}} a ON a.customer_id = c.id AND a.channel = %(channel)s
 WHERE c.id = %(id)s
"""
# A row keeps the latest refusal alone: of earlier ones the events of all who have the address tell.
SUPPRESSED = """
SELECT u.since, u.lifted_at, u.id FROM {suppression} u
 WHERE u.digest = ANY(%(digests)s) AND u.purpose_id = %(purpose)s AND u.channel = %(channel)s
UNION ALL
SELECT e.at, NULL, u.id
  FROM {suppression} u JOIN {customer} c ON c.{kind}_index = u.digest JOIN {event} e ON e.customer_id = c.id
 WHERE u.digest = ANY(%(digests)s) AND u.purpose_id = %(purpose)s AND u.channel = %(channel)s AND c.id <> %(id)s
   AND e.purpose_id = %(purpose)s AND e.channel = %(channel)s AND e.event = ANY(%(stops)s) AND e.at > %(yes)s AND e.at <= %(at)s
"""
NAMES = {
    **gate.NAMES, "event": ConsentEvent._meta.db_table,
    "of_purpose": ", ".join(f"p.{name}" for name in gate.OF_PURPOSE), "of_rule": ", ".join(f"r.{name}" for name in gate.OF_RULE),
    "purpose_history": Purpose.history.model._meta.db_table, "rule_history": ChannelRule.history.model._meta.db_table,
    "customer_history": Customer.history.model._meta.db_table,
    "contacts": AdvertisingContacts._meta.db_table, "suppression": Suppression._meta.db_table,
}  # fmt: skip


class Past(NamedTuple):
    """What is known of one customer at a past moment, and what is not."""

    facts: Facts | None
    terms: Terms
    unknown: dict  # {rule's name: why it cannot be answered any more}
    notes: list  # what the office itself learnt later only

    def answers(self):
        """Return each rule's own Answer, with why where it cannot be known."""
        return [answer._replace(unknown=self.unknown.get(answer.rule, "")) for answer in gate.answers(self.facts, self.terms)]

    def decision(self):
        """Return what the gate would have said: the first refusal, else no where a rule cannot be answered any more."""
        said = self.answers()
        if refused := next((a.refusal for a in said if a.refusal and not a.unknown), None):
            return refused
        if doubt := next((a for a in said if a.unknown), None):
            return Decision(False, "cannot_be_known", doubt.clause)
        return gate.judge(self.facts, self.terms)


def look_back(customer, purpose, channel, at, sent=None):
    """Return the Past of a customer's id for a purpose's code and a channel; Purpose.DoesNotExist for an unknown code.

    `sent` are the times of advertising by this channel in the day before `at`, where a higher app keeps them; None where none does.
    """
    terms, (written,) = gate.read_terms(TERMS.format(**NAMES), purpose, channel, at)
    notes = [_("The rules of this purpose were first written down on %s.") % _said(written)] if written > at else []
    kind = "email" if terms.channel == Channel.EMAIL else "phone"
    asked = {"id": customer, "purpose": terms.purpose.pk, "channel": terms.channel.value, "at": at, "rank": [str(e) for e in RANK]}
    with connection.cursor() as cursor:
        cursor.execute(FACTS.format(kind=kind, **NAMES), asked)
        row = cursor.fetchone()
    if row is None:
        return Past(None, terms, {}, notes)
    (pk, ref, written, erased, restricted, association, email_state, sealed, blank, hold, state, event, policy, recorded, yes, times,
     first) = row  # fmt: skip
    if written > at:
        notes.append(_("The customer was first written down on %s: what is said of address and association is from then.") % _said(written))
        if first is None or first > at:
            return Past(None, terms, {}, notes)
    if recorded and recorded > at:
        notes.append(_("What the customer had said by then was written down on %s: the office did not know it yet.") % _said(recorded))
    unknown, suppression, reachable = {}, None, bool(sealed)
    if blank:
        reachable = True
        unknown["reachable"] = _("The customer was erased since: whether there was an address cannot be known any more.")
        unknown["unsuppressed"] = _("The customer was erased since: whether the address had said no cannot be known any more.")
    elif reachable:
        address = Customer.history.model._meta.get_field(kind)
        suppression = _suppressed(blinds(kind, address.opened(address.from_db_value(sealed, None, connection))), kind, yes, asked)
    filling, known = _filling(terms, times or [], sent)
    if not known:
        unknown["under_the_cap"] = _("The advertising of that day is no longer counted: whether the cap was reached cannot be known.")
    facts = Facts(pk, ref, erased, restricted, association, email_state, reachable, hold, state, event, policy, suppression, filling)
    return Past(facts, terms, unknown, notes)


def _suppressed(digests, kind, yes, asked):
    """Return the number of the row that suppressed the address at the moment, or None."""
    told = {**asked, "digests": digests, "stops": [str(e) for e in STOPS], "yes": yes or datetime.min.replace(tzinfo=UTC)}
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESSED.format(kind=kind, **NAMES), told)
        found = [row for since, lifted, row in cursor.fetchall() if since <= asked["at"] and (lifted is None or lifted > asked["at"])]
    return found[0] if found else None


def _filling(terms, times, sent):
    """Return the time of the contact that filled the cap at the moment, and whether that can be known."""
    if not (terms.advertising and terms.rule and terms.rule.cap):
        return None, True
    known = sent is not None or len(times) < terms.rule.cap or min(times) <= terms.at - DAY
    counted = sorted({t for t in [*times, *(sent or [])] if terms.at - DAY < t <= terms.at}, reverse=True)
    filling = counted[terms.rule.cap - 1] if len(counted) >= terms.rule.cap else None
    return filling, known or filling is not None


def _said(moment):
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT")
