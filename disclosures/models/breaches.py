"""What went wrong with data, on the ministry's clock. Refuses a number of people that somebody typed."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models import Customer, Notice, Reveal
from disclosures.models.parties import TermRule, person
from disclosures.models.requests import DisclosureRequest
from privacy_office.models import Staff, StaffNotice
from privacy_office.querysets import TrackedQuerySet


class BreachQuerySet(TrackedQuerySet):
    def unreported(self):
        return self.filter(reported_at=None).order_by("due_at")


class Breach(models.Model):
    """A breach of the protection of personal data (Law 91/2025 Art. 23). Its text names no person; whom it touched is a query."""

    class Kind(models.TextChoices):
        """What can be touched: columns of a customer's row, and what hangs on it."""

        FULL_NAME = "full_name", _("full name")
        EMAIL = "email", _("e-mail")
        PHONE = "phone", _("phone")
        ADDRESS = "address", _("address")
        ACCESS = "access", _("access data of services")
        CONSENTS = "consents", _("consents")

    class Scope(models.TextChoices):
        EVERYONE = "everyone", _("every customer")
        ASSOCIATION = "association", _("customers of one association")
        PRODUCT = "product", _("customers with one product")
        SEEN_BY = "seen_by", _("customers whose data one account opened at that time")
        REQUEST = "request", _("customers of one request for data")
        LISTED = "listed", _("customers by their numbers")

    what = models.TextField(_("what happened"), max_length=4000, help_text=_("What happened and how. No personal data."))
    place = models.CharField(_("place"), max_length=200, help_text=_("Where: a system, an office."))
    parties = models.TextField(_("who was involved"), max_length=1000, blank=True, help_text=_("Organisations and roles; nobody's name."))
    began_at = models.DateTimeField(_("began at"), help_text=_("From when, as far as it is known."))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True, help_text=_("Until when; empty while it goes on."))
    discovered_at = models.DateTimeField(_("discovered at"), help_text=_("When it was discovered, to the minute: the clock starts here."))
    due_at = models.DateTimeField(_("due at"), editable=False, help_text=_("Until when the ministry has to have the report."))
    kinds = ArrayField(
        models.CharField(max_length=20, choices=Kind), verbose_name=_("kinds of data"), help_text=_("Which kinds of data it touched.")
    )
    scope = models.CharField(
        _("whom it touched"), max_length=20, choices=Scope, help_text=_("The query that finds the people: their number is never typed.")
    )
    scope_value = models.TextField(
        _("which ones"),
        max_length=4000,
        blank=True,
        help_text=_("The association (prospect, active, ended), product, user name, number of the request, or customer numbers."),
    )
    people = models.PositiveIntegerField(_("people"), editable=False, help_text=_("How many customers the query found."))
    quantities = models.JSONField(
        _("quantities"), default=dict, editable=False, help_text=_("Of how many customers there was a value, by kind of data.")
    )
    counted_at = models.DateTimeField(_("counted at"), editable=False, help_text=_("When the query was asked last."))
    consequences = models.TextField(_("consequences"), max_length=4000, blank=True, help_text=_("What may come of it for the people."))
    measures = models.TextField(_("measures"), max_length=4000, blank=True, help_text=_("What was done and will be done."))
    minutes = models.TextField(
        _("minutes"),
        max_length=8000,
        blank=True,
        help_text=_("The minutes that confirm the breach. Needed for the report; no personal data."),
    )
    recorded_by = person(verbose_name=_("recorded by"), help_text=_("Who wrote it down."))
    reported_at = models.DateTimeField(_("reported at"), null=True, editable=False, help_text=_("When the ministry got the report."))
    report_number = models.CharField(
        _("number of the report"), max_length=60, blank=True, editable=False, help_text=_("Under which the ministry took it.")
    )
    reported_by = person(verbose_name=_("reported by"), help_text=_("Who reported it."))
    told_at = models.DateTimeField(_("customers told at"), null=True, editable=False, help_text=_("When the customers were told."))
    history = History()
    objects = BreachQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("breach"), _("register of breaches")
        ordering = ["-id"]
        permissions = [("report_breach", "Can report a breach and tell the customers")]
        constraints = [
            models.CheckConstraint(condition=Q(reported_at=None) | ~Q(minutes=""), name="breach_reported_with_minutes"),
            models.CheckConstraint(condition=Q(ended_at=None) | Q(ended_at__gte=models.F("began_at")), name="breach_ends_after_it_begins"),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def late(self):
        return (self.reported_at or timezone.now()) > self.due_at

    @property
    def kinds_shown(self):
        return ", ".join(str(self.Kind(name).label) for name in self.kinds)

    @property
    def quantities_shown(self):
        """Return (kind of data, of how many customers there was a value)."""
        return [(self.Kind(name).label, number) for name, number in self.quantities.items()]

    def affected(self):
        """Return the customers whom it touched."""
        living, value = Customer.objects.living(), self.scope_value.strip()
        match self.scope:
            case self.Scope.EVERYONE:
                return living
            case self.Scope.ASSOCIATION:
                return living.filter(association=value)
            case self.Scope.PRODUCT:
                return living.filter(pk__in=living.filter(services__product=value).values("pk"))
            case self.Scope.SEEN_BY:
                seen = Reveal.objects.filter(by__username=value, opened_at__gte=self.began_at)
                if self.ended_at:
                    seen = seen.filter(opened_at__lte=self.ended_at)
                return living.filter(pk__in=seen.values("customer"))
            case self.Scope.REQUEST:
                rows = DisclosureRequest.objects.filter(pk=value if value.isdecimal() else None).values_list("customers_asked", flat=True)
                return living.filter(pk__in=rows[0] if rows else [])
            case self.Scope.LISTED:
                return living.filter(ref__in=value.replace(",", " ").split())
        raise ValidationError({"scope": _("There is no such query.")})

    def _count(self, at):
        affected = self.affected()
        self.people, self.counted_at = affected.count(), at
        own = {name: Q(**{f"{name}__isnull": False}) for name in self.kinds if name in Customer.PERSONAL}
        others = {
            self.Kind.ACCESS: Q(services__access_secret__isnull=False) | Q(services__access_username__isnull=False),
            self.Kind.CONSENTS: Q(consent_events__isnull=False),
        }
        asked = {**own, **{name.value: held for name, held in others.items() if name in self.kinds}}
        self.quantities = {name: affected.filter(held).order_by().values("pk").distinct().count() for name, held in asked.items()}
        if not self.people:
            raise ValidationError({"scope_value": _("This query finds nobody.")})

    def clean(self):
        if self.scope == self.Scope.SEEN_BY and not Staff.objects.filter(username=self.scope_value.strip()).exists():
            raise ValidationError({"scope_value": _("There is no such account.")})

    def keep(self, *, by, at=None):
        """Write it down, new or changed, and count whom it touched; the first time the clock starts and the officers are told."""
        at = at or timezone.now()
        with transaction.atomic():
            before = Breach.objects.select_for_update().filter(pk=self.pk).first()
            if before and before.reported_at:
                raise ValidationError(_("This breach was reported: it is not changed any more."))
            self.discovered_at = self.discovered_at.replace(second=0, microsecond=0)
            if self.discovered_at > at:
                raise ValidationError({"discovered_at": _("It cannot have been discovered in the future.")})
            self.clean()
            self._count(at)
            self.due_at = self.discovered_at + TermRule.objects.term(TermRule.Code.BREACH)
            self.recorded_by = self.recorded_by or audit.staff(by)
            self._change("breach.change" if before else "breach.add", by=by)
            if not before:
                StaffNotice.objects.tell(Staff.objects.in_role("officer"), StaffNotice.Kind.BREACH)

    def report(self, *, by, number, at=None):
        """Write down that the ministry has the report; ValidationError without minutes."""
        with transaction.atomic():
            self._lock()
            if self.reported_at:
                raise ValidationError(_("This breach was reported already."))
            if not (self.minutes and self.consequences and self.measures):
                raise ValidationError(_("The report needs minutes, consequences and measures."))
            self.reported_at, self.report_number, self.reported_by = at or timezone.now(), number, audit.staff(by)
            self._change("breach.report", by=by, late=self.late)

    def tell(self, *, by, at=None):
        """Tell every customer whom the query finds now, once; ValidationError where there is too little to tell."""
        with transaction.atomic():
            self._lock()
            if self.told_at:
                raise ValidationError(_("The customers were told already."))
            if not (self.consequences and self.measures):
                raise ValidationError(_("The customers have to be told the consequences and the measures."))
            told = {"what": self.what, "consequences": self.consequences, "measures": self.measures}
            told |= {"discovered": self.discovered_at.isoformat()}
            number = 0
            for customer in self.affected().only("pk").iterator(chunk_size=1000):
                number += 1
                Notice.tell(customer, Notice.Kind.BREACH, about=self, **told)
            self.told_at = at or timezone.now()
            self._change("breach.tell", by=by, told=number)

    def _lock(self):
        self.refresh_from_db(from_queryset=Breach.objects.select_for_update())

    def _change(self, action, *, by, **detail):
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        audit.record(action, by=by, obj=self, clause="§6.1", people=self.people, kinds=sorted(self.kinds), **detail)
