"""What came in by mail, as counts and kinds: nothing of a mail is here, and nobody's name."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mailings.models import IncomingMail
from privacy_office.admin import Lately, ReadOnlyAdmin


@admin.register(IncomingMail)
class IncomingMailAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "at"]
    when_empty = _("No mail came in yet. The office's mailbox is read every minute, or by ./manage.py read_mail.")
    list_filter = ["kind", ("at", Lately)]
    fields = ["kind", "at"]
