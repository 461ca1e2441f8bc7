"""May this be handed over now? The only place that answers; never for a sale, and without a ground, no."""

from typing import NamedTuple

import pyrage
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consent.gate import Decision
from customers.models import Customer
from disclosures.models.parties import Commitment, Ground, ThirdParty
from disclosures.models.permissions import PermissionEvent

CLAUSES = {Ground.LEGAL_OBLIGATION: "§6.3a", Ground.PAYMENT_SERVICE: "§6.3b", Ground.CUSTOMER_PERMISSION: "§1.4"}
RECIPIENTS = {
    Ground.LEGAL_OBLIGATION: {ThirdParty.Kind.AUTHORITY},
    Ground.PAYMENT_SERVICE: {ThirdParty.Kind.PAYMENT_PROCESSOR},
    Ground.CUSTOMER_PERMISSION: {ThirdParty.Kind.PAYMENT_PROCESSOR, ThirdParty.Kind.OTHER},
}

# What staff read of each reason.
WORDS = {
    "no_ground": _("There is no such ground: personal data is never sold, exchanged or given away (§1.5)."),
    "recipient_inactive": _("Nothing is handed over to this third party any more."),
    "wrong_recipient": _("This ground does not fit this kind of third party."),
    "no_legal_reference": _("The document's number and date and the legal article are needed."),
    "no_document": _("The authority's document is not on file."),
    "requester_unverified": _("It has not been checked that the request comes from whom it names."),
    "no_commitment": _("This third party has not signed a commitment of confidentiality."),
    "commitment_ended": _("The third party's commitment of confidentiality has ended, or has not begun."),
    "no_offer": _("It is not said which permission of the customers it rests on."),
    "field_not_permitted": _("The permission does not cover all these fields."),
    "permission_missing": _("A customer has not permitted it."),
    "permission_withdrawn": _("A customer has withdrawn the permission."),
    "customer_unknown": _("A customer is not known."),
    "customer_erased": _("A customer was erased meanwhile."),
    "customer_restricted": _("A customer's data may not be used at present."),
    "nothing_asked": _("No field or no customer is left to hand over."),
    "no_key": _("The third party has no public key to encrypt to."),
    "key_unchecked": _("Nobody else has checked the third party's public key yet."),
    "not_approved": _("This request is not approved."),
    "own_approval": _("It was approved by who assessed it: that counts for nothing."),
    "scope_changed": _("The scope is not the one that was approved."),
    "approval_expired": _("The approval has expired: it has to be assessed and approved again."),
    "already_disclosed": _("This request has been answered: a package is fetched once."),
    "link_unknown": _("There is no such package."),
    "link_used": _("This package was fetched already, or another was made in its place."),
    "link_expired": _("The time to fetch this package is over."),
    "link_of_another": _("A package is fetched by who made it."),
    "allowed": _("Allowed."),
}


def refuse(reason, clause="§1.4", evidence=""):
    return Decision(False, reason, clause, evidence)


class Facts(NamedTuple):
    """All that is known of one request, its recipient and its customers at one moment."""

    request: object
    third_party: ThirdParty
    offer: object
    commitments: list  # of the third party: (number, whether it is in force)
    customers: dict  # {number: (erased, restricted, the latest word on the permission or None, its event)}
    at: object


CUSTOMERS = """
SELECT c.id, c.erased_at IS NOT NULL, c.restricted_at IS NOT NULL, p.event, p.id
  FROM {customer} c
  LEFT JOIN LATERAL (SELECT id, event FROM {permission} WHERE customer_id = c.id AND offer_id = %s ORDER BY id DESC LIMIT 1) p ON true
 WHERE c.id = ANY(%s)
"""


def load_facts(request, at):
    """Return the Facts of a request, in three queries whatever its size."""
    party, day = request.third_party, timezone.localdate(at)
    commitments = Commitment.objects.filter(third_party=party)
    commitments = [(c.pk, c.ended_at is None and c.valid_from <= day <= c.valid_until) for c in commitments]
    names = {"customer": Customer._meta.db_table, "permission": PermissionEvent._meta.db_table}
    with connection.cursor() as cursor:
        cursor.execute(CUSTOMERS.format(**names), [request.offer_id, list(request.customers)])
        customers = {pk: said for pk, *said in cursor.fetchall()}
    return Facts(request, party, request.offer, commitments, customers, at)


# The rules, in their order. Each looks at the facts and returns a refusal or None; the first refusal decides.


