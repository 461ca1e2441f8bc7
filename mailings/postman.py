"""Takes due messages, asks the gate for each, and hands them to the mail server. Refuses to send on a verdict older than a second."""

import secrets
import time
from datetime import timedelta
from itertools import groupby

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from consent import gate
from consent.models import Channel, ChannelRule
from mailings import letters
from mailings.models import Campaign, Message
from mailings.relay import Relay, Unreachable
from privacy_office.fields import UndecryptableValue

CHUNK = 50  # messages claimed at once: what a killed worker can leave in doubt
FRESH = 1.0  # seconds a verdict holds
PAUSE = timedelta(seconds=15)  # before a mail server that cannot be reached is tried again
STOPPED = gate.Decision(False, "campaign_stopped", "§2.4")
NO_LONGER_DUE = gate.Decision(False, "no_longer_due", "§2.2")

relay = Relay()  # one a process, kept between tasks


class Worker:
    """One process at work, alive as long as its session holds an advisory lock: see `MessageQuerySet.recover`."""

    def __init__(self):
        self.id = secrets.randbits(62)
        self.held = {}  # claimed and not settled, by primary key

    def __enter__(self):
        self._lock("pg_advisory_lock")
        return self

    def __exit__(self, *failure):
        if self.held:
            at = timezone.now()
            for message in self.held.values():
                if message.state == Message.State.CLAIMED:
                    message.put_back(at, timedelta())
            self._settle(list(self.held.values()))
        self._lock("pg_advisory_unlock")

    def _lock(self, function):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [self.id])

    def _settle(self, messages):
        if messages:
            Message.objects.settle(messages)
            for message in messages:
                del self.held[message.pk]

    def work(self):
        """Claim and send one chunk; return whether to go on: there was one, and the mail server took it."""
        claimed = Message.objects.claim(self.id, CHUNK)
        self.held = {m.pk: m for m in claimed}
        self.rule = ChannelRule.objects.filter(channel=Channel.EMAIL).first()
        for _purpose, group in groupby(sorted(claimed, key=lambda m: m.purpose_id), key=lambda m: m.purpose_id):
            if not self._deliver(list(group)):
                return False
        return bool(claimed)

    def _deliver(self, pending):
        """Send messages of one purpose in rounds no longer than a verdict holds; return whether the mail server can be reached."""
        size = CHUNK
        while pending:
            one_each = {m.customer_id: m for m in reversed(pending[:size])}.values()  # the gate counts a customer once a round
            batch = sorted(one_each, key=lambda m: m.pk)
            taken = self._round(batch)
            done = {m.pk for m in batch if m.state != Message.State.CLAIMED}
            pending = [m for m in pending if m.pk not in done]
            size = min(CHUNK, max(1, 2 * len(done)))
            if not taken:
                at = timezone.now()
                for message in pending:
                    message.put_back(at, PAUSE)
                self._settle(pending)
                return False
        return True

    def _round(self, batch):
        """Ask the gate for a batch and send while the verdict is fresh; return False once the mail server cannot be reached."""
        at, asked, reached = timezone.now(), time.monotonic(), True
        with transaction.atomic():
            released = gate.release([m.customer_id for m in batch], batch[0].purpose.code, Channel.EMAIL, at)
        going = set(Campaign.objects.sending().filter(pk__in={m.campaign_id for m in batch}).values_list("pk", flat=True))
        uncounted = set()
        try:
            for message in batch:
                decision, customer = released[message.customer_id]
                if message.campaign_id and message.campaign_id not in going:
                    decision = STOPPED
                if decision.allowed and (not reached or time.monotonic() - asked > FRESH):
                    uncounted.add(message.customer_id)
                    continue
                message.decide(decision, at)
                if not decision.allowed:
                    uncounted.add(message.customer_id)
                    continue
                try:
                    self._send(message, customer, at)
                except Unreachable:
                    reached = False
                if message.state != Message.State.SENT and message.state != Message.State.UNKNOWN:
                    uncounted.add(message.customer_id)
        finally:
            with transaction.atomic():
                gate.forget(uncounted, Channel.EMAIL, at)
                self._settle([m for m in batch if m.state != Message.State.CLAIMED])
        return reached

    def _send(self, message, customer, at):
        items = []
        if message.notice_id:
            items = [i for i in message.items.select_related("service") if i.service.expires_on == i.expires_on]
            if not items:
                return message.decide(NO_LONGER_DUE, at)
        try:
            mail = letters.build(message, customer, self.rule, items)
            data = mail.message().as_bytes(linesep="\r\n")
        except (UndecryptableValue, ImproperlyConfigured, ValueError) as error:
            message.reason = type(error).__name__
            return message.hand_over("failed", "", timezone.now())
        message.leave()
        try:
            outcome, reply = relay.send(settings.MAIL_FROM, mail.to[0], data)
        except Unreachable:
            message.stay()
            raise
        message.hand_over(outcome, reply, timezone.now())


def drain(seconds):
    """Send what is due until nothing is left or the time is up; return whether there may be more."""
    end = time.monotonic() + seconds
    with Worker() as worker:
        while time.monotonic() < end:
            if not worker.work():
                return False
    return True
