"""Signs that something is wrong with an address, and the rules by which they count (§3.1, §3.3). Refuses to name a person in a sign."""

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.history import History
from customers.models.customer import Customer
from customers.models.holds import EmailHold
from privacy_office.querysets import TrackedQuerySet


class AnomalyKind(models.TextChoices):
    FAILED_SIGN_IN = "failed_sign_in", _("failed sign-in")
    FAILED_LINK = "failed_link", _("link that was used already or too late")
    CHANGE_ASKED = "change_asked", _("change asked for")
    BOUNCE_AFTER_CHANGE = "bounce_after_change", _("bounce after a change of address")
    FRAUD_REPORT = "fraud_report", _("report of fraud")
    BOUNCE = "bounce", _("mail that came back for good")


class HoldRule(models.Model):
    """How many signs of one kind within how many hours suspend an address (§3.3). Rows, not code: the officer keeps them.

    Mails that came back do not suspend it: so many of them make it a dead one (§3.1).
    """

    kind = models.CharField(_("kind"), max_length=20, choices=AnomalyKind, unique=True, help_text=_("Which signs are counted."))
    threshold = models.PositiveSmallIntegerField(
        _("threshold"),
        validators=[MinValueValidator(1)],
        help_text=_("So many of them suspend the address; so many mails that came back make it a dead one."),
    )
    within_hours = models.PositiveSmallIntegerField(
        _("within hours"), validators=[MinValueValidator(1)], help_text=_("Counted back from the latest one.")
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Whether the rule acts."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("rule for holds"), _("rules for holds")
        ordering = ["kind"]
        constraints = [models.CheckConstraint(condition=models.Q(threshold__gte=1, within_hours__gte=1), name="holdrule_counts_something")]

    def __str__(self):
        return self.kind


class Anomaly(models.Model):
    """One sign of fraud or of anything else that is wrong with a customer's address, for a rule to count."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="anomalies", verbose_name=_("customer"), help_text=_("Whose address it concerns.")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=AnomalyKind, help_text=_("What was seen."))
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When it was seen."))

    class Meta:
        verbose_name, verbose_name_plural = _("anomaly"), _("anomalies")
        ordering = ["-id"]
        indexes = [models.Index(fields=["customer", "kind", "at"])]

    def __str__(self):
        return f"{self.kind} {self.pk}"

    @classmethod
    def count(cls, customer, kind, *, by=None, at=None, since=None):
        """Write a sign down; return the rule that it fulfils, or None. What came before `since` does not count."""
        at = at or timezone.now()
        with transaction.atomic():
            Customer.objects.select_for_update().only("pk").get(pk=customer.pk)  # two signs at once would each miss the other in the count
            sign = cls.objects.create(customer=customer, kind=kind, at=at)
            audit.record("anomaly.note", by=by, obj=sign, subject=customer.public_id, clause="§3.3", kind=kind)
            rule = HoldRule.objects.filter(kind=kind, active=True).first()
            if rule is None:
                return None
            within = at - timedelta(hours=rule.within_hours)
            seen = cls.objects.filter(customer=customer, kind=kind, at__gt=max(within, since or within)).count()
            return rule if seen >= rule.threshold else None

    @classmethod
    def note(cls, customer, kind, *, by=None, at=None):
        """Write a sign down, and suspend the address where a rule says so; return the hold that was placed, or None."""
        with transaction.atomic():
            rule = cls.count(customer, kind, by=by, at=at)
            if rule is None or customer.holds.open().exists():
                return None
            return EmailHold.place(customer, by=None, reason=rule.get_kind_display(), rule=rule.kind)
