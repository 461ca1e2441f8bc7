"""May we use this customer's data for this purpose by this channel now? The only place that answers; unknown means no."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from consent.models import ALLOWS, AdvertisingContacts, Channel, ChannelRule, ConsentState, PolicyVersion, Purpose, Suppression
from customers.models import Customer, EmailHold
from privacy_office.fields import open_all
from privacy_office.querysets import of_rows

DAY = timedelta(hours=24)
BATCH = 500


class Decision(NamedTuple):
    """The answer for one customer: reason and clause name the rule that decided, evidence the row that shows it."""

    allowed: bool
    reason: str
    clause: str
    evidence: str = ""
    not_before: datetime | None = None  # from which the same question may be answered otherwise


class Facts(NamedTuple):
    """All that is known of one customer for one purpose and channel, as one row of the query below."""

    id: int
    ref: str
    erased: bool
    restricted: bool
    association: str
    email_state: str
    reachable: bool
    hold: int | None
    state: str | None
    event: int | None
    policy: int | None
    suppression: int | None
    filling: datetime | None  # of the latest advertising contacts, the one that fills the cap: the third latest where it is three


@dataclass(frozen=True)
class Terms:
    """What holds for everybody who is asked about: the purpose, its channel's rule, the last policy version that changed it."""

    purpose: Purpose
    channel: str
    rule: ChannelRule | None
    major: int | None
    at: datetime

    @cached_property
    def advertising(self):
        return self.purpose.kind == Purpose.Kind.ADVERTISING

    @cached_property
    def needs_consent(self):
        return self.purpose.needs_consent


# SQL, because a worker asks for every few dozen mails: the ORM would take longer to write these than PostgreSQL to answer them.
TERMS = """
SELECT {of_purpose}, (SELECT max(v.number) FROM {policy} v JOIN {changes} x ON x.policyversion_id = v.id
                       WHERE x.purpose_id = p.id AND v.severity = 'major' AND v.published_at <= %(at)s), {of_rule}
  FROM {purpose} p LEFT JOIN {rule} r ON r.channel = %(channel)s
 WHERE p.code = %(purpose)s
"""
FACTS = """
SELECT c.id, c.ref, c.erased_at IS NOT NULL, c.restricted_at IS NOT NULL, c.association, c.email_state,
       c.{kind}_index IS NOT NULL, h.id, s.state, s.event_id, p.number, u.id, a.times[%(cap)s]
  FROM {customer} c
  LEFT JOIN {hold} h ON h.customer_id = c.id AND h.released_at IS NULL
  LEFT JOIN {state} s ON s.customer_id = c.id AND s.purpose_id = %(purpose)s AND s.channel = %(channel)s
  LEFT JOIN {policy} p ON p.id = s.policy_version_id
  LEFT JOIN {suppression} u ON u.digest = ANY(c.{kind}_index || c.{kind}_others)
                            AND u.purpose_id = %(purpose)s AND u.channel = %(channel)s AND u.lifted_at IS NULL
  LEFT JOIN {contacts} a ON a.customer_id = c.id AND a.channel = %(channel)s
 WHERE c.id = ANY(%(ids)s::bigint[])
"""
OF_PURPOSE, OF_RULE = ([field.attname for field in model._meta.concrete_fields] for model in (Purpose, ChannelRule))
NAMES = {
    "customer": Customer._meta.db_table, "hold": EmailHold._meta.db_table, "state": ConsentState._meta.db_table,
    "policy": PolicyVersion._meta.db_table, "changes": PolicyVersion.changes.through._meta.db_table, "purpose": Purpose._meta.db_table,
    "rule": ChannelRule._meta.db_table, "suppression": Suppression._meta.db_table, "contacts": AdvertisingContacts._meta.db_table,
    "of_purpose": ", ".join(f"p.{name}" for name in OF_PURPOSE), "of_rule": ", ".join(f"r.{name}" for name in OF_RULE),
}  # fmt: skip


