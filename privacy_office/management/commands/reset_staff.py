"""Lets a staff member in again when no administrator can: a new one-time password, no second factor, no session."""

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from privacy_office import accounts
from privacy_office.models import Staff


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("username")

    @transaction.atomic
    def handle(self, username, **options):
        member = Staff.objects.select_for_update().filter(username=username).first()
        if member is None:
            raise CommandError("There is no such staff member.")
        if not member.is_active:
            raise CommandError("This staff member was deactivated; create_staff makes a new one.")
        password = accounts.draw_password(member, by=None)
        accounts.reset_factor(member, by=None)
        self.stdout.write(f"{username}: one-time password {password}")
