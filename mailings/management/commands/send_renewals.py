"""Queues the renewal notices that are due today and sends them to those who asked for them. Run again, it sends nothing twice."""

import json

from django.core.management.base import BaseCommand
from django.utils import timezone

from mailings import tasks
from mailings.models import Message, queue_renewals


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--wait", action="store_true", help="wait for the end and print the report as JSON")

    def handle(self, wait, **options):
        left = Message.objects.open().exclude(renewal=None).values_list("pk", flat=True)
        wanted = {*left, *(message.pk for message in queue_renewals(timezone.localdate(), by=None))}
        messages = Message.objects.filter(pk__in=wanted)
        if wait and wanted:
            tasks.see_through(messages, "renewals")
        elif wanted:
            tasks.wake(tasks.WAKE)
        self.stdout.write(json.dumps(messages.report()))
