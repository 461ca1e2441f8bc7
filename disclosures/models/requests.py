"""A request for data: taken in, verified, assessed and narrowed by one person, decided by another. Refuses every other way."""

import hashlib
import json
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models import Customer
from disclosures import gate
from disclosures.models.documents import Document
from disclosures.models.parties import Field, Ground, TermRule, ThirdParty, person
from disclosures.models.permissions import PermissionOffer
from privacy_office.models import Staff, StaffNotice
from privacy_office.querysets import TrackedQuerySet

NUMBER = r"^[\w./ -]*[0-9][\w./ -]*$"  # of a document: no sentence and no name alone
number_of_document = RegexValidator(NUMBER, _("A number has letters, digits, dots, slashes and hyphens, and at least one digit."))


def fields_of(label, help_text):
    return ArrayField(models.CharField(max_length=20, choices=Field), verbose_name=label, default=list, help_text=help_text)


def customers_of(label, help_text):
    return ArrayField(models.BigIntegerField(), verbose_name=label, default=list, editable=False, help_text=help_text)


class DisclosureRequestQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(status__in=DisclosureRequest.OPEN)

    def on_the_clock(self):
        """Return the open ones that have a time to be answered in, the most pressing first."""
        return self.open().exclude(due_at=None).order_by("due_at")


