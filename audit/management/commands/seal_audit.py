"""Seals the entries that wait for it, as beat does every half minute, and anchors the checkpoints."""

from django.core.management.base import BaseCommand, CommandError

from audit import sealing


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        try:
            sealed = sealing.seal()
        except OSError as problem:
            raise CommandError(f"Sealed, but AUDIT_ANCHORS cannot be written: {problem.strerror}.") from None
        if sealed is None:
            raise CommandError("Somebody else is sealing.")
        self.stdout.write(f"{sealed} entries sealed. The public key is {sealing.public_keys()[0]}")
