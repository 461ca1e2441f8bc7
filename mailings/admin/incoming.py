"""What came in by mail, as counts and kinds: nothing of a mail is here, and nobody's name."""

from django.contrib import admin

from mailings.models import IncomingMail
from privacy_office.admin import ReadOnlyAdmin


@admin.register(IncomingMail)
class IncomingMailAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "at"]
    list_filter = ["kind"]
    fields = ["kind", "at"]
