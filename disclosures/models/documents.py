"""Signed documents, kept encrypted. Refuses what is not a PDF or a picture, and to be opened without an entry."""

import hashlib
from base64 import b64decode, b64encode

import puremagic
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from privacy_office.fields import EncryptedTextField

LARGEST = 4 * 1024 * 1024  # bytes
TAKEN = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg"}


class Document(models.Model):
    """A signed document as it came: a commitment, an authority's letter, a statement. Written once; its name is not kept."""

    content = EncryptedTextField(_("content"), help_text=_("The file. Encrypted."))
    media_type = models.CharField(_("kind of file"), max_length=40, help_text=_("As its content shows, whatever its name says."))
    size = models.PositiveIntegerField(_("size"), help_text=_("In bytes."))
    digest = models.CharField(_("digest"), max_length=64, help_text=_("SHA-256 of the file."))
    added_at = models.DateTimeField(_("added at"), auto_now_add=True, help_text=_("When it was kept."))
    kept_whole = True  # its entry vouches for the digest

    class Meta:
        verbose_name, verbose_name_plural = _("document"), _("documents")
        permissions = [("read_document", "Can read signed documents")]

    def __str__(self):
        return _("document %s") % self.pk

    @classmethod
    def keep(cls, data, *, by):
        """Keep a file's bytes; ValidationError where they are too many, or no PDF and no picture."""
        if len(data) > LARGEST:
            raise ValidationError(_("This file is too large: at most 4 MB."))
        try:
            media_type = puremagic.from_string(data, mime=True)
        except (puremagic.PureError, ValueError):
            media_type = ""
        if media_type not in TAKEN:
            raise ValidationError(_("A signed document is a PDF, a PNG or a JPEG."))
        with transaction.atomic():
            kept = cls.objects.create(
                content=b64encode(data).decode(), media_type=media_type, size=len(data), digest=hashlib.sha256(data).hexdigest()
            )
            audit.record("document.keep", by=by, obj=kept, clause="§6.2", size=kept.size, digest=kept.digest)
        return kept

    @property
    def file_name(self):
        return f"document-{self.pk}.{TAKEN[self.media_type]}"

    def read(self, *, by):
        """Return the file's bytes, after the entry that it was read."""
        with transaction.atomic():
            audit.record("document.read", by=by, obj=self, clause="§6.2")
        return b64decode(self.content)
