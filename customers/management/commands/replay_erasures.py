"""After a restored backup: erases again whom the journal names and the backup brought back. May be killed and run again."""

import json

from django.core.management.base import BaseCommand, CommandError

from customers.erasure import replay


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        try:
            self.stdout.write(json.dumps(replay()))
        except (OSError, ValueError) as problem:
            raise CommandError(f"The journal cannot be used ({type(problem).__name__}): ERASURE_JOURNAL must name a whole one.") from None
