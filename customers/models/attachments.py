"""Files that show something: a scanned proof, a signed paper. Refuses all but pictures and PDFs, and what came back other than kept."""

import base64
import hashlib

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from customers.models.customer import Customer
from privacy_office.fields import EncryptedTextField, UndecryptableValue
from privacy_office.querysets import CopyQuerySet
from privacy_office.uploads import Kind, kind_of


class Attachment(models.Model):
    """A file about one customer, encrypted; neither its name nor what its sender called its type is kept."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="attachments", verbose_name=_("customer"), help_text=_("Whom it is about.")
    )
    kind = models.CharField(_("kind"), max_length=4, choices=Kind, help_text=_("What it is, by its content."))
    size = models.PositiveIntegerField(_("size"), help_text=_("In bytes."))
    digest = models.BinaryField(_("digest"), max_length=32, null=True, help_text=_("SHA-256 of the file; empty once it is erased."))
    content = EncryptedTextField(_("file"), null=True, help_text=_("The file in base64. Encrypted, shown only as a download."))
    added_at = models.DateTimeField(_("added at"), auto_now_add=True, help_text=_("When it was kept."))
    added_by = models.ForeignKey(
        "privacy_office.Staff",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("added by"),
        help_text=_("Who of the staff added it; empty: the customer sent it."),
    )
    objects = CopyQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("attachment"), _("attachments")
        ordering = ["-id"]

    def __str__(self):
        return _("attachment %s") % self.pk

    @classmethod
    def keep(cls, customer, data, *, by):
        """Keep a file's bytes for a customer; ValidationError in words that help when it is none that we take."""
        kind = kind_of(data)
        told = {"kind": kind, "size": len(data)}
        with transaction.atomic():
            row = cls.objects.create(
                customer=customer,
                digest=hashlib.sha256(data).digest(),
                content=base64.b64encode(data).decode(),
                added_by=audit.staff(by),
                **told,
            )
            audit.record("attachment.keep", by=by, obj=row, subject=customer.public_id, clause="§4", **told)
        return row

    @property
    def file_name(self):
        """A name that says nothing of anybody."""
        return f"attachment-{self.pk}.{Kind(self.kind).suffix}"

    def read(self):
        """Return the file's bytes; UndecryptableValue when they are not those that were kept."""
        data = base64.b64decode(self.content or "")
        if hashlib.sha256(data).digest() != bytes(self.digest or b""):
            raise UndecryptableValue("customers.attachment.content is not what was kept")
        return data
