"""Fields that several acts ask for."""

from django.utils.translation import gettext_lazy as _

REASON = {"label": _("Reason"), "max_length": 200, "help_text": _("No personal data: name a ticket, a letter, a call.")}
