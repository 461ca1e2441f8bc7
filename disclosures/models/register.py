"""The register of what was handed over, the packages on their way out, and the seals that keep a customer from being told yet."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models import Customer, Notice
from disclosures.models.documents import Document
from disclosures.models.parties import Field, Ground, ThirdParty, person
from disclosures.models.requests import DisclosureRequest, number_of_document
from privacy_office.querysets import CopyQuerySet, TrackedQuerySet


class Package(models.Model):
    """What was made for one recipient: readable by the recipient alone, and here only until it is fetched, once."""

    request = models.ForeignKey(
        DisclosureRequest, on_delete=models.PROTECT, related_name="packages", verbose_name=_("request"), help_text=_("What it answers.")
    )
    ciphertext = models.BinaryField(
        _("ciphertext"), null=True, help_text=_("Encrypted to the recipient's public key; gone once it is fetched or its time is over.")
    )
    digest = models.CharField(_("digest"), max_length=64, help_text=_("SHA-256 of the encrypted package."))
    size = models.PositiveIntegerField(_("size"), help_text=_("In bytes, encrypted."))
    token_digest = models.BinaryField(_("digest of the link"), max_length=32, unique=True, help_text=_("SHA-256 of the link's token."))
    made_by = person(verbose_name=_("made by"), help_text=_("Who had it made, and alone may fetch it."))
    made_at = models.DateTimeField(_("made at"), help_text=_("When it was made."))
    expires_at = models.DateTimeField(_("expires at"), help_text=_("Until when it can be fetched."))
    fetched_at = models.DateTimeField(_("fetched at"), null=True, help_text=_("When it was fetched: the moment of handing over."))

    class Meta:
        verbose_name, verbose_name_plural = _("package"), _("packages")
        constraints = [
            models.CheckConstraint(condition=Q(fetched_at=None) | Q(ciphertext=None), name="package_is_gone_once_fetched"),
        ]

    def __str__(self):
        return _("package %s") % self.pk

    def void(self, *, by):
        """Destroy what was not fetched."""
        self.ciphertext = None
        self.save(update_fields=["ciphertext"])
        audit.record("package.void", by=by, obj=self, clause="§6.2", digest=self.digest)


class DisclosureQuerySet(CopyQuerySet):
    def of(self, customer):
        return self.filter(customer=customer).order_by("-id")

    def shown_to(self, customer, at=None):
        """Return what the customer may see of the rows about them: sealed ones are withheld without a trace until their day."""
        return self.of(customer).unsealed(at)

    def unsealed(self, at=None):
        sealed = Seal.objects.holding(at).filter(request=OuterRef("request"))
        return self.exclude(Exists(sealed))


class Disclosure(models.Model):
    """One handing-over of one customer's data: what, to whom, on what ground; kinds of data, never values. Append-only."""

    request = models.ForeignKey(
        DisclosureRequest, on_delete=models.PROTECT, related_name="disclosures", verbose_name=_("request"), help_text=_("What it answered.")
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"), help_text=_("Whose data it was.")
    )
    third_party = models.ForeignKey(
        ThirdParty, on_delete=models.PROTECT, related_name="+", verbose_name=_("third party"), help_text=_("Who got it.")
    )
    ground = models.CharField(_("ground"), max_length=20, choices=Ground, help_text=_("Why it was handed over."))
    clause = models.CharField(_("clause"), max_length=10, help_text=_("The policy's clause it rests on."))
    evidence = models.CharField(_("evidence"), max_length=80, help_text=_("The row that shows the ground."))
    fields = ArrayField(
        models.CharField(max_length=20, choices=Field), verbose_name=_("fields"), help_text=_("Which kinds of data, never values.")
    )
    period_from = models.DateField(_("period from"), help_text=_("First day of the period."))
    period_until = models.DateField(_("period until"), help_text=_("Last day of the period."))
    at = models.DateTimeField(_("at"), help_text=_("When it was handed over."))
    recorded_at = models.DateTimeField(
        _("recorded at"), db_default=Now(), editable=False, help_text=_("Set by the database when it was written down.")
    )
    digest = models.CharField(_("digest"), max_length=64, help_text=_("SHA-256 of the encrypted package."))
    by = person(verbose_name=_("by"), help_text=_("Who handed it over."))
    approved_by = person(verbose_name=_("approved by"), help_text=_("Who approved it."))
    objects = DisclosureQuerySet.as_manager()
    kept_whole = True  # its entry vouches for the row itself

    class Meta:
        verbose_name, verbose_name_plural = _("disclosure"), _("register of disclosures")
        ordering = ["-id"]
        permissions = [("export_disclosure", "Can export the register of disclosures")]
        indexes = [models.Index(fields=["customer", "-id"], name="disclosure_of_customer"), models.Index(fields=["at"])]
        constraints = [
            models.UniqueConstraint(fields=["request", "customer"], name="disclosure_once_a_request"),
            models.CheckConstraint(condition=Q(ground__in=Ground.values), name="disclosure_has_a_ground"),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def fields_shown(self):
        return ", ".join(str(Field(name).label) for name in self.fields)

    @property
    def sealed_until(self):
        return self.request.sealed_until


class SealQuerySet(TrackedQuerySet):
    def holding(self, at=None):
        return self.filter(until__gt=timezone.localdate(at))

    def lift(self, *, at=None):
        """End the seals whose day has come, where no other holds the same request; tell the customers. Return how many requests."""
        at, lifted = at or timezone.now(), set()
        with transaction.atomic():
            others = self.model.objects.holding(at).filter(request=OuterRef("request"))
            for seal in self.filter(lifted_at=None).exclude(Exists(others)).order_by("pk").select_for_update(of=["self"], skip_locked=True):
                seal._change("seal.lift", by=None, lifted_at=at)
                lifted.add(seal.request_id)
            rows = Disclosure.objects.filter(request__in=lifted).select_related("customer", "third_party").order_by("pk")
            told = tell(rows)
            if lifted:
                audit.record("seals.lift", by=None, clause="§6.3a", requests=len(lifted), told=told)
        return len(lifted)


def tell(disclosures):
    """Tell the customers of what an authority got; return how many are told. Of all else they said yes, or it is how they pay."""
    rows = [row for row in disclosures if row.ground == Ground.LEGAL_OBLIGATION and not row.customer.erased_at]
    for row in rows:
        Notice.tell(row.customer, Notice.Kind.DISCLOSED, about=row, recipient=row.third_party.name, at=row.at.isoformat())
    return len(rows)


class Seal(models.Model):
    """A dated written statement that the customers may not be told before a day. It ends on that day by itself."""

    request = models.ForeignKey(
        DisclosureRequest,
        on_delete=models.PROTECT,
        related_name="seals",
        verbose_name=_("request"),
        help_text=_("Whose disclosures are held back."),
    )
    until = models.DateField(_("until"), help_text=_("The day on which the customers may see it and are told."))
    statement_number = models.CharField(
        _("number of the statement"), max_length=60, validators=[number_of_document], help_text=_("Of the written statement.")
    )
    statement_dated_on = models.DateField(_("statement dated"), help_text=_("The date that the statement bears."))
    document = models.ForeignKey(
        Document,
        on_delete=models.PROTECT,
        editable=False,
        related_name="+",
        verbose_name=_("document"),
        help_text=_("The statement, encrypted."),
    )
    placed_by = person(verbose_name=_("placed by"), help_text=_("Who placed it."))
    placed_at = models.DateTimeField(_("placed at"), editable=False, help_text=_("When it was placed."))
    lifted_at = models.DateTimeField(_("lifted at"), null=True, editable=False, help_text=_("When the customers were told."))
    history = History()
    objects = SealQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("seal"), _("seals")
        ordering = ["-id"]

    def __str__(self):
        return _("seal %s") % self.pk

    def _change(self, action, *, by, **changes):
        for name, value in changes.items():
            setattr(self, name, value)
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, clause="§6.3a", request=self.request_id, until=self.until.isoformat())

    def place(self, data, *, by, at=None):
        """Hold a request's disclosures back from the customers; ValidationError when they could be seen already."""
        at = at or timezone.now()
        with transaction.atomic():
            request = DisclosureRequest.objects.select_for_update().get(pk=self.request_id)
            if request.ground != Ground.LEGAL_OBLIGATION:
                raise ValidationError(_("Only an authority's request can be sealed."))
            if request.status == DisclosureRequest.Status.DISCLOSED and not Seal.objects.holding(at).filter(request=request).exists():
                raise ValidationError(_("The customers can see it already."))
            if not self.statement_dated_on <= timezone.localdate(at) < self.until:
                raise ValidationError(_("The statement is dated today or before, and the day on which the seal ends lies ahead."))
            self._change("seal.place", by=by, document=Document.keep(data, by=by), placed_by=audit.staff(by), placed_at=at)
