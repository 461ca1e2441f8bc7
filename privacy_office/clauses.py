"""The policy, clause by clause, as it stands: what each asks for, where staff see it kept, and what shows that it is.

The one source of what docs/CLAUSES.md says that each clause asks for; where code keeps it, and the tests, stand there.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.auth.models import Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.models import OVERDUE, Entry, Verification
from consent.models import PolicyVersion, Purpose
from customers.models import Correction, HoldRule, Notice, RetentionRun, RightsRequest
from disclosures.models import Breach, Commitment, DisclosureRequest, ThirdParty
from mailings.models import RenewalNotice
from privacy_office.models import Canary
from privacy_office.roles import ROLES, codenames

PATIENCE = timedelta(minutes=10)  # twenty times what a notice takes to become a message
GROUNDS = ("disclosure_has_a_ground", "request_has_a_ground")
TRIGGERS = """
SELECT count(*), count(*) FILTER (WHERE t.tgenabled IN ('O', 'A')) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE p.proname LIKE 'refuse_change%'
"""


class Seen(NamedTuple):
    """When something was looked at, and whether it was as it should be; None: nobody looked yet."""

    at: datetime | None
    well: bool | None


def nightly(at, well, now):
    """Return what a nightly job saw; a job that did not come for days is not well."""
    return Seen(at, well and now - at < OVERDUE) if at else Seen(None, None)


def _ask(sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


# What is looked at. Each takes the moment, and a fixed number of queries.


def published(now):
    return Seen(now, PolicyVersion.objects.published().exists())


def ledger(now):
    # Entries without an object are few, and have an index.
    entry = Entry.objects.filter(object="", action="consent.compare").first()
    return nightly(entry.at, entry.detail["differences"] == 0, now) if entry else Seen(None, None)


def retention(now):
    run = RetentionRun.objects.first()
    return nightly(run and run.at, True, now)


def trail(now):
    found = Verification.objects.first()
    return nightly(found and found.at, found and not found.problems, now)


def append_only(now):
    there, at_work = _ask(TRIGGERS)
    return Seen(now, there > 0 and there == at_work)


def grounds(now):
    in_force = _ask("SELECT count(*) FROM pg_constraint WHERE conname = ANY(%s) AND convalidated", [list(GROUNDS)])
    return Seen(now, in_force[0] == len(GROUNDS))


def keys(now):
    try:
        Canary.check_keys()
    except ImproperlyConfigured:
        return Seen(now, False)
    return Seen(now, True)


def roles(now):
    held = Permission.objects.exclude(group=None).values_list("group__name", "content_type__app_label", "codename")
    return Seen(now, set(held) == {(role, *right) for role, rights in ROLES.items() for right in codenames(rights)})


def requests(now):
    return Seen(now, not RightsRequest.objects.late(timezone.localdate(now)).exists())


def corrections(now):
    return Seen(now, not Correction.objects.late(timezone.localdate(now)).exists())


def told(now):
    waiting = Notice.objects.waiting().values_list("at", flat=True).first()
    return Seen(now, waiting is None or now - waiting < PATIENCE)


def hold_rules(now):
    return Seen(now, HoldRule.objects.exists())


def purposes(now):
    """See that each of these clauses has its purpose, and that whatever advertises or asks rests on consent."""
    theirs = {clause.number for clause in CLAUSES if purposes in (clause.checks or ())}
    there = set(Purpose.objects.filter(clause__in=theirs).values_list("clause", "kind", "legal_basis"))
    asked = {basis for _clause, kind, basis in there if kind != Purpose.Kind.SERVICE}
    return Seen(now, theirs == {row[0] for row in there} and asked == {Purpose.LegalBasis.CONSENT})


def renewals(now):
    return Seen(now, RenewalNotice.objects.filter(active=True).exists())


def answers(now):
    late = (
        DisclosureRequest.objects.on_the_clock().filter(due_at__lt=now).exists()
        or Breach.objects.unreported().filter(due_at__lt=now).exists()
    )
    return Seen(now, not late)


def commitments(now):
    bound = Commitment.objects.in_force(timezone.localdate(now)).values("third_party")
    processors = ThirdParty.objects.filter(kind=ThirdParty.Kind.PAYMENT_PROCESSOR, active=True)
    return Seen(now, not processors.exclude(pk__in=bound).exists())


CHECKS = {
    published: _("A version of the policy is published."),
    ledger: _("The states of consent are what was said."),
    retention: _("What is kept for long enough was taken away."),
    trail: _("The whole audit trail verifies."),
    append_only: _("The database refuses to change what is only ever added to."),
    grounds: _("The database takes three grounds and no other, and a sale is none."),
    keys: _("The keys open what lies encrypted."),
    roles: _("Each role has the rights that it should have, and no other."),
    requests: _("No request of a customer is late."),
    corrections: _("No correction is late."),
    told: _("Nothing that a customer must be told waits."),
    hold_rules: _("Rules watch for signs of fraud."),
    purposes: _("Each purpose is there, and what advertises or asks rests on consent."),
    renewals: _("Renewal notices are in force."),
    answers: _("No answer to an authority and no report of a breach is late."),
    commitments: _("Every payment processor in use is bound to confidentiality today."),
}


class Clause(NamedTuple):
    number: str
    asks: Promise
    places: tuple[str, ...] = ()  # the lists of the admin in which staff see it kept
    checks: tuple[Callable, ...] | None = None  # None: nothing keeps it yet; empty: code alone does, and tests show it


CLAUSES = [
    Clause("§0", _("an acknowledgement of one exact version, never read as consent"), ("consent.acknowledgement",), (published,)),
    Clause("§1.1", _("contact by e-mail, SMS or phone only as decided"), ("mailings.message", "consent.approach"), (ledger,)),
    Clause(
        "§1.2",
        _("storage in the company's own database, for stated fields; the rights over it, within the law's dates"),
        ("customers.rightsrequest", "customers.retentionrule", "customers.erasure"),
        (requests, retention),
    ),
    Clause("§1.3", _("requests for further information, answered in confidence"), ("customers.informationrequest",), (told, retention)),
    Clause(
        "§1.4", _("nothing to third parties without permission"), ("disclosures.disclosurerequest", "disclosures.disclosure"), (grounds,)
    ),
    Clause("§1.5", _("no sale, no purchase"), ("disclosures.disclosure",), (grounds,)),
    Clause("§2.1", _("payment and support mail, on the agreement"), ("consent.purpose",), (purposes,)),
    Clause("§2.2", _("renewal notices to those who asked for them"), ("mailings.renewalnotice",), (renewals, purposes, ledger)),
    Clause("§2.3", _("product news by consent"), ("consent.purpose",), (purposes, ledger)),
    Clause(
        "§2.4",
        _("promotions by consent, refused at any time, confirmed once"),
        ("consent.consentevent", "consent.suppression"),
        (purposes, ledger, told),
    ),
    Clause(
        "§2.5",
        _("surveys by consent, labelled as advertising is, as the law does not say that they are none"),
        ("consent.purpose",),
        (purposes, ledger),
    ),
    Clause("§3.1", _("the e-mail address as the tool of communication, kept usable"), ("customers.customer",), (told,)),
    Clause(
        "§3.2",
        _(
            "confidential mail carries a link alone; mail that comes in becomes a request;"
            " a change of address is confirmed, told and may be objected to"
        ),
        ("customers.emailchange",),
        (told,),
    ),
    Clause(
        "§3.3",
        _("suspension of an address on signs of fraud, until the customer confirms"),
        ("customers.emailhold", "customers.holdrule"),
        (hold_rules,),
    ),
    Clause("§4", _("correction while associated, with history"), ("customers.correction",), (corrections,)),
    Clause("§5", _("a notice before leaving for another site"), ("mailings.companyhost",), ()),
    Clause("§6.1", _("measures by kind of information"), ("audit.checkpoint", "audit.verification"), (trail, append_only)),
    Clause(
        "§6.2",
        _("e-mail, phone, password, access data encrypted; authorised staff alone"),
        ("customers.reveal", "audit.entry"),
        (keys, roles),
    ),
    Clause("§6.3a", _("disclosure to an authority on its request"), ("disclosures.disclosurerequest", "disclosures.seal"), (answers,)),
    Clause("§6.3b", _("disclosure to a payment provider bound to confidentiality"), ("disclosures.commitment",), (commitments,)),
    Clause("§6.4", _("no right for third parties"), ("consent.policyversion",), (published,)),
    Clause(
        "§7",
        _("changes take effect when published, by a second person; older consents lapse; customers are told once"),
        ("consent.policyversion",),
        (published, told),
    ),
]


def stand(now):
    """Return each clause with what was seen of it, [(clause, [(what should be so, Seen)])]; everything is looked at once."""
    seen = {check: check(now) for check in CHECKS}
    return [(clause, [(CHECKS[check], seen[check]) for check in clause.checks or ()]) for clause in CLAUSES]
