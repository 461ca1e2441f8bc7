"""How customers come in, by a link or a password, and how long they stay. Holds no address, and tells nobody whose address is known."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from customers.models.anomalies import Anomaly, AnomalyKind
from customers.models.customer import Customer
from customers.models.notices import Notice
from privacy_office.fields import blinds

IDLE = timedelta(seconds=settings.SESSION_COOKIE_AGE)
LASTS = timedelta(seconds=settings.SESSION_ENDS_AFTER)
SEEN_EVERY = timedelta(minutes=1)  # how exactly a session knows when it was used last


class SessionQuerySet(models.QuerySet):
    def live(self, at=None):
        at = at or timezone.now()
        return self.filter(ended_at=None, seen_at__gt=at - IDLE, began_at__gt=at - LASTS)


class Session(models.Model):
    """One browser in which a customer is signed in; the cookie's SHA-256 alone is kept."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="sessions", verbose_name=_("customer"), help_text=_("Who is signed in.")
    )
    digest = models.BinaryField(_("digest"), max_length=32, unique=True, editable=False, help_text=_("SHA-256 of the cookie."))
    began_at = models.DateTimeField(_("began at"), help_text=_("When the customer signed in."))
    seen_at = models.DateTimeField(_("seen at"), help_text=_("When it was last used, to the minute."))
    ended_at = models.DateTimeField(_("ended at"), null=True, help_text=_("When it was ended; empty: it runs out by itself."))
    objects = SessionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("customer's session"), _("customers' sessions")
        ordering = ["-id"]
        indexes = [models.Index(fields=["customer"], condition=Q(ended_at=None), name="session_open")]

    def __str__(self):
        return f"{self.pk}"

    @classmethod
    def begin(cls, customer, *, how, source, at=None):
        """Sign a customer in; return the session and the text for its cookie. `source` is where the request came from."""
        token, at = secrets.token_urlsafe(32), at or timezone.now()
        with transaction.atomic():
            session = cls.objects.create(customer=customer, digest=_digest(token), began_at=at, seen_at=at)
            audit.record("customer.sign_in", by=customer, obj=session, subject=customer.public_id, clause="§6.2", how=how, **source)
        return session, token

    @classmethod
    def find(cls, token, at=None):
        """Return the live session of a cookie, or None; it counts as used now."""
        at = at or timezone.now()
        session = cls.objects.live(at).select_related("customer").filter(digest=_digest(token), customer__erased_at=None).first()
        if session and session.seen_at < at - SEEN_EVERY:
            cls.objects.filter(pk=session.pk).update(seen_at=at)
        return session

    def end(self, *, source, others=False, at=None):
        """Sign out this browser, or with `others` every other one."""
        ending = self.customer.sessions.filter(ended_at=None)
        ending = ending.exclude(pk=self.pk) if others else ending.filter(pk=self.pk)
        with transaction.atomic():
            ended = ending.update(ended_at=at or timezone.now())
            action = "customer.end_sessions" if others else "customer.sign_out"
            audit.record(action, by=self.customer, obj=self, subject=self.customer.public_id, clause="§6.2", sessions=ended, **source)


def _digest(token):
    return hashlib.sha256(token.encode()).digest()