def load_terms(purpose, channel, at):
    """Return the Terms of a purpose's code and a channel, in one query; Purpose.DoesNotExist for an unknown code."""
    return read_terms(TERMS.format(**NAMES), purpose, channel, at)[0]


def read_terms(query, purpose, channel, at):
    """Return the Terms that a query finds (purpose, the last MAJOR version that changed it, rule), and the columns after these."""
    channel = Channel(channel)
    with connection.cursor() as cursor:
        cursor.execute(query, {"purpose": purpose, "channel": channel.value, "at": at})
        row = cursor.fetchone()
    if row is None:
        raise Purpose.DoesNotExist(purpose)
    of_purpose, after = len(OF_PURPOSE), len(OF_PURPOSE) + 1 + len(OF_RULE)
    found, major, rule = row[:of_purpose], row[of_purpose], row[of_purpose + 1 : after]
    rule = ChannelRule.from_db(connection.alias, OF_RULE, rule) if rule[0] else None
    return Terms(Purpose.from_db(connection.alias, OF_PURPOSE, found), channel, rule, major, at), row[after:]


def load_facts(ids, terms):
    """Return Facts by customer id, in one query however many ids; an id that is unknown is not in it."""
    kind = "email" if terms.channel == Channel.EMAIL else "phone"
    asked = {"purpose": terms.purpose.pk, "channel": terms.channel.value, "cap": terms.rule and terms.rule.cap}
    with connection.cursor() as cursor:
        cursor.execute(FACTS.format(kind=kind, **NAMES), {**asked, "ids": f"{{{','.join(map(str, ids))}}}"})
        return {row[0]: Facts._make(row) for row in cursor.fetchall()}


# The rules, in their order. Each looks at one customer's facts and returns a refusal or None; the first refusal decides.


def known(facts, terms):
    if facts is None:
        return Decision(False, "unknown", "§1.2")
    if facts.erased:
        return Decision(False, "erased", "§1.2")


def unrestricted(facts, terms):
    if facts.restricted and not terms.purpose.owed:
        return Decision(False, "restricted", "§1.2")


def pursued_by_this_channel(facts, terms):
    if terms.channel not in terms.purpose.channels:
        return Decision(False, "channel_not_foreseen", terms.purpose.clause)


def associated(facts, terms):
    if terms.purpose.while_associated and facts.association == Customer.Association.ENDED:
        return Decision(False, "association_ended", "§4")


def unsuppressed(facts, terms):
    if facts.suppression:
        return Decision(False, "suppressed", "§2.4", f"suppression:{facts.suppression}")


# What an address must be like: mail that rests on consent goes to verified addresses alone, mail of the service to any that works,
# what the law asks us to say to whatever address there is.
REFUSED_STATES = {
    Purpose.LegalBasis.CONSENT: {
        Customer.EmailState.UNVERIFIED: "address_unverified",
        Customer.EmailState.BOUNCING: "address_bouncing",
        Customer.EmailState.COMPLAINED: "address_complained",
    },
    Purpose.LegalBasis.AGREEMENT: {Customer.EmailState.BOUNCING: "address_bouncing"},
    Purpose.LegalBasis.LEGAL_OBLIGATION: {},
}


def reachable(facts, terms):
    if not facts.reachable:
        return Decision(False, "no_address" if terms.channel == Channel.EMAIL else "no_phone", "§3.1")
    if terms.channel == Channel.EMAIL:
        if refused := REFUSED_STATES[terms.purpose.legal_basis].get(facts.email_state):
            return Decision(False, refused, "§3.1")
        if facts.hold and (terms.purpose.confidential or not terms.purpose.owed):
            return Decision(False, "address_on_hold", "§3.3", f"hold:{facts.hold}")


def consented(facts, terms):
    if terms.needs_consent and facts.state not in ALLOWS:
        return Decision(False, f"consent_{facts.state or 'unknown'}", terms.purpose.clause, f"event:{facts.event}" if facts.event else "")


