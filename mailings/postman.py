"""Takes due messages, asks the gate for each, and hands them to the mail server. Refuses to send on a verdict older than a second."""

import logging
import secrets
import time
from datetime import timedelta
from itertools import groupby

from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone

from consent import gate
from consent.models import Channel, ChannelRule
from mailings import letters
from mailings.models import Campaign, Message
from mailings.relay import Relay, Unreachable

log = logging.getLogger(__name__)
CHUNK = 50  # messages claimed at once: what a killed worker can leave in doubt
FRESH = 1.0  # seconds a verdict holds
PAUSE = timedelta(seconds=15)  # before a mail server that cannot be reached is tried again
STOPPED = gate.Decision(False, "campaign_stopped", "§2.4")
NO_LONGER_DUE = gate.Decision(False, "no_longer_due", "§2.2")
MAY_HAVE_LEFT = (Message.State.SENT, Message.State.UNKNOWN)

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
        if connection.connection and not connection.is_usable():
            connection.close()  # a dead session, and its lock with it: what is held is settled over a new one
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
        at, asked, tried, reached = timezone.now(), time.monotonic(), False, True
        with transaction.atomic():
            released = gate.release([m.customer_id for m in batch], batch[0].purpose.code, Channel.EMAIL, at)
        going = self._going(batch)
        try:
            for message in batch:
                decision, customer = released[message.customer_id]
                if message.campaign_id and message.campaign_id not in going:
                    decision = STOPPED
                if decision.reason == "outside_hours":
                    message.put_back(decision.not_before, timedelta())
                elif not decision.allowed:
                    message.decide(decision, at)
                elif reached and not (tried and time.monotonic() - asked > FRESH):
                    message.decide(decision, at)
                    tried = True
                    try:
                        self._send(message, customer, asked)
                    except Unreachable as trouble:
                        log.warning("The mail server cannot be reached: %s", trouble)
                        reached = False
        finally:
            with transaction.atomic():
                gate.forget({m.customer_id for m in batch if m.state not in MAY_HAVE_LEFT}, Channel.EMAIL, at)
                self._settle([m for m in batch if m.state != Message.State.CLAIMED])
        return reached

    def _going(self, messages):
        return set(Campaign.objects.sending().filter(pk__in={m.campaign_id for m in messages}).values_list("pk", flat=True))

    def _send(self, message, customer, asked):
        items = []
        if message.notice_id:
            today = timezone.localdate()
            items = [i for i in message.items.select_related("service") if i.service.expires_on == i.expires_on >= today]
            if not items:
                return message.decide(NO_LONGER_DUE, timezone.now())
        try:
            mail = letters.build(message, customer, self.rule, items)
            data = mail.message().as_bytes(linesep="\r\n")
            mail.to[0].encode("ascii")
        except Error:
            raise  # the database's trouble is not the message's
        except Exception as error:
            # Whatever it is, it must not stop the others' mail, nor reach a log: its words may hold what it stumbled over.
            message.reason = type(error).__name__
            return message.hand_over("failed", "", timezone.now())
        message.leave()
        try:
            outcome, reply = relay.send(settings.MAIL_FROM, mail.to[0], data, lambda: self._still(message, asked))
        except Unreachable:
            message.stay()
            raise
        if outcome != "withheld":
            message.hand_over(outcome, reply, timezone.now())

    def _still(self, message, asked):
        """Tell whether the message may leave this moment; where the verdict is no longer fresh, by asking again."""
        if time.monotonic() - asked <= FRESH:
            return True
        at = timezone.now()
        decision = gate.decide([message.customer_id], message.purpose.code, Channel.EMAIL, at)[message.customer_id]
        if message.campaign_id and not self._going([message]):
            decision = STOPPED
        if decision.allowed or decision.reason == "cap_reached":  # this very message is counted already
            return True
        message.decide(decision, at)
        return False


def drain(seconds):
    """Send what is due until nothing is left or the time is up; return whether there may be more."""
    end = time.monotonic() + seconds
    with Worker() as worker:
        while time.monotonic() < end:
            if not worker.work():
                return False
    return True
