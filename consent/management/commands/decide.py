"""Tells whether one customer's data may be used for a purpose by a channel, and what each rule says."""

import json
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from consent import gate
from consent.models import Channel, Purpose
from customers.models import Customer


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("ref")
        parser.add_argument("purpose")
        parser.add_argument("--channel", choices=Channel.values, default="email")
        parser.add_argument("--at", help="a moment from now on, in ISO 8601; default: now")
        parser.add_argument("--json", action="store_true")

    def handle(self, ref, purpose, channel, at, **options):
        at = self.moment(at)
        try:
            terms = gate.load_terms(purpose, channel, at)
        except Purpose.DoesNotExist:
            raise CommandError(f"unknown purpose: {purpose}") from None
        customer = Customer.objects.filter(ref=ref).values_list("pk", flat=True).first()
        facts = gate.load_facts([customer], terms).get(customer) if customer else None
        decision = gate.judge(facts, terms)
        rules = {name: refusal.reason if refusal else "passes" for name, refusal in gate.explain(facts, terms)}
        if options["json"]:
            answer = {**decision._asdict(), "not_before": decision.not_before and decision.not_before.isoformat()}
            self.stdout.write(
                json.dumps({"ref": ref, "purpose": purpose, "channel": channel, "at": at.isoformat(), **answer, "rules": rules})
            )
            return
        self.stdout.write(
            f"{'allowed' if decision.allowed else 'refused'}: {decision.reason} ({decision.clause}) {decision.evidence}".rstrip()
        )
        if decision.not_before:
            self.stdout.write(f"not before {timezone.localtime(decision.not_before):%Y-%m-%d %H:%M}")
        for name, answer in rules.items():
            self.stdout.write(f"  {name:<24} {answer}")

    def moment(self, text):
        now = timezone.now()
        if not text:
            return now
        try:
            at = parse_datetime(text)
        except ValueError:
            at = None
        if at is None:
            raise CommandError(f"--at takes a moment in ISO 8601, such as 2026-11-22T09:00+07:00, not {text!r}")
        at = timezone.make_aware(at) if timezone.is_naive(at) else at
        if at < now - timedelta(minutes=1):  # the clock of who asks may be behind
            raise CommandError("--at lies in the past: the gate decides for now and for later; what was decided stands on each message.")
        return at
