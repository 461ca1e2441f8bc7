"""The only way out: a package is made of an approved request, and fetched once. The gate is asked both times; a no leaves its entry."""

import hashlib
import secrets

from django.db import transaction
from django.utils import timezone

from audit import models as audit
from customers.models import Customer
from disclosures import gate, packages
from disclosures.models import Disclosure, DisclosureRequest, Package, TermRule
from disclosures.models.register import tell

Status = DisclosureRequest.Status


def digest(token):
    return hashlib.sha256(token.encode()).digest()


def lock(request, *, customers):
    """See the request as it is now; let neither it change nor its customers be erased or withdraw until the transaction ends."""
    request.lock(*Status)
    if customers:
        list(Customer.objects.filter(pk__in=request.customers).order_by("pk").select_for_update().values_list("pk"))


def refused(request, action, decision, *, by, obj=None):
    """Leave the entry of a refusal, and the Decision on the request where it is still open."""
    if request.is_open and obj is None:
        request.change(f"{action}.refused", by=by, decision=decision)
    else:
        told = {"reason": decision.reason, "evidence": decision.evidence, "request": request.pk}
        audit.record(f"{action}.refused", by=by, obj=obj or request, clause=decision.clause, **told)
    return decision


def prepare(request, *, by, at=None):
    """Make the package, as the gate allows; return (Decision, the token of the link to fetch it by, or None)."""
    at = at or timezone.now()
    with transaction.atomic():
        lock(request, customers=True)
        decision = gate.decide(request, at=at)
        if not decision.allowed:
            return refused(request, "request.prepare", decision, by=by), None
        request.void_packages()
        ciphertext, token = packages.sealed(request, at), secrets.token_urlsafe(32)
        package = Package.objects.create(
            request=request, ciphertext=ciphertext, digest=hashlib.sha256(ciphertext).hexdigest(), size=len(ciphertext),
            token_digest=digest(token), made_by=by, made_at=at, expires_at=at + TermRule.objects.term(TermRule.Code.PACKAGE),
        )  # fmt: skip
        request.change("request.prepare", by=by, decision=decision, detail={"digest": package.digest, "package": package.pk})
    return decision, token


def find(token):
    """Return the package that a link names, or None."""
    return Package.objects.filter(token_digest=digest(token)).select_related("request__third_party").defer("ciphertext").first()


def link(package, *, by, at):
    """Return what speaks against a package being fetched by this link, or None."""
    if package.made_by != by:
        return gate.refuse("link_of_another")
    if package.fetched_at or package.ciphertext is None:
        return gate.refuse("link_used" if at < package.expires_at or package.fetched_at else "link_expired")
    if at >= package.expires_at:
        return gate.refuse("link_expired")


def fetch(token, *, by, at=None):
    """Hand the package over: register it and return (Decision, its bytes); the gate is asked once more. Only once."""
    at, found = at or timezone.now(), find(token)
    if found is None:
        with transaction.atomic():
            audit.record("package.fetch.refused", by=by, clause="§1.4", reason="link_unknown")
        return gate.refuse("link_unknown"), None
    request = found.request
    with transaction.atomic():
        lock(request, customers=True)
        package = Package.objects.select_for_update().get(pk=found.pk)
        if decision := link(package, by=by, at=at):
            return refused(request, "package.fetch", decision, by=by, obj=package), None
        decision = gate.decide(request, at=at)
        if not decision.allowed:
            package.void(by=by)
            return refused(request, "package.fetch", decision, by=by), None
        data = bytes(package.ciphertext)
        package.ciphertext, package.fetched_at = None, at
        package.save(update_fields=["ciphertext", "fetched_at"])
        register(request, package, decision, by=by, at=at)
        told = {"digest": package.digest, "customers": len(request.customers), "fields": sorted(request.fields)}
        request.change("request.disclose", by=by, decision=decision, detail=told, status=Status.DISCLOSED, answered_at=at)
    return decision, data


def register(request, package, decision, *, by, at):
    """Write one row of the register for each customer, each with its entry; tell those who may be told."""
    rows = Disclosure.objects.bulk_create(
        Disclosure(
            request=request, customer_id=pk, third_party=request.third_party, ground=request.ground, clause=decision.clause,
            evidence=decision.evidence, fields=request.fields, period_from=request.period_from, period_until=request.period_until,
            at=at, digest=package.digest, by=by, approved_by=request.approved_by,
        )
        for pk in request.customers
    )  # fmt: skip
    written = Disclosure.objects.filter(pk__in=[row.pk for row in rows]).select_related("customer", "third_party").order_by("pk")
    audit.record_all(
        audit.entry(
            "disclosure.disclose", by=by, obj=row, subject=row.customer.public_id, clause=row.clause, ground=row.ground, fields=row.fields,
            third_party=row.third_party_id, digest=row.digest,
        )
        for row in written
    )  # fmt: skip
    tell(written.unsealed(at))


def void_expired(*, at=None):
    """Destroy packages that nobody fetched in time; return how many."""
    with transaction.atomic():
        late = Package.objects.filter(ciphertext__isnull=False, expires_at__lte=at or timezone.now())
        late = list(late.select_for_update(skip_locked=True).order_by("pk"))
        for package in late:
            package.void(by=None)
    return len(late)
