"""Counts who may be reached for a purpose and who not, by reason: a dry run that sends nothing."""

import json
from collections import Counter

from django.core.management.base import BaseCommand, CommandError

from consent import gate
from consent.models import Channel, Purpose


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("purpose")
        parser.add_argument("--channel", choices=Channel.values, default="email")
        parser.add_argument("--refs", action="store_true", help="print the customer numbers of those allowed, one a line, and nothing else")
        parser.add_argument("--json", action="store_true")

    def handle(self, purpose, channel, refs, **options):
        counts = Counter()
        try:
            for ref, decision in gate.audience(purpose, channel):
                counts[decision.reason] += 1
                if refs and decision.allowed:
                    self.stdout.write(ref)
        except Purpose.DoesNotExist:
            raise CommandError(f"unknown purpose: {purpose}") from None
        if refs:
            return
        allowed = counts.pop("allowed", 0)
        if options["json"]:
            self.stdout.write(
                json.dumps({"purpose": purpose, "channel": channel, "allowed": allowed, "refused": dict(sorted(counts.items()))})
            )
            return
        self.stdout.write(f"{allowed:>9}  allowed")
        for reason, number in counts.most_common():
            self.stdout.write(f"{number:>9}  {reason}")
