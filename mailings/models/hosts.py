"""The company's own hosts: where a link may lead without a word. All others are left by the notice page (§5)."""

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.history import History
from privacy_office.querysets import TrackedQuerySet

HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.?")


class CompanyHostQuerySet(TrackedQuerySet):
    def owns(self, host):
        """Return whether a host counts as the company's."""
        return self.filter(host=host, active=True).exists()


class CompanyHost(models.Model):
    """A host for which the company answers itself. Each stands for itself alone, not for what is below it."""

    host = models.CharField(
        _("host"), max_length=253, unique=True, help_text=_("As in an address, in small letters: www.example.vn; nothing before or after.")
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Whether links to it go there at once."))
    history = History()
    objects = CompanyHostQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("host of the company"), _("hosts of the company")
        ordering = ["host"]

    def __str__(self):
        return self.host

    def clean(self):
        if not HOST.fullmatch(self.host):
            raise ValidationError({"host": _("This is no host as it stands in an address.")})
