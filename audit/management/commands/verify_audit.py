"""Verifies the whole trail: entries, checkpoints, anchors, and every row that an entry vouches for. Ends with 1 when something is wrong."""

import json
import sys

from django.core.management.base import BaseCommand

from audit import trail


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        found = trail.verify_and_keep(by=None)
        told = {name: getattr(found, name) for name in ("entries", "checkpoints", "rows", "seconds", "problems")}
        self.stdout.write(json.dumps({"ok": not found.problems, **told}, ensure_ascii=False))
        if found.problems:
            sys.exit(1)
