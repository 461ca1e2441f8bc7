"""One-time links. Refuses whoever comes twice, too late, or with a link for something else; holds a digest, never what opens it."""

import hashlib
import secrets
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer
from customers.models.notices import Notice, name_of


class Link(models.Model):
    """A link that does one thing for one customer once. 256 random bits, of which only the SHA-256 is kept."""

    class Use(models.TextChoices):
        SIGN_IN = "sign_in", _("sign in")
        PASSWORD = "password", _("set a password")
        DOWNLOAD = "download", _("download one's data")
        IDENTITY = "identity", _("confirm who asks")
        VERIFY = "verify", _("verify an address")
        CONFIRM_ADDRESS = "confirm_address", _("confirm a new address")
        APPROVE_ADDRESS = "approve_address", _("approve a new address")
        OBJECT = "object", _("object to a new address")
        INFORMATION = "information", _("answer a question")
        SIGN_UP = "sign_up", _("confirm a sign-up")

    LASTS = {
        Use.SIGN_IN: timedelta(minutes=30),
        Use.PASSWORD: timedelta(minutes=30),
        Use.DOWNLOAD: timedelta(days=1),
        Use.IDENTITY: timedelta(days=7),
        Use.VERIFY: timedelta(days=7),
        Use.CONFIRM_ADDRESS: timedelta(days=3),
        Use.APPROVE_ADDRESS: timedelta(days=3),
        Use.OBJECT: timedelta(days=7),
        Use.INFORMATION: timedelta(days=14),
        Use.SIGN_UP: timedelta(days=3),
    }
    # What a suspended address does not open, though it was issued before (§3.3): all but what only protects.
    BARRED_BY_HOLD = frozenset(Use) - {Use.OBJECT}

    class Refused(Exception):
        """Why a link opens nothing: `reason` is unknown, used, expired or held; of a known one `link` says what it was for."""

        def __init__(self, reason, link=None):
            super().__init__(reason)
            self.reason, self.link = reason, link

    digest = models.BinaryField(_("digest"), max_length=32, unique=True, editable=False, help_text=_("SHA-256 of what the link carries."))
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="links", verbose_name=_("customer"), help_text=_("Whom it is for.")
    )
    use = models.CharField(_("use"), max_length=20, choices=Use, help_text=_("What it does, and nothing else."))
    about = models.CharField(_("about"), max_length=80, blank=True, help_text=_("The row it is about: app.model:number."))
    notice = models.ForeignKey(
        Notice, on_delete=models.PROTECT, null=True, related_name="links", verbose_name=_("notice"), help_text=_("What carried it.")
    )
    issued_at = models.DateTimeField(_("issued at"), help_text=_("When it was made."))
    expires_at = models.DateTimeField(_("expires at"), help_text=_("Until when it can be used."))
    used_at = models.DateTimeField(_("used at"), null=True, help_text=_("When it was used, or one that was sent in its stead."))

    class Meta:
        verbose_name, verbose_name_plural = _("one-time link"), _("one-time links")
        ordering = ["-id"]

    def __str__(self):
        return f"{self.use} {self.pk}"

    @classmethod
    def issue(cls, customer, use, *, about="", notice=None, at=None):
        """Make a link; return it and the text that opens it, which cannot be looked up again."""
        token, at = secrets.token_urlsafe(32), at or timezone.now()
        about = about if isinstance(about, str) else name_of(about)
        link = cls.objects.create(
            digest=_digest(token), customer=customer, use=use, about=about, notice=notice, issued_at=at, expires_at=at + cls.LASTS[use]
        )
        return link, token

    @classmethod
    def find(cls, token, use, *, at=None, lock=False):
        """Return the link that a text opens for this use; Refused says why none. `lock` keeps others out until the transaction ends."""
        rows = cls.objects.select_for_update(of=["self"]) if lock else cls.objects.all()
        link = rows.select_related("customer").filter(digest=_digest(token), use=use).first()
        if link is None:
            raise cls.Refused("unknown")
        if link.used_at:
            raise cls.Refused("used", link)
        if (at or timezone.now()) >= link.expires_at:
            raise cls.Refused("expired", link)
        if use in cls.BARRED_BY_HOLD and link.customer.holds.open().exists():
            raise cls.Refused("held", link)
        return link

    def spend(self, *, at=None):
        """Use the link up, and with it those that the same notice carried: call it in the transaction of what it is used for."""
        siblings = Q(notice=self.notice_id) if self.notice_id else Q(pk=self.pk)
        Link.objects.filter(siblings, used_at=None).update(used_at=at or timezone.now())


def _digest(token):
    return hashlib.sha256(token.encode()).digest()
