"""Reads the mails that wait in the mailbox that the settings name, and prints how many of each kind. Run again, nothing counts twice."""

import json

from django.core.management.base import BaseCommand, CommandError

from mailings import inbox


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        if not list(inbox.opened()):
            raise CommandError("No mailbox is named: set INCOMING_MAILDIR or INCOMING_IMAP_URL.")
        counts, _more = inbox.read(float("inf"))
        self.stdout.write(json.dumps(counts))
