"""Tells whether one customer's data may be used for a purpose by a channel, and what each rule says."""

import json
from datetime import datetime, time, timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone, translation
from django.utils.dateparse import parse_date, parse_datetime

from consent import gate, past
from consent.models import Approach, Channel, Purpose
from customers.models import Customer
from mailings.models import Message

CLOCK = timedelta(minutes=1)  # the clock of who asks may be behind


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("ref")
        parser.add_argument("purpose")
        parser.add_argument("--channel", choices=Channel.values, default="email")
        parser.add_argument("--at", help="a moment in ISO 8601, past ones too; a day alone means its noon; default: now")
        parser.add_argument("--json", action="store_true")

    def handle(self, ref, purpose, channel, at, **options):
        now = timezone.now()
        at = self.moment(at) if at else now
        customer = Customer.objects.filter(ref=ref).values_list("pk", flat=True).first()
        try:
            then = at < now - CLOCK and look_back(customer, purpose, channel, at)
            terms = then.terms if then else gate.load_terms(purpose, channel, at)
        except Purpose.DoesNotExist:
            raise CommandError(f"unknown purpose: {purpose}") from None
        if then:
            decision, answers, notes = then.decision(), then.answers(), then.notes
        else:
            facts = gate.load_facts([customer], terms).get(customer) if customer else None
            decision, answers, notes = gate.judge(facts, terms), gate.answers(facts, terms), []
        if options["json"]:
            told = {"ref": ref, "purpose": purpose, "channel": channel, "at": at.isoformat(), "past": bool(then)}
            moment = decision.not_before and decision.not_before.isoformat()
            rules = {"rules": {a.rule: self.short(a) for a in answers}, "answers": [self.long(a) for a in answers]}
            self.stdout.write(json.dumps({**told, **decision._asdict(), "not_before": moment, **rules, "notes": notes}))
            return
        self.stdout.write(
            f"{'allowed' if decision.allowed else 'refused'}: {decision.reason} ({decision.clause}) {decision.evidence}".rstrip()
        )
        if decision.not_before:
            self.stdout.write(f"not before {timezone.localtime(decision.not_before):%Y-%m-%d %H:%M}")
        for answer in answers:
            self.stdout.write(f"  {answer.rule:<24} {self.short(answer):<20} {answer.clause:<6} {answer.evidence}".rstrip())
        for words in [*(a.unknown for a in answers if a.unknown), *notes]:
            self.stdout.write(f"! {words}")

    def short(self, answer):
        return "cannot_be_known" if answer.unknown else answer.refusal.reason if answer.refusal else "passes"

    def long(self, answer):
        told = {"rule": answer.rule, "answer": self.short(answer), "clause": answer.clause, "evidence": answer.evidence}
        return {**told, **({"unknown": answer.unknown} if answer.unknown else {})}

    def moment(self, text):
        try:
            at = parse_datetime(text) or datetime.combine(parse_date(text), time(12))
        except (ValueError, TypeError):
            raise CommandError(f"--at takes a moment in ISO 8601, such as 2026-11-22T09:00+07:00, not {text!r}") from None
        return timezone.make_aware(at) if timezone.is_naive(at) else at


def look_back(customer, purpose, channel, at):
    """Return the Past, with what was sent or made in the day before."""
    sent = Message.objects.contacts(customer, at) if channel == Channel.EMAIL else Approach.objects.contacts(customer, channel, at)
    with translation.override("en"):  # as the rest of what commands say
        return past.look_back(customer, purpose, channel, at, sent)
