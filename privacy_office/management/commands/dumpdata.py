"""Refused: it would write every customer's data in the clear. Back up with pg_dump, which keeps it encrypted."""

from django.core.management.base import CommandError
from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    help = __doc__

    def handle(self, *args, **options):
        raise CommandError(__doc__)
