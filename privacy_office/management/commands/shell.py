"""Opens a shell on the office; refused, unlike Django's own, where the keys do not fit the database."""

from django.core.management.commands import shell


class Command(shell.Command):
    help = __doc__
    requires_system_checks = "__all__"
