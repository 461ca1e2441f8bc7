"""What a customer bought and until when; its access data is of class credential."""

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from audit import models as audit
from audit.history import History
from customers.models.customer import Customer
from privacy_office.fields import BlindIdentityField, EncryptedCharField
from privacy_office.querysets import TrackedQuerySet


class ServiceQuerySet(TrackedQuerySet):
    def expiring(self, since, until):
        """Return those whose last day lies between two days, both included."""
        return self.filter(expires_on__range=(since, until))

    def enrol(self, services, *, by, source):
        """Write new services with their history and entries."""
        with transaction.atomic():
            services = bulk_create_with_history(services, Service, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("service.enrol", by=by, obj=s, subject=s.customer.public_id, clause="§1.2", source=source) for s in services
            )
        return services

    def amend(self, services, changed, *, by, source):
        """Write changes of many services; `changed` gives the names of the changed fields by primary key."""
        fields = sorted({name for names in changed.values() for name in names})
        with transaction.atomic():
            bulk_update_with_history(services, Service, fields, default_user=audit.staff(by), default_change_reason=source)
            audit.record_all(
                audit.entry("service.amend", by=by, obj=s, subject=s.customer.public_id, source=source, fields=sorted(changed[s.pk]))
                for s in services
            )


class Service(models.Model):
    """What a customer bought and until when. Its access data is of class credential."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="services", verbose_name=_("customer"), help_text=_("Whose service it is.")
    )
    product = models.CharField(_("product"), max_length=100, help_text=_("What was bought."))
    plan = models.CharField(_("plan"), max_length=100, blank=True, help_text=_("In which size or tariff."))
    started_on = models.DateField(_("started on"), null=True, blank=True, help_text=_("First day of the service."))
    expires_on = models.DateField(
        _("expires on"), null=True, blank=True, help_text=_("Last day of the service; renewal notices count back from it.")
    )
    access_username = EncryptedCharField(
        _("access username"), max_length=200, null=True, blank=True, help_text=_("Credential: encrypted, shown masked.")
    )
    access_secret = EncryptedCharField(
        _("access secret"), max_length=500, null=True, blank=True, help_text=_("Credential: encrypted, shown masked.")
    )
    identity = BlindIdentityField(
        _("identity"),
        max_length=16,
        null=True,
        sources=["product", "plan", "started_on", "access_username"],
        kind="service",
        help_text=_("Keyed digest of what tells this service from the customer's others; empty once the customer is erased."),
    )
    history = History(personal=True, excluded_fields=["identity"])
    objects = ServiceQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("service"), _("services")
        ordering = ["-id"]
        indexes = [models.Index(fields=["expires_on"])]
        constraints = [models.UniqueConstraint(fields=["customer", "identity"], name="service_identity_unique")]

    def __str__(self):
        return f"{self.product} {self.plan}".strip()

    def save(self, *args, update_fields=None, **kwargs):
        super().save(*args, update_fields=update_fields and {*update_fields, "identity"}, **kwargs)

    def identify(self):
        """Return the digest that tells this service from the customer's others: an export has no number for it."""
        return self._meta.get_field("identity").value(self)

    def identities(self):
        """Return that digest under every index key, newest first."""
        return self._meta.get_field("identity").values(self)
