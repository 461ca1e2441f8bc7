"""What a customer must be told. A verb writes it in its own transaction, so that telling cannot be forgotten; `mailings` sends it once."""

from functools import partial

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer
from privacy_office import celery
from privacy_office.fields import EncryptedEmailField
from privacy_office.querysets import CopyQuerySet

TELL = "mailings.tasks.tell"


class NoticeQuerySet(CopyQuerySet):
    def waiting(self):
        return self.filter(posted_at=None).order_by("pk")

    def about(self, row):
        """Return what customers were told about one row."""
        return self.filter(about=name_of(row))


def name_of(row):
    """Return how a row of any app is named where no key can point, as entries name their objects."""
    return f"{row._meta.label_lower}:{row.pk}" if row is not None else ""


class Notice(models.Model):
    """Something that one customer must be told, written in the transaction of what it tells of. Names no person."""

    class Kind(models.TextChoices):
        SIGN_IN = "sign_in", _("link to sign in")
        PASSWORD = "password", _("link to set a password")
        PASSWORD_CHANGED = "password_changed", _("password changed")
        DOWNLOAD = "download", _("link to one's own data")
        CONFIRM_SIGNUP = "confirm_signup", _("confirmation of a sign-up")
        POLICY_CHANGED = "policy_changed", _("change of the policy")
        REQUEST_RECEIVED = "request_received", _("request received")
        REQUEST_TO_CONFIRM = "request_to_confirm", _("request to be confirmed")
        REQUEST_WAITING = "request_waiting", _("request waits for the end of a hold")
        REQUEST_ACKNOWLEDGED = "request_acknowledged", _("first reply to a request")
        REQUEST_EXTENDED = "request_extended", _("request extended")
        REQUEST_FULFILLED = "request_fulfilled", _("request fulfilled")
        REQUEST_REFUSED = "request_refused", _("request refused")
        VERIFY_ADDRESS = "verify_address", _("is this address read")
        CONFIRM_ADDRESS = "confirm_address", _("a new address, to itself")
        APPROVE_ADDRESS = "approve_address", _("a new address, to the old one")
        ADDRESS_CHANGED = "address_changed", _("the address was changed")
        DISCLOSED = "disclosed", _("data handed over to an authority")
        BREACH = "breach", _("a breach that touched the customer")
        ERASURE = "erasure", _("the data is going to be erased")
        REFUSED = "refused", _("refusal confirmed")
        CORRECTION_RECEIVED = "correction_received", _("correction received")
        CORRECTION_WAITING = "correction_waiting", _("correction waits for the end of a hold")
        CORRECTION_ASKED = "correction_asked", _("correction needs more")
        CORRECTION_APPLIED = "correction_applied", _("correction done")
        CORRECTION_REFUSED = "correction_refused", _("correction refused")
        INFORMATION = "information", _("question to the customer")
        SUPPORT_RECEIVED = "support_received", _("mail received")
        SUPPORT_WAITING = "support_waiting", _("mail waits for the end of a hold")
        SUPPORT_ANSWERED = "support_answered", _("mail answered")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="notices", verbose_name=_("customer"), help_text=_("Who is told.")
    )
    kind = models.CharField(_("kind"), max_length=30, choices=Kind, help_text=_("What is told: the words stand with the letters."))
    about = models.CharField(_("about"), max_length=80, blank=True, help_text=_("The row it is about: app.model:number."))
    values = models.JSONField(_("values"), default=dict, help_text=_("Numbers, dates, names of things that the words need; nobody's data."))
    address = EncryptedEmailField(
        _("address"), null=True, help_text=_("Where it goes when that is not the customer's present address. Encrypted.")
    )
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When there was something to tell."))
    posted_at = models.DateTimeField(_("posted at"), null=True, help_text=_("When its message was made."))
    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("notice"), _("notices")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(posted_at=None), name="notice_waiting"),
            models.Index(fields=["about"], condition=~models.Q(about=""), name="notice_about"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer", "about"], condition=models.Q(kind="policy_changed"), name="notice_of_policy_once"),
        ]

    def __str__(self):
        return f"{self.kind} {self.pk}"

    @classmethod
    def tell(cls, customer, kind, *, about=None, address=None, **values):
        """Have a customer told, in the transaction of what they are told of; workers are woken when it is committed."""
        notice = cls.objects.create(customer=customer, kind=kind, about=name_of(about), address=address, values=values)
        transaction.on_commit(partial(celery.wake, TELL))
        return notice
