"""Makes a campaign of a Markdown file, has it approved, and sends it to everyone who may get it. The same letter is never sent twice."""

import json
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction

from consent.models import Purpose
from mailings import tasks
from mailings.models import Campaign, Message
from privacy_office.models import Staff


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--purpose", required=True)
        parser.add_argument("--subject", required=True)
        parser.add_argument("--body", type=Path, required=True, help="Markdown, UTF-8")
        parser.add_argument("--created-by", required=True, metavar="USERNAME")
        parser.add_argument("--approved-by", required=True, metavar="USERNAME", help="another person")
        parser.add_argument("--wait", action="store_true", help="wait for the end and print the report as JSON")

    def handle(self, purpose, subject, body, created_by, approved_by, wait, **options):
        try:
            text = body.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{body} cannot be read as UTF-8 text: {getattr(error, 'strerror', None) or error.reason}") from None
        campaign = Campaign(purpose=self.found(Purpose, code=purpose), subject=subject, body=text)
        author = self.found(Staff, username=created_by, permission="mailings.add_campaign")
        approver = self.found(Staff, username=approved_by, permission="mailings.approve_campaign")
        if earlier := Campaign.objects.exclude(launched_at=None).filter(letter=campaign.digest()).first():
            self.stderr.write(f"Campaign {earlier.pk} is this very letter: nobody gets it twice.")
            return self.report(earlier, wait)
        try:
            with transaction.atomic():
                campaign.draft(by=author)
                campaign.ask_dry_run(by=author).count()
                campaign.approve(by=approver)
                campaign.launch(by=approver)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except IntegrityError:
            raise CommandError("Another command is sending this very letter.") from None
        self.report(campaign, wait)

    def report(self, campaign, wait):
        """Send what is open and print what became of the campaign's messages; those that had left before are not counted as sent."""
        messages = Message.objects.filter(campaign=campaign)
        before = messages.report()["sent"]
        if wait and messages.open().exists():
            tasks.see_through(messages, "campaign")
        else:
            tasks.wake(tasks.WAKE)
        report = messages.report()
        if before:
            report |= {"sent": report["sent"] - before, "blocked": report["blocked"] | {"sent_before": before}}
        self.stdout.write(json.dumps({"campaign": campaign.pk, **report}))

    def found(self, model, permission=None, **key):
        """Return the one row of that key; for staff one who is active and may do it."""
        (value,) = key.values()
        row = model.objects.filter(**key).first()
        if row is None:
            raise CommandError(f"unknown {model._meta.model_name}: {value}")
        if permission and not row.has_perm(permission):
            raise CommandError(f"{value} may not do this: it takes the right {permission}.")
        return row
