"""Brings the states of consent into line with the ledger, or with --check only says what differs and ends with 1. May be run any time."""

import json
import sys

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from consent import rebuilding
from customers.models import Customer


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--check", action="store_true", help="write no state; a difference alarms the officers and leaves an entry")

    def handle(self, check, **options):
        if check:
            found = rebuilding.compare_and_tell(by=None)
        else:
            with tqdm(total=Customer.objects.count(), unit="customer", file=sys.stderr, mininterval=0.5) as bar:
                found = rebuilding.rebuild(by=None, progress=bar.update)
        self.stdout.write(json.dumps({**found._asdict(), "check": check}))
        if check and found.differences:
            raise CommandError(f"{found.differences} states are not what the ledger says: rebuild_consent_states mends them.", returncode=1)