class DisclosureRequest(models.Model):
    """Somebody outside the house asks for customers' data (§1.4, §6.3a, §6.3b). Holds references and kinds of data, never values."""

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        ASSESSED = "assessed", _("assessed, waits for approval")
        APPROVED = "approved", _("approved, not handed over yet")
        REFUSED = "refused", _("refused")
        DISCLOSED = "disclosed", _("handed over")

    OPEN = (Status.RECEIVED, Status.ASSESSED, Status.APPROVED)

    class Verification(models.TextChoices):
        CALL_BACK = "call_back", _("called back over the published number")
        SIGNATURE = "signature", _("digital signature checked")
        IN_PERSON = "in_person", _("in person, with identity card and letter")
        PORTAL = "portal", _("through the authority's own portal")

    class RefusalGround(models.TextChoices):
        NO_GROUND = "no_ground", _("no ground in law")
        UNVERIFIED = "unverified", _("requester could not be verified")
        FORMAL = "formal", _("the document is incomplete")
        TOO_WIDE = "too_wide", _("asks for more than the ground allows")
        NOTHING_HELD = "nothing_held", _("we hold no such data")
        WITHDRAWN = "withdrawn", _("the request was taken back")

    third_party = models.ForeignKey(
        ThirdParty, on_delete=models.PROTECT, related_name="requests", verbose_name=_("third party"), help_text=_("Who asks.")
    )
    ground = models.CharField(_("ground"), max_length=20, choices=Ground, help_text=_("Why it may be handed over. There is no other."))
    document_number = models.CharField(
        _("document number"),
        max_length=60,
        blank=True,
        validators=[number_of_document],
        help_text=_("Of the authority's document. Needed for a legal obligation; no personal data."),
    )
    document_dated_on = models.DateField(_("document dated"), null=True, blank=True, help_text=_("The date that the document bears."))
    legal_article = models.CharField(
        _("legal article"), max_length=200, blank=True, help_text=_("The article that obliges us to answer, with its law.")
    )
    document = models.ForeignKey(
        Document,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("document"),
        help_text=_("The request itself as it came, encrypted."),
    )
    offer = models.ForeignKey(
        PermissionOffer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("offered permission"),
        help_text=_("Which permission of the customers it rests on; empty for other grounds."),
    )
    urgent = models.BooleanField(_("urgent"), default=False, help_text=_("Whether the authority calls it urgent: the time is shorter."))
    received_at = models.DateTimeField(_("received at"), help_text=_("When it reached the house, to the minute: the clock starts here."))
    due_at = models.DateTimeField(
        _("due at"), null=True, editable=False, help_text=_("Until when it has to be answered; empty where no law says so.")
    )
    received_by = person(verbose_name=_("taken in by"), help_text=_("Who wrote it down."))
    fields_asked = fields_of(_("fields asked for"), _("The kinds of data that are asked for."))
    customers_asked = customers_of(_("customers asked for"), _("The customers that are asked about, by their row."))
    asked_from = models.DateField(_("asked from"), help_text=_("First day of the period that is asked about."))
    asked_until = models.DateField(_("asked until"), help_text=_("Last day of the period that is asked about."))
    verified_how = models.CharField(
        _("verified how"), max_length=20, choices=Verification, blank=True, editable=False, help_text=_("How the requester was verified.")
    )
    verified_reference = models.CharField(
        _("number of the verification"), max_length=60, blank=True, editable=False, help_text=_("Of the call, the certificate, the visit.")
    )
    verified_by = person(verbose_name=_("verified by"), help_text=_("Who verified the requester."))
    verified_at = models.DateTimeField(_("verified at"), null=True, editable=False, help_text=_("When the requester was verified."))
    fields = fields_of(_("fields"), _("What will be handed over: what is asked for, or less."))
    customers = customers_of(_("customers"), _("About whom it will be handed over: who is asked about, or fewer."))
    period_from = models.DateField(_("period from"), null=True, editable=False, help_text=_("First day of the period handed over."))
    period_until = models.DateField(_("period until"), null=True, editable=False, help_text=_("Last day of the period handed over."))
    assessment = models.TextField(
        _("assessment"), max_length=1000, blank=True, editable=False, help_text=_("Why this much and no more. No personal data.")
    )
    assessed_by = person(verbose_name=_("assessed by"), help_text=_("Who assessed it last."))
    assessed_at = models.DateTimeField(_("assessed at"), null=True, editable=False, help_text=_("When it was assessed."))
    approved_by = person(verbose_name=_("approved by"), help_text=_("Who approved it: another person than the one who assessed it."))
    approved_at = models.DateTimeField(_("approved at"), null=True, editable=False, help_text=_("When it was approved."))
    approved_scope = models.CharField(
        _("digest of what was approved"), max_length=64, blank=True, editable=False, help_text=_("Nothing else may be handed over.")
    )
    approval_expires_at = models.DateTimeField(
        _("approval expires at"), null=True, editable=False, help_text=_("Until when it may be handed over.")
    )
    refusal_ground = models.CharField(
        _("ground of the refusal"), max_length=20, choices=RefusalGround, blank=True, editable=False, help_text=_("Why it was refused.")
    )
    refusal_note = models.CharField(
        _("note on the refusal"), max_length=500, blank=True, editable=False, help_text=_("What else is to be said. No personal data.")
    )
    refused_by = person(verbose_name=_("refused by"), help_text=_("Who refused it."))
    answered_at = models.DateTimeField(
        _("answered at"), null=True, editable=False, help_text=_("When it was handed over or refused: the clock stops here.")
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=Status,
        default=Status.RECEIVED,
        editable=False,
        help_text=_("Where it stands: changed by assessing, approving, refusing and handing over alone."),
    )
    reason = models.CharField(_("reason"), max_length=40, blank=True, editable=False, help_text=_("The gate's latest answer."))
    clause = models.CharField(_("clause"), max_length=10, blank=True, editable=False, help_text=_("The policy's clause it rests on."))
    evidence = models.CharField(_("evidence"), max_length=80, blank=True, editable=False, help_text=_("The row that shows it."))
    decided_at = models.DateTimeField(_("decided at"), null=True, editable=False, help_text=_("When the gate was asked last."))
    history = History()
    objects = DisclosureRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("request for data"), _("requests for data")
        ordering = ["-id"]
        permissions = [("approve_disclosurerequest", "Can approve and refuse requests for data")]
        indexes = [models.Index(fields=["due_at"], condition=Q(answered_at=None), name="request_on_the_clock")]
        constraints = [
            models.CheckConstraint(condition=Q(ground__in=Ground.values), name="request_has_a_ground"),
            models.CheckConstraint(condition=Q(fields__contained_by=F("fields_asked")), name="request_no_more_fields_than_asked"),
            models.CheckConstraint(condition=Q(customers__contained_by=F("customers_asked")), name="request_no_more_customers_than_asked"),
            models.CheckConstraint(
                condition=Q(period_from=None)
                | Q(period_from__gte=F("asked_from"), period_until__lte=F("asked_until"), period_until__gte=F("period_from")),
                name="request_no_longer_period_than_asked",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("assessed_by")), name="request_approved_by_another_person"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "disclosed"])
                | (Q(approved_by__isnull=False, approval_expires_at__isnull=False) & ~Q(approved_scope="")),
                name="request_handed_over_only_when_approved",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "disclosed"], ground="legal_obligation")
                | (~Q(document_number="") & ~Q(legal_article="") & Q(document__isnull=False, verified_by__isnull=False)),
                name="request_of_an_authority_shows_its_law",
            ),
            models.CheckConstraint(condition=~Q(status="refused") | ~Q(refusal_ground=""), name="request_refused_with_a_ground"),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def scope(self):
        """Return the digest of all that an approval is about."""
        said = {
            "third_party": self.third_party_id,
            "ground": self.ground,
            "document": [self.document_number, str(self.document_dated_on), self.legal_article, self.document_id],
            "offer": self.offer_id,
            "fields": sorted(self.fields),
            "customers": sorted(self.customers),
            "period": [str(self.period_from), str(self.period_until)],
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def narrowed(self):
        """Whether less will be handed over than was asked for."""
        asked = (set(self.fields_asked), set(self.customers_asked), self.asked_from, self.asked_until)
        return bool(self.assessed_at) and asked != (set(self.fields), set(self.customers), self.period_from, self.period_until)

    @property
    def is_open(self):
        return self.status in self.OPEN

    def left(self, at=None):
        """Return how much of its time is left; negative when it is late, None where nothing says when it is due."""
        if self.due_at is None:
            return None
        return self.due_at - (self.answered_at or at or timezone.now())

    @property
    def late(self):
        left = self.left()
        return left is not None and left < timedelta()

    @property
    def sealed_until(self):
        """The day on which the customers may be told, where a statement holds it back; None otherwise."""
        return self.seals.aggregate(until=models.Max("until"))["until"]

    def words(self):
        """Return what the gate's latest answer says to staff."""
        return gate.WORDS.get(self.reason, "")

    def lock(self, *expected):
        """See the row as it is now, let nobody else change it, and refuse where it does not stand as expected."""
        self.refresh_from_db(from_queryset=DisclosureRequest.objects.select_for_update(of=["self"]))
        if self.status not in expected:
            raise ValidationError(_("This cannot be done to a request that is: %(status)s."), params={"status": self.get_status_display()})

    def change(self, action, *, by, decision=None, detail=None, **changes):
        """Save with history and leave the entry: what every verb does, in its transaction."""
        if decision:
            changes |= {"reason": decision.reason, "clause": decision.clause, "evidence": decision.evidence, "decided_at": timezone.now()}
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        told = {"ground": self.ground, "status": str(self.status), **(detail or {})}
        if decision:
            told |= {"reason": decision.reason, "evidence": decision.evidence}
        audit.record(action, by=by, obj=self, clause=gate.CLAUSES.get(self.ground, "§1.4"), **told)

    @staticmethod
    def refused(action, decision, *, by, obj=None):
        """Leave the entry of what the gate refused, and raise the ValidationError that says why."""
        with transaction.atomic():
            audit.record(f"{action}.refused", by=by, obj=obj, clause=decision.clause, reason=decision.reason, evidence=decision.evidence)
        raise ValidationError(gate.WORDS[decision.reason], code=decision.reason)

    def receive(self, *, by, refs, document=None, at=None):
        """Take a request in, about the customers of these numbers; ValidationError where it can rest on nothing. Starts the clock."""
        now = at or timezone.now()
        if self.ground not in gate.CLAUSES:
            self.refused("request.receive", gate.decide(self), by=by)  # before anything of it is kept
        self.received_at = (self.received_at or now).replace(second=0, microsecond=0)
        if self.received_at > now:
            raise ValidationError(_("It cannot have come in the future."))
        if self.asked_until < self.asked_from:
            raise ValidationError(_("The period ends before it begins."))
        if not self.fields_asked:
            raise ValidationError(_("Which fields are asked for?"))
        self.customers_asked = self._customers(refs)
        if self.ground == Ground.LEGAL_OBLIGATION:
            code = TermRule.Code.AUTHORITY_URGENT if self.urgent else TermRule.Code.AUTHORITY
            self.due_at = self.received_at + TermRule.objects.term(code)
        with transaction.atomic():
            self.document = Document.keep(document, by=by) if document else None
            decision = gate.decide(self, gate.TAKING, now)
            if decision.allowed:
                counts = {"fields": sorted(self.fields_asked), "customers": len(self.customers_asked), "urgent": self.urgent}
                self.change("request.receive", by=by, received_by=audit.staff(by), detail=counts)
                if self.due_at:
                    members = Staff.objects.filter(is_active=True, groups__name__in=["officer", "approver"]).distinct()
                    StaffNotice.objects.tell(members, StaffNotice.Kind.AUTHORITY_REQUEST)
            else:
                transaction.set_rollback(True)  # of what cannot rest on anything nothing is kept but the entry
        if not decision.allowed:
            self.refused("request.receive", decision, by=by)

    @staticmethod
    def _customers(refs):
        """Return the numbers of the rows that these customer numbers name; ValidationError when one names nobody."""
        refs = set(refs)
        found = dict(Customer.objects.filter(ref__in=refs).values_list("ref", "pk"))
        if not refs or refs - set(found):
            unknown = {"count": len(refs - set(found))}
            raise ValidationError(_("Name known customer numbers, at least one: %(count)s are unknown."), params=unknown)
        return sorted(found.values())

    def verify(self, *, by, how, reference, at=None):
        """Write down how it was made sure that the request comes from whom it names."""
        number_of_document(reference)
        with transaction.atomic():
            self.lock(*self.OPEN)
            if self.verified_at:
                raise ValidationError(_("The requester is verified already."))
            self.change(
                "request.verify", by=by, verified_how=self.Verification(how), verified_reference=reference, verified_by=audit.staff(by),
                verified_at=at or timezone.now(), detail={"how": str(how)},
            )  # fmt: skip

    def assess(self, *, by, fields, refs, period_from, period_until, assessment, at=None):
        """Say what may be handed over: all that is asked for, or less. What was approved before is not any more."""
        with transaction.atomic():
            self.lock(*self.OPEN)
            customers = self._customers(refs)
            if not set(fields) <= set(self.fields_asked) or not set(customers) <= set(self.customers_asked):
                raise ValidationError(_("An assessment narrows: it adds no field and no customer."))
            if not self.asked_from <= period_from <= period_until <= self.asked_until:
                raise ValidationError(_("An assessment narrows: the period lies within the one that is asked about."))
            self.void_packages()
            self.change(
                "request.assess", by=by, fields=[f for f in Field.values if f in fields], customers=customers, period_from=period_from,
                period_until=period_until, assessment=assessment, assessed_by=audit.staff(by), assessed_at=at or timezone.now(),
                approved_by=None, approved_at=None, approved_scope="", approval_expires_at=None, status=self.Status.ASSESSED,
                detail={"fields": sorted(fields), "customers": len(customers)},
            )  # fmt: skip

    def void_packages(self):
        """Destroy what was made and not fetched."""
        for package in self.packages.filter(ciphertext__isnull=False).select_for_update():
            package.void(by=None)

    def approve(self, *, by, scope=None, at=None):
        """Say that exactly this may be handed over, `scope` being what was read; never by who assessed it."""
        at = at or timezone.now()
        with transaction.atomic():
            self.lock(self.Status.ASSESSED)
            decision = gate.decide(self, gate.APPROVING, at)
            if by is None or by == self.assessed_by:
                decision = gate.refuse("own_approval", gate.CLAUSES[self.ground])
            elif scope is not None and scope != self.scope:
                decision = gate.refuse("scope_changed", gate.CLAUSES[self.ground])
            if decision.allowed:
                self.change(
                    "request.approve", by=by, decision=decision, approved_by=by, approved_at=at, approved_scope=self.scope,
                    approval_expires_at=at + TermRule.objects.term(TermRule.Code.APPROVAL), status=self.Status.APPROVED,
                    detail={"scope": self.scope},
                )  # fmt: skip
        if not decision.allowed:
            self.refused("request.approve", decision, by=by, obj=self)

    def refuse(self, *, by, ground, note="", at=None):
        """Answer that nothing is handed over, and why. The clock stops."""
        with transaction.atomic():
            self.lock(self.Status.RECEIVED, self.Status.ASSESSED)
            self.change(
                "request.refuse", by=by, refusal_ground=self.RefusalGround(ground), refusal_note=note, refused_by=audit.staff(by),
                answered_at=at or timezone.now(), status=self.Status.REFUSED, detail={"refusal": str(ground)},
            )  # fmt: skip
