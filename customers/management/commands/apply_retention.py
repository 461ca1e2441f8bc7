"""Takes away what is kept longer than the retention rules allow, as the workers do every night; --dry-run only counts."""

import json

from django.core.management.base import BaseCommand

from customers import retention


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="say what each rule would take, and change nothing")

    def handle(self, **options):
        counts = retention.dry_run() if options["dry_run"] else retention.apply().counts
        self.stdout.write(json.dumps({str(of): count for of, count in counts.items()}))
