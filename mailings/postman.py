"""Takes due messages, asks the gate for each, and hands them to the mail server. Refuses to send on a verdict older than a second."""

import logging
import secrets
import signal
import time
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import Error, connection, transaction
from django.utils import timezone

from consent import gate
from consent.models import Channel, ChannelRule
from mailings import letters, returns, signatures
from mailings.journal import Journal
from mailings.models import Campaign, Message, RelayRule
from mailings.relay import Relay, Unreachable
from mailings.skeletons import Skeleton

log = logging.getLogger(__name__)
FIRST, MOST = 50, 200  # messages claimed, and asked about, at once: as many as the mail server takes while a verdict holds
FRESH = 1.0  # seconds a verdict holds
PAUSE = timedelta(seconds=15)  # before a message is tried again that a mail server which cannot be reached did not get
STOPPED = gate.Decision(False, "campaign_stopped", "§2.4")
NO_LONGER_DUE = gate.Decision(False, "no_longer_due", "§2.2")

TOLD_TO_END = {signal.SIGTERM, signal.SIGQUIT}  # QUIT is what a worker's processes get instead, as the Procfile has it

relay = Relay()  # one a process, kept between tasks


@contextmanager
def uninterrupted():
    """Have a process that is told to end finish first what is in hand: half handed over is neither sent nor unsent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_TO_END)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Letter(NamedTuple):
    """A message as it leaves: from whom to whom, and its bytes."""

    message: Message
    envelope: tuple
    data: bytes


class Worker:
    """One process at work, alive as long as its session holds an advisory lock: see `MessageQuerySet.recover`."""

    def __init__(self, until=float("inf")):
        self.id = secrets.randbits(62)
        self.until = until  # by time.monotonic(): no message begins to leave later
        self.held = {}  # claimed and not settled, by primary key
        self.size = FIRST
        self.skeletons = {}  # of letters, for as long as this worker lives: seconds, so that what changes in the office shows
        self.refused = False  # the mail server is left alone for a while

    def __enter__(self):
        self.journal = Journal(self.id)
        self.journal.open()
        self._lock("pg_advisory_lock")
        self.rule, self.server = ChannelRule.objects.filter(channel=Channel.EMAIL).first(), RelayRule.current().state
        return self

    def __exit__(self, *failure):
        if connection.connection and not connection.is_usable():
            connection.close()  # a dead session, and its lock with it: what is held is settled over a new one
        try:
            self._let_go()
        finally:
            self.journal.close(keep=bool(self.held))  # what could not be settled is a dead worker's
            self._lock("pg_advisory_unlock")

    def _let_go(self):
        """Give back what was not tried, settle what was."""
        untried = [m for m in self.held.values() if m.state == Message.State.CLAIMED]
        if untried:
            Message.objects.give_back(untried, self.id)
            self._forget(untried)
        self._settle([m for m in self.held.values() if m.state != Message.State.CLAIMED])

    def _lock(self, function):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [self.id])

    def _forget(self, messages):
        for message in messages:
            self.held.pop(message.pk, None)

    def _settle(self, messages):
        if messages:
            Message.objects.settle(messages)
            self._forget(messages)

    @property
    def ended(self):
        return self.refused or time.monotonic() >= self.until

    def work(self):
        """Claim and send one chunk; return whether to go on: there was one, and the mail server takes more."""
        claimed = Message.objects.claim(self.id, self.size)
        if not claimed:
            return False
        self.held = {m.pk: m for m in claimed}
        for _purpose, group in groupby(sorted(claimed, key=lambda m: m.purpose_id), key=lambda m: m.purpose_id):
            self._deliver(list(group))
        self._let_go()
        return not self.refused

    def _deliver(self, pending):
        """Send messages of one purpose in rounds no longer than a verdict holds, until the end."""
        while pending and not self.ended:
            one_each = {m.customer_id: m for m in reversed(pending[: self.size])}.values()  # the gate counts a customer once a round
            batch = sorted(one_each, key=lambda m: m.pk)
            self._round(batch)
            done = {m.pk for m in batch if m.state != Message.State.CLAIMED}
            pending = [m for m in pending if m.pk not in done]
            self.size = min(MOST, 2 * len(done)) if len(done) == len(batch) else max(1, len(done))

    def _round(self, batch):
        """Ask the gate for a batch and send while the verdict is fresh."""
        at, asked = timezone.now(), time.monotonic()
        self.journal.count(at, batch)
        with transaction.atomic():
            released = gate.release([m.customer_id for m in batch], batch[0].purpose.code, Channel.EMAIL, at)
        going = self._going(batch)
        try:
            self._hand_over_all(self._letters(batch, released, going, at, asked), asked)
        finally:
            relay.rest()
            stayed = {m.customer_id for m in batch if not m.may_have_left}
            with transaction.atomic():
                if stayed:
                    gate.forget(stayed, Channel.EMAIL, at)
                self._settle([m for m in batch if m.state != Message.State.CLAIMED])
        self._halt({m.campaign for m in batch if m.campaign_id and m.state == Message.State.FAILED})

    def _going(self, messages):
        return set(Campaign.objects.sending().filter(pk__in={m.campaign_id for m in messages}).values_list("pk", flat=True))

    def _halt(self, campaigns):
        for campaign in campaigns:
            try:
                campaign.halt()
            except ValidationError:
                continue  # another worker, or a person, was quicker

    def _letters(self, batch, released, going, at, asked):
        """Yield a Letter of each message that may leave and can be made, while the verdict is fresh and once at least; decide on all."""
        tried = False
        for message in batch:
            decision, customer = released[message.customer_id]
            if message.campaign_id and message.campaign_id not in going:
                decision = STOPPED
            if decision.reason == "outside_hours":
                message.put_back(decision.not_before, timedelta())
            elif not decision.allowed:
                message.decide(decision, at)
            elif not self.ended and not (tried and time.monotonic() - asked > FRESH):
                message.decide(decision, at)
                tried = True
                if letter := self._letter(message, customer):
                    yield letter

    def _letter(self, message, customer):
        """Return a message's Letter; None where it is no longer due, or cannot be made."""
        items = []
        if message.renewal_id:
            today = timezone.localdate()
            items = [i for i in message.items.select_related("service") if i.service.expires_on == i.expires_on >= today]
            if not items:
                return message.decide(NO_LONGER_DUE, timezone.now())
        try:
            recipient, data = self._build(message, customer, items)
            return Letter(message, (returns.path(message), recipient), signatures.signed(data))
        except Error:
            raise  # the database's trouble is not the message's
        except Exception as error:
            # Whatever it is, it must not stop the others' mail, nor reach a log: its words may hold what it stumbled over.
            message.reason = type(error).__name__
            return message.hand_over("failed", "", timezone.now())

    def _hand_over_all(self, letters, asked):
        """Hand over one letter after the other, each made while the mail server has nothing to wait for: it is told of it in advance."""
        with uninterrupted():
            letter = next(letters, None)
            while letter and not self.ended and not (signal.sigpending() & TOLD_TO_END):
                following = next(letters, None)
                self._hand_over(letter, following, asked)
                letter = following

    def _build(self, message, customer, items):
        """Return to whom the mail goes, and its bytes: a campaign's from its letter's skeleton, any other from Django's own classes."""
        if message.campaign_id:
            letter = message.campaign_id, customer.locale
            if letter not in self.skeletons:
                self.skeletons[letter] = Skeleton.of(message, customer.locale, self.rule)
            skeleton = self.skeletons[letter]
            if skeleton and (data := skeleton.filled(message, customer)):
                return customer.email, data
        mail = letters.build(message, customer, self.rule, items)
        mail.to[0].encode("ascii")
        return mail.to[0], mail.message().as_bytes(linesep="\r\n")

    def _hand_over(self, letter, following, asked):
        message, (sender, recipient), data = letter
        next_one = following.envelope if following else None
        try:
            outcome, reply = relay.send(
                sender, recipient, data, lambda: self._still(message, asked), lambda: self._leave(message), next_one
            )
        except Unreachable as trouble:
            log.warning("The mail server cannot be reached: %s", trouble)
            self.refused = self.server.fail()
            if message.state == Message.State.UNKNOWN:
                message.stay()
                self.journal.stay(message)
                return message.hand_over("deferred", "", timezone.now())  # it broke off within this message: a try
            return message.put_back(timezone.now(), PAUSE)
        if outcome == "withheld":
            return
        self.journal.reply(message, outcome, reply)
        message.hand_over(outcome, reply, timezone.now())
        if outcome == "unknown":
            self.refused = self.server.fail()
        else:
            self.server.answer()

    def _leave(self, message):
        self.journal.leave(message)
        message.leave()

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
    Message.objects.recover()
    with Worker(end) as worker:
        while (now := time.monotonic()) < end:
            if worker.work():
                continue
            if not (pace := Message.objects.waits_for_its_turn()):
                return False
            time.sleep(min(pace, end - now))
    return True
