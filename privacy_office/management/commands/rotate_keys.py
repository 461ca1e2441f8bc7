"""Brings all that is stored under the newest keys of FIELD_ENCRYPTION_KEY and BLIND_INDEX_KEY, while the office works; then checks it.

First put the new key in front of the old one, everywhere, and restart; drop the old key only after this has ended with 0. A run that was
killed is finished by running it again. With one key each it only checks.
"""

import json
import sys
from collections import Counter, defaultdict

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from psycopg import errors
from tqdm import tqdm

from audit import models as audit
from consent.models import Suppression
from customers.models import Customer
from privacy_office import rotation
from privacy_office.locks import alone
from privacy_office.models import Canary

ONE_AT_A_TIME = 7_305_004  # two at once would do no harm, and no good


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        with alone(ONE_AT_A_TIME) as free:
            if not free:
                raise CommandError("Another rotate_keys is running.")
            self.rotate(len(settings.FIELD_ENCRYPTION_KEY), len(settings.BLIND_INDEX_KEY))

    def rotate(self, keys, index_keys):
        """Turn, check, and say so; CommandError where something is left or cannot be opened."""
        self.note(step="start", keys=keys, index_keys=index_keys)
        tables, indexes, counts, self.troubles = rotation.tokens(), rotation.indexes(), defaultdict(Counter), {}
        for table in tables if keys > 1 else []:
            counts[table.name]["rotated"] += self.through(table, table.turn(write=True), "rotate").older
        for table in indexes:
            done = self.through(table, table.turn(), "index")
            counts[table.name].update(indexed=done.older, left=-done.lost)  # what cannot be indexed is no reason to keep a key
        moved = self.move_suppressions() if index_keys > 1 else 0
        for table in tables:
            counts[table.name]["left"] += self.through(table, table.turn(write=False), "check").older
        for table in indexes:
            counts[table.name]["left"] += table.left
        older = Suppression.objects.on_older_keys()
        total = sum(counts.values(), Counter())
        if max(keys, index_keys) > 1 and not total["left"]:
            Canary.settle(older)
        said = {
            "rotated": total["rotated"], "indexed": total["indexed"], "left": total["left"], "troubles": len(self.troubles),
            "suppressions_moved": moved, "suppressions_on_older_keys": sum(older.values()),
        }  # fmt: skip
        self.note(step="end", **said)
        self.stdout.write(json.dumps({**said, "tables": counts}))
        if older:
            self.stderr.write(
                f"{said['suppressions_on_older_keys']} refusals are kept under an older index key, of addresses that no customer has now: "
                "keep that key in BLIND_INDEX_KEY, or they are forgotten when such an address comes back."
            )
        if self.troubles or total["left"]:
            raise CommandError(f"{len(self.troubles)} rows need a look, {total['left']} values are under another key: keep the old keys.")

    def note(self, **detail):
        with transaction.atomic():
            audit.record("keys.rotate", by=None, **detail)

    def through(self, table, batches, verb):
        """Go through a table's batches with a bar; name each trouble once, and return what was done in all."""
        rows = older = lost = 0
        with tqdm(total=table.size, desc=f"{verb} {table.name}", unit="row", file=sys.stderr, mininterval=0.5) as bar:
            for done in batches:
                rows, older, lost = rows + done.rows, older + done.older, lost + done.lost
                for trouble in done.troubles:
                    if trouble not in self.troubles:
                        self.troubles[trouble] = True
                        bar.write(trouble, file=sys.stderr)
                bar.update(done.rows)
        return rotation.Done(rows, older, lost, [])

    def move_suppressions(self):
        """Have the refusals of all addresses that customers have now under the newest index key; return how many were not."""
        moved, last = 0, 0
        while ids := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[: rotation.BATCH]):
            # One that is written under the newest key meanwhile is met again at the next try.
            moved += rotation.patiently(lambda cursor, ids=ids: Suppression.objects.adopt(ids), again=[errors.UniqueViolation])
            last = ids[-1]
        return moved
