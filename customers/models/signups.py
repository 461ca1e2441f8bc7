"""A sign-up on the company's own site that waits for its confirmation. Refuses to be taken for a yes: anybody can type any address."""

import secrets
from datetime import timedelta
from functools import partial

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from customers.models.customer import Customer
from customers.models.links import Link
from customers.models.notices import Notice
from privacy_office import celery
from privacy_office.fields import EncryptedEmailField, blinds

ASK = "customers.tasks.ask_signups"
CLAUSE = "§2.4"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class SignUpQuerySet(models.QuerySet):
    def ask(self, at=None):
        """Have the owners of addresses that wait asked, a hundred at most; return how many there were."""
        with transaction.atomic():
            waiting = list(self.filter(asked_at=None).order_by("pk").select_for_update(skip_locked=True)[:100])
            for row in waiting:
                row.ask(at=at)
        return len(waiting)


class SignUp(models.Model):
    """What somebody ticked for an address on the company's site. Its owner alone makes a consent of it, by the link they are sent.

    Taking and asking are two, so that the answer takes as long for an address that nobody has as for one that a customer has.
    """

    class Refused(Exception):
        """Why a sign-up is not taken: it is `repeated`, or there are too many from one `network`."""

    LASTS = Link.LASTS[Link.Use.SIGN_UP]
    MOST_ASKED = 3  # times that one address is asked in a day, whoever types it; the form is not told
    MOST_FROM_NETWORK = 30  # in an hour

    request = models.BinaryField(
        _("request"),
        max_length=32,
        null=True,
        unique=True,
        editable=False,
        help_text=_("SHA-256 of the request's signature: none counts twice."),
    )
    email = EncryptedEmailField(_("e-mail"), null=True, help_text=_("What was typed, until its owner is asked. Encrypted."))
    indexes = ArrayField(
        models.BinaryField(max_length=16), verbose_name=_("address"), help_text=_("Blind indexes of the address, until it is confirmed.")
    )
    network = models.BinaryField(
        _("network"), max_length=16, help_text=_("Keyed digest of the network it came from, until it is confirmed.")
    )
    purposes = ArrayField(models.CharField(max_length=40), verbose_name=_("purposes"), help_text=_("The codes of what was ticked."))
    policy_number = models.PositiveIntegerField(_("policy version"), help_text=_("The policy version that the form showed."))
    locale = models.CharField(_("language"), max_length=2, choices=Customer.Locale, help_text=_("In which language the form was."))
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        related_name="signups",
        verbose_name=_("customer"),
        help_text=_("Who has the address; empty until they are asked."),
    )
    newcomer = models.BooleanField(
        _("newcomer"), default=False, help_text=_("Whether nobody had this address: then it is erased where nobody confirms it.")
    )
    received_at = models.DateTimeField(_("received at"), help_text=_("When it reached us."))
    asked_at = models.DateTimeField(_("asked at"), null=True, help_text=_("When the owner was asked, or was found to be asked enough."))
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, help_text=_("When the owner of the address said yes."))
    objects = SignUpQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("sign-up"), _("sign-ups")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=Q(asked_at=None), name="signup_waiting"),
            models.Index(fields=["received_at"]),
            models.Index(fields=["network", "received_at"]),
        ]

    def __str__(self):
        return _("sign-up %s") % self.pk

    @classmethod
    def receive(cls, email, *, request, network, purposes, policy_number, locale, at=None):
        """Keep a sign-up until its owner is asked; Refused where it cannot be, ValueError for what is no address.

        `request` is the digest by which the same request is known again, `network` the one of where the form was filled in.
        """
        row = cls(request=request, email=email, indexes=blinds("email", email), network=network, purposes=sorted(purposes))
        row.policy_number, row.locale, row.received_at = policy_number, locale, at or timezone.now()
        with transaction.atomic():
            row._refuse_too_many()
            if cls._since(row.received_at - DAY, indexes__overlap=row.indexes) >= cls.MOST_ASKED:
                row.email, row.asked_at = None, row.received_at
            row.save()
            audit.record("signup.receive", by=None, obj=row, clause=CLAUSE, purposes=row.purposes)
            transaction.on_commit(partial(celery.wake, ASK))
        return row

    def _refuse_too_many(self):
        """Let nobody else take a sign-up of this network or address until the transaction ends, and refuse a copy and a flood."""
        with connection.cursor() as cursor:
            for key in (self.network, self.indexes[0]):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key[:8], signed=True)])
        if SignUp.objects.filter(request=self.request).exists():
            raise self.Refused("repeated")
        if self._since(self.received_at - HOUR, network=self.network) >= self.MOST_FROM_NETWORK:
            raise self.Refused("network")

    @classmethod
    def _since(cls, moment, **of):
        return cls.objects.filter(received_at__gt=moment, **of).count()

    @property
    def expires_at(self):
        return self.received_at + self.LASTS

    def ask(self, *, at=None):
        """Find who has the address, a new prospect where nobody has, and have them asked."""
        at = at or timezone.now()
        with transaction.atomic():
            self.customer, self.newcomer = _owner(self.email, self.locale)
            self.email, self.asked_at = None, at
            self.save()
            audit.record("signup.ask", by=None, obj=self, subject=self.customer.public_id, clause=CLAUSE, newcomer=self.newcomer)
            Notice.tell(self.customer, Notice.Kind.CONFIRM_SIGNUP, about=self, until=self.expires_at.isoformat())

    def confirm(self, *, by, at=None):
        """Write down that the owner of the address said yes, which proves the address too (§3.1); ValidationError when it is too late."""
        at = at or timezone.now()
        with transaction.atomic():
            customer = Customer.objects.select_for_update(no_key=True).get(pk=self.customer_id)
            self.refresh_from_db(from_queryset=SignUp.objects.select_for_update(of=["self"]))
            known_as = {bytes(index) for index in (customer.email_index, *(customer.email_others or ())) if index}
            if self.confirmed_at or at >= self.expires_at or known_as.isdisjoint(map(bytes, self.indexes)):
                raise ValidationError(_("It is too late to confirm this."))
            self.confirmed_at, self.indexes, self.network = at, [], b""
            self.save()
            audit.record("signup.confirm", by=by, obj=self, subject=customer.public_id, clause=CLAUSE)
            if customer.email_state in (Customer.EmailState.UNVERIFIED, Customer.EmailState.BOUNCING):
                customer.set_email_state(Customer.EmailState.VERIFIED, by=by, reason="signup.confirm")


def _owner(email, locale):
    """Return (the living customer who has this address, whether a sign-up alone brought them and nothing was confirmed yet)."""
    living = Customer.objects.living().filter(email_index__in=blinds("email", email))
    customer = living.first()
    if customer:
        return customer, customer.signups.filter(newcomer=True).exists() and not customer.signups.exclude(confirmed_at=None).exists()
    ref = f"SIGNUP-{secrets.token_hex(6).upper()}"
    new = Customer(ref=ref, email=email, locale=locale, association=Customer.Association.PROSPECT)
    (new,) = Customer.objects.enrol([new], by=None, source="signup")
    return new, True