def ground(facts):
    if facts.request.ground not in CLAUSES:
        return refuse("no_ground", "§1.5")


def recipient(facts):
    if not facts.third_party.active:
        return refuse("recipient_inactive", CLAUSES[facts.request.ground])
    if facts.third_party.kind not in RECIPIENTS[facts.request.ground]:
        return refuse("wrong_recipient", CLAUSES[facts.request.ground])


def legal_reference(facts):
    request = facts.request
    if request.ground == Ground.LEGAL_OBLIGATION:
        if not (request.document_number.strip() and request.document_dated_on and request.legal_article.strip()):
            return refuse("no_legal_reference", "§6.3a")
        if not request.document_id:
            return refuse("no_document", "§6.3a")


def committed(facts):
    if facts.request.ground == Ground.PAYMENT_SERVICE:
        if not facts.commitments:
            return refuse("no_commitment", "§6.3b")
        if not any(in_force for _number, in_force in facts.commitments):
            return refuse("commitment_ended", "§6.3b", f"commitment:{facts.commitments[0][0]}")


def verified(facts):
    if facts.request.ground == Ground.LEGAL_OBLIGATION and not facts.request.verified_at:
        return refuse("requester_unverified", "§6.3a")


def something(facts):
    if not (facts.request.fields and facts.request.customers):
        return refuse("nothing_asked", CLAUSES[facts.request.ground])


def living(facts):
    clause = CLAUSES[facts.request.ground]
    for pk in facts.request.customers:
        erased, restricted, _event, _number = facts.customers.get(pk, (None, None, None, None))
        if erased is None:
            return refuse("customer_unknown", clause)
        if erased:
            return refuse("customer_erased", clause, f"customer:{pk}")
        if restricted and facts.request.ground != Ground.LEGAL_OBLIGATION:
            return refuse("customer_restricted", clause, f"customer:{pk}")


def permitted(facts):
    if facts.request.ground != Ground.CUSTOMER_PERMISSION:
        return None
    if facts.offer is None or facts.offer.third_party_id != facts.third_party.pk:
        return refuse("no_offer")
    if not set(facts.request.fields) <= set(facts.offer.fields):
        return refuse("field_not_permitted", evidence=f"offer:{facts.offer.pk}")
    for pk in facts.request.customers:
        _erased, _restricted, event, number = facts.customers[pk]
        if event != PermissionEvent.Event.GIVEN:
            return refuse("permission_withdrawn" if event else "permission_missing", evidence=f"permission:{number}" if event else "")


def readable_by_recipient_alone(facts):
    party, clause = facts.third_party, CLAUSES[facts.request.ground]
    try:
        pyrage.x25519.Recipient.from_str(party.age_key)
    except pyrage.RecipientError:
        return refuse("no_key", clause)
    if not party.key_checked_by_id or party.key_checked_by_id == party.key_set_by_id:
        return refuse("key_unchecked", clause)


def approved(facts):
    request, clause = facts.request, CLAUSES[facts.request.ground]
    if request.status == "disclosed":
        return refuse("already_disclosed", clause)
    if request.status != "approved" or not request.approved_by_id:
        return refuse("not_approved", clause)
    if request.approved_by_id in (request.assessed_by_id, None):
        return refuse("own_approval", clause)
    if request.approved_scope != request.scope:
        return refuse("scope_changed", clause)
    if facts.at >= request.approval_expires_at:
        return refuse("approval_expired", clause)


TAKING = [ground, recipient, legal_reference]
APPROVING = [*TAKING, verified, committed, something, living, permitted]
HANDING_OVER = [ground, approved, *APPROVING[1:], readable_by_recipient_alone]


def judge(facts, rules):
    """Return the Decision on one request's facts: pure. What allows it is its evidence."""
    for rule in rules:
        if refusal := rule(facts):
            return refusal
    request = facts.request
    evidence = {
        Ground.LEGAL_OBLIGATION: f"document:{request.document_id}",
        Ground.PAYMENT_SERVICE: f"commitment:{next((number for number, in_force in facts.commitments if in_force), None)}",
        Ground.CUSTOMER_PERMISSION: f"offer:{request.offer_id}",
    }[request.ground]
    return Decision(True, "allowed", CLAUSES[request.ground], evidence)


def decide(request, rules=HANDING_OVER, at=None):
    """Return the Decision on a request as things stand at `at` (now), in a fixed number of queries."""
    if request.ground not in CLAUSES:
        return refuse("no_ground", "§1.5")
    return judge(load_facts(request, at or timezone.now()), rules)
