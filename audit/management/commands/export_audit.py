"""Writes the trail to a file that anyone can verify with audit/verify_audit.py alone. Holds no personal data, unless --customer asks."""

import os
from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import models as audit
from audit import sealing, trail


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--customer",
            type=UUID,
            help="also open, in the clear, every value that the history of this customer (by identifier) ever had; leaves an entry",
        )

    def handle(self, file, customer, **options):
        label = "customers.customer"
        if customer:
            with transaction.atomic():
                audit.record("audit.export", by=None, subject=customer, clause="§6.2", opened=label)
        whole = trail.whole()

        def opens(line):
            return line.object.partition(":")[0] in whole or (customer and line.subject == customer)

        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as problem:
            raise CommandError(f"{file} cannot be written: {problem.strerror}.") from None
        with os.fdopen(descriptor, "wb") as out, trail.one_moment():
            count = 0
            for line in trail.lines(opens):
                out.write(line + b"\n")
                count += 1
        self.stdout.write(f"{count} lines in {file}. Verify them with: python3 verify_audit.py {file} --key {sealing.public_keys()[0]}")
