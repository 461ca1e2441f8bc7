"""Takes customers, services and consents from CSV exports. May be run again: a second run changes nothing, a killed one is finished."""

import csv
import json
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from tqdm import tqdm

from consent.csv_import import Consents
from customers.csv_import import Customers, Services, Table, Unreadable
from privacy_office.locks import alone

BATCH = 2000  # rows in one transaction
ONE_AT_A_TIME = 7_305_002  # two imports at once would each miss the other's rows
KINDS = {"customers": Customers, "services": Services, "consents": Consents}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        for kind, importer in KINDS.items():
            parser.add_argument(f"--{kind}", type=Path, required=kind == "customers", help=f"CSV: {importer.__doc__}")
        parser.add_argument("--rejected", type=Path, help="CSV to write: file,line,field,reason of each row that cannot be taken")
        parser.add_argument("--dry-run", action="store_true", help="go through everything and write nothing")

    def handle(self, dry_run, **options):
        with ExitStack() as stack:
            try:
                tables = {
                    kind: Table(options[kind], importer.__doc__.split(","), importer.required)
                    for kind, importer in KINDS.items()
                    if options[kind]
                }
                if options["rejected"] and options["rejected"].resolve() in {table.path.resolve() for table in tables.values()}:
                    raise CommandError("--rejected names a file that is to be read.")
                if not stack.enter_context(alone(ONE_AT_A_TIME)):
                    raise CommandError("Another import is running.")
                rejected = options["rejected"] and stack.enter_context(options["rejected"].open("w", encoding="utf-8", newline=""))
            except Unreadable as error:
                raise CommandError(str(error)) from None
            except OSError as error:
                raise CommandError(f"{options['rejected']}: {error.strerror}") from None
            if dry_run:
                stack.enter_context(transaction.atomic())
            summary = {kind: self.take_all(kind, table, rejected) for kind, table in tables.items()}
            if dry_run:
                transaction.set_rollback(True)
            else:
                with connection.cursor() as cursor:
                    cursor.execute("ANALYZE")  # else the next questions are planned for the tables as they were
        self.stdout.write(json.dumps({**summary, "dry_run": dry_run}))

    def take_all(self, kind, table, rejected):
        """Take one file batch by batch; return its counts."""
        writer = csv.writer(rejected) if rejected else None
        if rejected and rejected.tell() == 0:
            writer.writerow(["file", "line", "field", "reason"])
        lines = set()  # rejected rows of the batch at hand: one row may have several wrong fields

        def reject(line, field, reason):
            lines.add(line)
            if writer:
                writer.writerow([table.name, line, field, reason])

        importer, counts = KINDS[kind](), Counter(created=0, amended=0, unchanged=0, rejected=0)
        with tqdm(total=table.rows, desc=kind, unit="row", file=sys.stderr, mininterval=0.5) as bar:
            for batch in table.batches(BATCH, reject):
                with transaction.atomic():
                    counts.update(importer.take(batch, reject))
                counts.update(rejected=len(lines))
                lines.clear()
                bar.update(len(batch))
        counts.update(rejected=len(lines))  # those after the last batch, which were no rows at all
        return {"read": counts.total(), **counts}
