"""Makes a staff member with a role and prints a one-time password, which must be changed at the first sign-in."""

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import models as audit
from privacy_office.models import Staff
from privacy_office.roles import ROLES


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument("--role", action="append", required=True, choices=sorted(ROLES), help="may be given several times")
        parser.add_argument("--if-none", action="store_true", help="do nothing where there is staff already")

    @transaction.atomic
    def handle(self, username, role, if_none, **options):
        if if_none and Staff.objects.exists():
            return
        member = Staff(username=username, is_staff=True)
        password = member.draw_password()
        try:
            member.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        groups = list(Group.objects.filter(name__in=role))
        if len(groups) != len(set(role)):
            raise CommandError("The roles are not there yet: run setup first.")
        member.save()
        member.groups.set(groups)
        audit.record("staff.create", by=None, obj=member, clause="§6.2", roles=sorted(role))
        self.stdout.write(f"{username}: one-time password {password}")