def up_to_date(facts, terms):
    if terms.needs_consent and terms.major and (facts.policy or 0) < terms.major:
        return Decision(False, "consent_outdated", "§7", f"policy:{terms.major}")


def under_the_cap(facts, terms):
    if terms.advertising:
        if terms.rule is None:
            return Decision(False, "no_rule_for_channel", terms.purpose.clause)
        if facts.filling and facts.filling > terms.at - DAY:
            return Decision(False, "cap_reached", terms.purpose.clause, terms.rule.source, facts.filling + DAY)
        if terms.rule.cap == 0:
            return Decision(False, "cap_reached", terms.purpose.clause, terms.rule.source)


def within_hours(facts, terms):
    if terms.advertising and terms.rule and (terms.rule.opens or terms.rule.closes):
        opens, closes = terms.rule.opens or time.min, terms.rule.closes or time.max
        local = timezone.localtime(terms.at)
        if not opens <= local.time() < closes:
            day = local.date() + timedelta(days=local.time() >= closes)
            opening = timezone.make_aware(datetime.combine(day, opens))
            return Decision(False, "outside_hours", terms.purpose.clause, terms.rule.source, opening)


RULES = [
    known,
    unrestricted,
    pursued_by_this_channel,
    associated,
    unsuppressed,
    reachable,
    consented,
    up_to_date,
    under_the_cap,
    within_hours,
]


def judge(facts, terms):
    """Return the Decision for one customer's facts: pure, and the same lines for one person and a million."""
    for rule in RULES:
        if refusal := rule(facts, terms):
            return refusal
    evidence = f"event:{facts.event} policy:{facts.policy}" if terms.needs_consent else f"basis:{terms.purpose.legal_basis}"
    return Decision(True, "allowed", terms.purpose.clause, evidence)


def explain(facts, terms):
    """Return each rule's own answer as (rule's name, refusal or None); those after 'unknown' cannot be asked."""
    return [(rule.__name__, rule(facts, terms)) for rule in (RULES if facts else RULES[:1])]


class Answer(NamedTuple):
    """One rule's own answer, with the clause it keeps and what it looked at."""

    rule: str
    refusal: Decision | None
    clause: str
    evidence: str
    unknown: str = ""  # why it cannot be answered, of a past moment


# What a rule that does not refuse looked at: its clause and its evidence.
PASSES = {
    "known": lambda facts, terms: ("§1.2", f"customer:{facts.id}"),
    "unrestricted": lambda facts, terms: ("§1.2", ""),
    "pursued_by_this_channel": lambda facts, terms: (terms.purpose.clause, f"purpose:{terms.purpose.pk}"),
    "associated": lambda facts, terms: ("§4", facts.association),
    "unsuppressed": lambda facts, terms: ("§2.4", ""),
    "reachable": lambda facts, terms: ("§3.1", facts.email_state if terms.channel == Channel.EMAIL else ""),
    "consented": lambda facts, terms: (
        terms.purpose.clause, f"event:{facts.event}" if terms.needs_consent else f"basis:{terms.purpose.legal_basis}",
    ),
    "up_to_date": lambda facts, terms: ("§7", f"policy:{facts.policy}" if facts.policy else ""),
    "under_the_cap": lambda facts, terms: (terms.purpose.clause, terms.rule.source if terms.advertising and terms.rule else ""),
    "within_hours": lambda facts, terms: (terms.purpose.clause, terms.rule.source if terms.advertising and terms.rule else ""),
}  # fmt: skip


def answers(facts, terms):
    """Return each rule's Answer; those after 'unknown' cannot be asked."""

    def answer(name, refusal):
        looked_at = (refusal.clause, refusal.evidence) if refusal else PASSES[name](facts, terms)
        return Answer(name, refusal, *looked_at)

    return [answer(*said) for said in explain(facts, terms)]


