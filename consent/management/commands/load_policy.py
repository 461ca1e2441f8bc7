"""Loads a policy version from a text file, one language a time, and publishes it with --publish. May be run again."""

from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from consent.models import PolicyVersion, Purpose


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--number", type=int, required=True)
        parser.add_argument("--language", choices=["vi", "en"], required=True)
        parser.add_argument("--severity", choices=PolicyVersion.Severity.values, default=None)
        parser.add_argument("--changes", nargs="*", metavar="PURPOSE", default=None, help="purposes that a major version changes")
        parser.add_argument("--publish", action="store_true")

    @transaction.atomic
    def handle(self, file, number, language, severity, changes, publish, **options):
        try:
            text = file.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read as UTF-8 text: {getattr(error, 'strerror', None) or error.reason}") from None
        purposes = None
        if changes is not None:
            purposes = list(Purpose.objects.filter(code__in=changes))
            if unknown := set(changes) - {p.code for p in purposes}:
                raise CommandError(f"unknown purpose: {', '.join(sorted(unknown))}")
        version = PolicyVersion.objects.filter(number=number).first() or PolicyVersion(number=number)
        values = {f"text_{language}": text, **({"severity": severity} if severity else {})}
        same = (
            version.pk
            and (purposes is None or set(version.changes.all()) == set(purposes))
            and all(getattr(version, name) == value for name, value in values.items())
        )
        try:
            if not same:
                version.draft(by=None, changes=purposes, **values)
            if publish and not (same and version.published_at):
                version.publish(by=None)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        state = f"published, {version.digest}" if version.published_at else "draft"
        self.stdout.write(f"Policy version {number} ({language}): {state}")