class AccessRequestQuerySet(models.QuerySet):
    def failed(self):
        """Return the passwords that were wrong."""
        return self.filter(kind=AccessRequest.Kind.FAILED)

    def answer(self):
        """Send a link to whoever of those that asked is known, and count the failures of the others; return how many knocks there were.

        Asking and answering are two, so that the page takes as long for an address that nobody has as for one that a customer has.
        """
        with transaction.atomic():
            asked = list(self.filter(answered_at=None).order_by("pk").select_for_update(skip_locked=True)[:100])
            for kind, notice_kind in ((AccessRequest.Kind.LINK, Notice.Kind.SIGN_IN), (AccessRequest.Kind.PASSWORD, Notice.Kind.PASSWORD)):
                indexes = {bytes(index) for a in asked if a.kind == kind for index in a.indexes}
                for customer in Customer.objects.living().filter(email_index__in=indexes).only("pk", "public_id"):
                    notice = Notice.tell(customer, notice_kind)
                    audit.record("customer.ask_link", by=customer, obj=notice, subject=customer.public_id, clause="§6.2", kind=kind)
            self._count_failures([a for a in asked if a.kind == AccessRequest.Kind.FAILED])
            self.filter(pk__in=[a.pk for a in asked]).update(answered_at=timezone.now())
            self.filter(at__lt=timezone.now() - AccessRequest.KEPT).delete()
        return len(asked)

    def _count_failures(self, failures):
        """Note each as a sign of something abnormal around the customer who has the address (§3.3)."""
        indexes = {bytes(index) for a in failures for index in a.indexes}
        for customer in Customer.objects.living().filter(email_index__in=indexes).only("pk", "public_id", "email_index"):
            for failure in failures:
                if bytes(customer.email_index) in map(bytes, failure.indexes):
                    Anomaly.note(customer, AnomalyKind.FAILED_SIGN_IN, at=failure.at)


class AccessRequest(models.Model):
    """Somebody knocked with an address that may be anybody's: its blind indexes alone are kept, for a day.

    Each kind has limits of its own, so that whoever guesses passwords keeps nobody from asking for a link. Links are asked for five times
    in as long as one lasts: where the sixth is not sent, one that still works lies in the mailbox.
    """

    class Kind(models.TextChoices):
        LINK = "link", _("asked for a link to sign in")
        PASSWORD = "password", _("asked for a link to set a password")
        FAILED = "failed", _("wrong password")

    KEPT = timedelta(days=1)
    LIMITS = {  # how many with one address, and how many from one network
        Kind.LINK: [("indexes", timedelta(minutes=30), 5), ("network", timedelta(hours=1), 30)],
        Kind.PASSWORD: [("indexes", timedelta(minutes=30), 5), ("network", timedelta(hours=1), 30)],
        Kind.FAILED: [("indexes", timedelta(minutes=15), 10), ("network", timedelta(minutes=15), 100)],
    }

    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.LINK, help_text=_("What was asked, or went wrong."))
    indexes = ArrayField(
        models.BinaryField(max_length=16), verbose_name=_("address"), help_text=_("Blind indexes of the address that was typed.")
    )
    network = models.BinaryField(_("network"), max_length=16, help_text=_("Keyed digest of the network it came from."))
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When it was asked."))
    answered_at = models.DateTimeField(_("answered at"), null=True, help_text=_("When it was looked at."))
    objects = AccessRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("knock at the door"), _("knocks at the door")
        indexes = [
            models.Index(fields=["id"], condition=Q(answered_at=None), name="accessrequest_waiting"),
            models.Index(fields=["indexes", "at"]),
            models.Index(fields=["network", "at"]),
        ]

    def __str__(self):
        return f"{self.pk}"

    @classmethod
    def of(cls, kind, email, network, at=None):
        """Return an unsaved knock; ValueError for what is no address."""
        return cls(kind=kind, indexes=blinds("email", email), network=network, at=at or timezone.now())

    @classmethod
    def ask(cls, email, network, *, kind=Kind.LINK, at=None):
        """Note that a link was asked for; return whether it counts, which the page must not tell. ValueError for what is no address."""
        asked = cls.of(kind, email, network, at)
        if counts := not asked.limited():
            asked.save()
        return counts

    def limited(self):
        """Return whether there were as many of this kind lately as are answered; who knocks with the same address waits until we know."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(self.indexes[0][:8], signed=True)])
        alike = AccessRequest.objects.filter(kind=self.kind)
        counts = [
            (alike.filter(**{field: getattr(self, field)}, at__gt=self.at - within).count(), most)
            for field, within, most in self.LIMITS[self.kind]
        ]
        return any(count >= most for count, most in counts)