def candidates(purpose, channel):
    """Return the customers worth asking the gate about: it never leaves out one whom `decide` would allow, and decides nothing."""
    living = Customer.objects.living()
    if not purpose.needs_consent:
        return living
    said_yes = ConsentState.objects.filter(customer=OuterRef("pk"), purpose=purpose, channel=channel, state__in=ALLOWS)
    return living.filter(Exists(said_yes))


def decide(customers, purpose, channel, at=None):
    """Return {customer id: Decision} for the ids asked about, in a fixed number of queries however many they are."""
    terms = load_terms(purpose, channel, at or timezone.now())
    facts = load_facts(customers, terms)
    return {pk: judge(facts.get(pk), terms) for pk in customers}


def audience(purpose, channel, at=None, among=None):
    """Yield (ref, Decision) for every customer, or those of a queryset, in order of their numbers, in chunks of constant memory."""
    terms, last = load_terms(purpose, channel, at or timezone.now()), 0
    among = Customer.objects.all() if among is None else among
    while ids := list(among.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        for facts in sorted(load_facts(ids, terms).values()):
            yield facts.ref, judge(facts, terms)
        last = ids[-1]


def release(customers, purpose, channel, at=None):
    """Return {customer id: (Decision, Customer or None)}: the only way to an address.

    The Customer carries the purpose's fields and nothing else. Advertising is counted against the cap here, in the caller's
    transaction, and whom a parallel worker took over the cap meanwhile is refused.
    """
    terms = load_terms(purpose, channel, at or timezone.now())
    facts = load_facts(customers, terms)
    decisions = {pk: judge(facts.get(pk), terms) for pk in customers}
    allowed = [pk for pk, decision in decisions.items() if decision.allowed]
    if terms.advertising and terms.rule and allowed:
        for pk in set(allowed) - _count(allowed, terms):
            decisions[pk] = Decision(False, "cap_reached", terms.purpose.clause, terms.rule.source)
    names = ["id", "public_id", "locale", *terms.purpose.fields]
    rows = Customer.objects.filter(pk__in=[pk for pk, decision in decisions.items() if decision.allowed]).values_list(*names)
    people = {customer.pk: customer for customer in of_rows(Customer, names, rows)}
    open_all(people.values(), names)
    return {pk: (decision, people.get(pk)) for pk, decision in decisions.items()}


COUNT = """
INSERT INTO {contacts} AS a (customer_id, channel, times)
SELECT id, %(channel)s, ARRAY[%(at)s]::timestamptz[] FROM unnest(%(ids)s::bigint[]) AS id ORDER BY id
ON CONFLICT (customer_id, channel) DO UPDATE
   SET times = (ARRAY(SELECT t FROM unnest(a.times || EXCLUDED.times) AS t ORDER BY t DESC LIMIT %(cap)s))
 WHERE (SELECT count(*) FROM unnest(a.times) AS t WHERE t > %(since)s) < %(cap)s
RETURNING customer_id
"""


def _count(ids, terms):
    """Count one advertising contact for each customer still under the cap, in one atomic statement; return who was."""
    if not terms.rule.cap:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT.format(contacts=AdvertisingContacts._meta.db_table),
            {"ids": sorted(ids), "channel": str(terms.channel), "at": terms.at, "since": terms.at - DAY, "cap": terms.rule.cap},
        )
        return {row[0] for row in cursor.fetchall()}


def forget(customers, channel, at):
    """Take back a contact counted at `at`, for customers whom it did not reach after all."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH counted AS (SELECT id FROM {AdvertisingContacts._meta.db_table} WHERE channel = %s AND customer_id = ANY(%s) "
            "ORDER BY customer_id FOR UPDATE) "  # in the order in which they are counted: two at once would wait for each other
            f"UPDATE {AdvertisingContacts._meta.db_table} a SET times = array_remove(times, %s::timestamptz) "
            "FROM counted WHERE a.id = counted.id",
            [str(channel), sorted(customers), at],
        )
