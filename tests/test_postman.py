"""The postman against a real mail server: what leaves, what does not, and what becomes of a message either way."""

import errno
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from audit.models import Entry
from consent import gate
from consent.models import AdvertisingContacts
from customers.models import EmailHold, Notice
from mailings import journal, postman
from mailings.journal import Journal
from mailings.models import Message, RelayRule, RelayState, RenewalNotice, queue_renewals
from mailings.relay import Relay, Unreachable, codes
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff, withdraw
from tests.post import sent
from tests.sink import BREAK_AFTER_DOT, BREAK_IN_DATA

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    customer = make_customer("ANN")
    make_policy()
    consent(customer)
    return customer


def launched(**fields):
    campaign = make_campaign(**fields)
    campaign.approve(by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    return campaign


def test_the_mail_goes_to_her_who_consented_and_its_decision_is_kept(sink, ann):
    launched()
    message = sent()["ANN"]
    assert sink.recipients == ["ann@example.org"]
    assert (message.state, message.reason, message.clause, message.reply) == ("sent", "allowed", "§2.4", "250 2.0.0")
    assert message.evidence.startswith("event:")
    assert message.sent_at
    assert AdvertisingContacts.objects.get().times


def test_a_message_queued_before_a_withdrawal_is_not_sent(sink, ann):
    launched()
    withdraw(ann)
    sent()
    message = Message.objects.get(notice=None)
    assert (message.state, message.reason) == ("blocked", "suppressed")
    (confirmation,) = sink.mails
    assert "List-Unsubscribe" not in confirmation.message


def test_a_message_queued_before_a_hold_is_not_sent(sink, ann):
    launched()
    EmailHold.place(ann, by=make_staff("clerk"), reason="a sign of fraud")
    assert sent()["ANN"].reason == "address_on_hold"
    assert not sink.mails


def test_a_campaign_that_was_stopped_sends_nothing_more(sink, ann):
    launched().stop(by=make_staff("approver"))
    message = sent()["ANN"]
    assert (message.state, message.reason) == ("blocked", "campaign_stopped")
    assert not sink.mails


@pytest.mark.parametrize(
    "answer,state,counted",
    [("550 5.1.1 no such user ann@example.org", "failed", False), ("450 4.2.1 later", "queued", False), ("250 2.1.5 ok", "sent", True)],
)
def test_what_the_server_answers_decides_and_only_its_codes_are_kept(sink, ann, answer, state, counted):
    sink.answers["ann@example.org"] = answer if not counted else None
    launched()
    message = sent()["ANN"]
    assert message.state == state
    assert "@" not in message.reply
    assert bool(AdvertisingContacts.objects.filter(times__len__gt=0)) == counted
    if state == "queued":
        assert message.not_before > timezone.now() + timedelta(seconds=30)


def test_a_message_deferred_for_a_day_has_failed_however_long_it_was_queued_before(sink, ann):
    sink.answers["ann@example.org"] = "450 4.2.1 later"
    launched()
    Message.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert sent()["ANN"].state == "queued"
    Message.objects.update(attempts=Message.TRIES, not_before=timezone.now())
    assert sent()["ANN"].state == "failed"


def test_a_server_that_cannot_be_reached_loses_nothing(settings, ann):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    postman.relay.close()
    launched()
    message = sent()["ANN"]
    assert (message.state, message.attempts) == ("queued", 0)
    assert message.not_before > timezone.now()
    assert not AdvertisingContacts.objects.filter(times__len__gt=0)


def test_the_second_of_two_mails_of_one_customer_in_one_batch_is_counted_too(sink, ann):
    for number in range(5):
        launched(subject=f"Ưu đãi {number}")
    states = sorted(sent_state for sent_state in _states())
    assert states == ["blocked", "blocked", "sent", "sent", "sent"]
    assert len(sink.mails) == 3


def _states():
    sent()
    return Message.objects.values_list("state", flat=True)


def claimed(worker=42, ago=timedelta(0)):
    messages = Message.objects.claim(worker, 10)
    Message.objects.update(claimed_at=timezone.now() - ago)
    return sorted(messages, key=lambda m: m.pk)


def died(messages, *, left=0, answered=0, refused=0, worker=42):
    """Leave the journal of a killed worker: the first messages handed over, the first of them answered, the last refused untold."""
    diary, at = Journal(worker), timezone.now()
    diary.open()
    diary.count(at, messages)
    gate.release([m.customer_id for m in messages], "promotions", "email", at)
    for message in messages:
        message.decide(gate.Decision(True, "allowed", "§2.4", "event:7"), at)
    for message in messages[:left]:
        diary.leave(message)
    for message in messages[len(messages) - refused :]:
        diary.reply(message, "failed", "550 5.1.1")
    for message in messages[:answered]:
        diary.reply(message, "sent", "250 2.0.0")
    diary.close(keep=True)


def test_a_killed_worker_leaves_the_message_in_hand_in_doubt_and_no_other(ann):
    for ref in ("BINH", "CUC", "DUNG"):
        consent(make_customer(ref))
    launched()
    messages = claimed()
    died(messages, left=2, answered=1, refused=1)
    Message.objects.recover()
    rows = Message.objects.order_by("pk")
    assert [(m.state, m.reason) for m in rows[:2]] == [("sent", "allowed"), ("unknown", "worker_lost")]
    assert [(m.state, m.reply) for m in rows[2:]] == [("queued", ""), ("failed", "550 5.1.1")]
    assert [(m.evidence, m.reply, bool(m.decided_at)) for m in rows[:1]] == [("event:7", "250 2.0.0", True)]
    counted = AdvertisingContacts.objects.filter(times__len__gt=0).values_list("customer_id", flat=True)
    assert set(counted) == {m.customer_id for m in rows[:2]}, "what did not leave costs no place under the cap"
    assert not Message.objects.exclude(worker=None).exists() and not journal.workers()


def test_what_a_living_process_has_in_hand_is_nobody_elses_even_when_its_session_is_gone(ann):
    launched()
    claimed(ago=timedelta(hours=1))
    diary = Journal(42)
    diary.open()
    Message.objects.recover()
    assert Message.objects.get().state == "claimed"
    diary.close(keep=True)
    Message.objects.recover()
    assert Message.objects.get().state == "queued"


def test_without_its_journal_all_that_a_dead_worker_held_is_in_doubt_after_a_minute(sink, ann):
    launched()
    consent(ann, "service_renewal")
    make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    queue_renewals(timezone.localdate(), by=None)
    assert len(claimed()) == 2
    Message.objects.recover()
    assert {m.state for m in Message.objects.all()} == {"claimed"}, "perhaps its own host has the journal"
    Message.objects.update(claimed_at=timezone.now() - timedelta(seconds=61))
    Message.objects.recover()
    assert Message.objects.get(campaign__isnull=False).state == "unknown"
    assert sent() and Message.objects.get(renewal__isnull=False).state == "sent"
    assert len(sink.mails) == 1


@pytest.mark.parametrize("spoilt", [lambda text: text.replace(journal.BOOT, "another"), lambda text: text + "mess\n"], ids=["boot", "disk"])
def test_a_journal_of_an_earlier_boot_or_a_damaged_disk_is_not_believed(ann, spoilt):
    launched()
    died(claimed(ago=timedelta(hours=1)))
    path = Path(settings.MAIL_JOURNALS) / "42"
    path.write_text(spoilt(path.read_text()))
    Message.objects.recover()
    assert Message.objects.get().state == "unknown"


def test_what_cannot_be_written_down_in_the_journal_does_not_leave(sink, ann, monkeypatch):
    launched()
    monkeypatch.setattr(os, "write", full_at_a_message(os.write))
    with pytest.raises(journal.Unwritable):
        postman.drain(5)
    assert Message.objects.get().state == "queued" and not sink.mails


def full_at_a_message(write):
    """Return how a disk writes that is full when a message is to be written down."""

    def written(file, data):
        if data.startswith(b"message\t"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    return written


def test_what_a_worker_no_longer_holds_it_does_not_settle(ann):
    launched()
    (message,) = claimed(ago=timedelta(hours=1))
    Message.objects.recover()
    message.state = Message.State.SENT
    Message.objects.settle([message])
    assert Message.objects.get().state == "unknown"


def test_one_mail_tells_of_all_services_that_fall_due_and_none_is_told_twice(sink, ann):
    consent(ann, "service_renewal")
    today = timezone.localdate()
    for days in (30, 7, 1, 5):
        make_service(ann, expires_on=today + timedelta(days=days))
    assert len(queue_renewals(today, by=None)) == 1
    assert not queue_renewals(today, by=None)
    sent()
    (mail,) = sink.mails
    text = mail.message.get_body(("plain",)).get_content()
    assert text.count("VPS-") == 3
    assert mail.message["Subject"] and "[QC]" not in mail.message["Subject"]


def test_who_never_asked_for_renewal_notices_gets_none_and_the_row_says_why(sink):
    chi = make_customer("CHI")
    make_service(chi, expires_on=timezone.localdate() + timedelta(days=7))
    queue_renewals(timezone.localdate(), by=None)
    message = sent()["CHI"]
    assert (message.state, message.reason, message.clause) == ("blocked", "consent_unknown", "§2.2")
    assert not sink.mails


def test_a_service_renewed_after_its_notice_was_queued_is_told_nothing(sink, ann):
    consent(ann, "service_renewal")
    service = make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    queue_renewals(timezone.localdate(), by=None)
    service.expires_on += timedelta(days=365)
    service.save()
    assert sent()["ANN"].reason == "no_longer_due"
    assert not sink.mails


def test_an_inactive_notice_is_not_sent(ann):
    for notice in RenewalNotice.objects.all():
        notice.active = False
        notice.save()
    make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    assert not queue_renewals(timezone.localdate(), by=None)


def test_a_value_that_cannot_be_decrypted_is_not_sent_and_stops_nobody_else(sink, ann):
    binh = make_customer("BINH")
    consent(binh)
    launched()
    spoil(ann)
    messages = sent()
    assert (messages["ANN"].state, messages["ANN"].reason) == ("failed", "UndecryptableValue")
    assert sink.recipients == ["binh@example.org"]


def spoil(customer):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_customer SET full_name = 'not a token' WHERE id = %s", [customer.pk])


def test_every_message_leaves_one_entry_when_it_is_settled(sink, ann):
    launched()
    sent()
    (entry,) = Entry.objects.filter(action="message.sent")
    assert (entry.subject, entry.clause, entry.actor) == (ann.public_id, "§2.4", "system")


def test_a_mail_that_cannot_be_built_costs_no_place_under_the_cap_and_stops_nobody(sink, ann):
    binh = make_customer("BINH")
    consent(binh)
    launched()
    spoil(ann)
    assert {ref: m.state for ref, m in sent().items()} == {"ANN": "failed", "BINH": "sent"}
    assert [c.customer for c in AdvertisingContacts.objects.filter(times__len__gt=0)] == [binh]


def test_a_verdict_that_grew_old_is_asked_again_in_the_last_moment(sink, ann):
    """The clock of the verdict is set back between RCPT and DATA, where a slow server would have spent it, and she says no there."""
    launched()
    (message,) = Message.objects.claim(1, 1)
    worker = postman.Worker()
    assert worker._still(message, time.monotonic())
    assert worker._still(message, time.monotonic() - 2)
    withdraw(ann)
    assert worker._still(message, time.monotonic())
    assert not worker._still(message, time.monotonic() - 2)
    assert (message.state, message.reason) == ("blocked", "suppressed")


def test_renewal_mail_that_the_server_did_not_confirm_goes_out_again(sink, ann, settings):
    consent(ann, "service_renewal")
    make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    (message,) = queue_renewals(timezone.localdate(), by=None)
    for outcome, state in (("unknown", "queued"), ("sent", "sent")):
        message.hand_over(outcome, "", timezone.now())
        assert message.state == state


def test_a_notice_that_was_held_up_past_the_day_is_not_sent(sink, ann):
    consent(ann, "service_renewal")
    past = timezone.localdate() - timedelta(days=3)
    make_service(ann, expires_on=past)
    queue_renewals(past - timedelta(days=7), by=None)
    assert sent()["ANN"].reason == "no_longer_due"


def test_a_kept_connection_that_the_server_cut_is_made_anew(sink):
    relay = Relay()
    for _ in range(2):
        assert relay.send("a@example.org", "ann@example.org", b"Subject: x\r\n\r\nx\r\n")[0] == "sent"
        relay._smtp.sock.shutdown(2)
    assert len(sink.mails) == 2
    relay.close()


def test_a_message_is_withheld_when_the_last_question_says_no(sink):
    relay = Relay()
    assert relay.send("a@example.org", "ann@example.org", b"x\r\n", lambda: False) == ("withheld", "")
    assert relay.send("a@example.org", "ann@example.org", b"x\r\n", lambda: True)[0] == "sent"
    assert len(sink.mails) == 1
    relay.close()


def test_a_silence_after_the_final_dot_is_unknown_and_before_it_nothing_left(sink, settings):
    settings.MAIL_TIMEOUTS = {"connect": 5, "command": 0.3, "after_data": 0.3}
    sink.delay = 2
    relay = Relay()
    assert relay.send("a@example.org", "ann@example.org", b"Subject: x\r\n\r\nx\r\n") == ("unknown", "")
    settings.EMAIL_PORT = 1
    with pytest.raises(Unreachable):
        relay.send("a@example.org", "ann@example.org", b"Subject: x\r\n\r\nx\r\n")


def test_lines_that_begin_with_a_dot_arrive_as_they_were(sink):
    relay = Relay()
    assert relay.send("a@example.org", "ann@example.org", b"Subject: x\r\n\r\n.\r\n..y\r\nend\r\n")[0] == "sent"
    assert sink.mails[0].data.endswith(b"\r\n\r\n.\r\n..y\r\nend\r\n")
    relay.close()


@pytest.mark.parametrize("words,kept", [(b"5.1.1 <ann@example.org> unknown", "550 5.1.1"), (b"no such user ann@example.org", "550")])
def test_of_a_reply_only_the_codes_are_kept(words, kept):
    assert codes(550, words) == kept


# Pace, failures in a row, and campaigns that stop themselves


def rule(**numbers):
    relay_rule = RelayRule.current()
    for name, value in numbers.items():
        setattr(relay_rule, name, value)
    relay_rule.save()
    return relay_rule


def everybody(count, **fields):
    """Launch a campaign to so many who consented."""
    for number in range(count):
        consent(make_customer(f"MANY{number}"))
    return launched(**fields)


def test_all_workers_together_hand_over_no_more_than_the_minute_holds(sink, ann):
    everybody(9)
    rule(per_minute=120)  # a bucket of two, and one more every half second
    assert [len(Message.objects.claim(worker, 50)) for worker in (1, 2, 3)] == [2, 0, 0]
    assert 0 < Message.objects.waits_for_its_turn() <= 0.5
    began = time.monotonic()
    assert postman.drain(1.6)
    assert len(sink.mails) in (2, 3) and time.monotonic() - began >= 1.5, "it waited for its turn"
    rule(per_minute=None)
    assert not postman.drain(5)
    assert len(sink.mails) == 8 and Message.objects.filter(state="claimed").count() == 2


def test_the_next_turn_is_a_notices_however_much_a_campaign_has_waiting(sink, ann):
    everybody(5)
    rule(per_minute=60)
    assert len(Message.objects.claim(1, 50)) == 1
    Notice.tell(ann, Notice.Kind.PASSWORD_CHANGED)
    Message.objects.queue_notices()
    RelayState.objects.update(free_at=timezone.now() - timedelta(seconds=1))
    (message,) = Message.objects.claim(2, 50)
    assert message.notice_id


def test_a_mail_server_that_fails_in_a_row_is_left_alone_and_what_waits_stays_in_the_queue(settings, ann):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    postman.relay.close()
    everybody(9)
    rule(wait_after=3, wait_seconds=60)
    assert not postman.drain(5)
    state = RelayState.objects.get()
    assert state.failures == 3 and state.alone_until > timezone.now() + timedelta(seconds=50)
    assert Message.objects.filter(state="queued", attempts=0).count() == 10
    assert Message.objects.due(timezone.now()).count() == 7, "what was not tried waits for no turn of its own"
    assert not Message.objects.claim(1, 50) and not Message.objects.waits_for_its_turn()
    assert not AdvertisingContacts.objects.filter(times__len__gt=0)


def test_one_answer_and_the_next_failure_is_the_first(sink, ann):
    launched()
    RelayState.objects.update(failures=4, alone_until=timezone.now() - timedelta(seconds=1))
    assert sent()["ANN"].state == "sent"
    assert RelayState.objects.get().failures == 0


def test_a_campaign_whose_first_messages_fail_stops_itself_and_says_why(sink, ann, monkeypatch):
    monkeypatch.setattr(postman, "FIRST", 5)
    monkeypatch.setattr(postman, "MOST", 5)
    campaign = everybody(19)
    sink.answers |= {f"many{number}@example.org": "550 5.1.1 no such user" for number in range(2, 12)}
    rule(first=10, failed_percent=40)
    assert sorted(m.state for m in sent().values()) == [*["blocked"] * 10, *["failed"] * 7, *["sent"] * 3]
    campaign.refresh_from_db()
    assert (campaign.status, campaign.failed) == ("stopped", 7)
    record = Entry.objects.get(action="campaign.halt")
    assert (record.actor, record.clause) == ("system", "§2.4")


def test_a_campaign_goes_on_when_fewer_of_its_first_messages_fail_and_whatever_its_later_ones_do(sink, ann):
    campaign = everybody(19)
    sink.answers |= {f"many{number}@example.org": "550 5.1.1 no such user" for number in (1, 2, 3, *range(12, 19))}
    rule(first=10, failed_percent=40)
    sent()
    campaign.halt()
    campaign.refresh_from_db()
    assert campaign.status == "sending" and campaign.failed is None
    assert Message.objects.filter(state="failed").count() == 10


# What the mail server offers


@pytest.fixture
def breath(sink):
    sink.pipelining = True
    return sink


@pytest.mark.parametrize("pipelining", [False, True])
def test_the_last_question_is_asked_when_the_server_waits_for_the_message_and_a_refusal_keeps_the_connection(sink, pipelining):
    sink.pipelining = pipelining
    sink.answers["binh@example.org"] = "550 5.1.1 no such user"
    relay, asked = Relay(), []
    still = lambda: asked.append(1) or True  # noqa: E731
    for name, outcome in (("ann", "sent"), ("binh", "failed"), ("chi", "sent")):
        assert relay.send("a@example.org", f"{name}@example.org", b"Subject: x\r\n\r\nx\r\n", still)[0] == outcome
    assert len(asked) == 2 and sink.connections == 1 and relay._smtp.has_extn("pipelining") == pipelining
    assert sink.recipients == ["ann@example.org", "chi@example.org"]
    relay.close()


def test_an_address_of_two_lines_reaches_no_server(breath):
    relay = Relay()
    with pytest.raises(ValueError):
        relay.send("a@example.org", "ann@example.org>\r\nRCPT TO:<all@example.org", b"x\r\n")
    relay.close()
    assert not breath.mails


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_sender_that_the_server_refuses_costs_no_message_a_try(sink, ann, pipelining):
    sink.pipelining, sink.refuses = pipelining, "550 5.7.1 not you"
    launched()
    message = sent()["ANN"]
    assert (message.state, message.attempts) == ("queued", 0)


def test_a_break_after_the_final_dot_is_in_doubt_and_counts_as_a_failure(sink, ann):
    sink.answers["ann@example.org"] = BREAK_AFTER_DOT
    launched()
    assert sent()["ANN"].state == "unknown" and RelayState.objects.get().failures == 1
    (record,) = Entry.objects.filter(action="message.unknown")
    assert record.subject == ann.public_id


def test_a_break_within_the_message_before_its_end_is_a_try_of_it(sink, ann):
    """A body that no buffer of a socket holds, so that the break is seen while it is being written."""
    sink.answers["ann@example.org"] = BREAK_IN_DATA
    relay, left = Relay(), []
    with pytest.raises(Unreachable):
        relay.send("a@example.org", "ann@example.org", b"x\r\n" * 10_000_000, leaves=lambda: left.append(1))
    assert left and not sink.mails


def test_who_is_next_is_said_behind_the_final_dot_and_costs_no_other_its_mail(breath):
    breath.answers["binh@example.org"] = "550 5.1.1 no such user"
    relay, names, left = Relay(), ["ann", "binh", "chi", "dung"], []
    for name, then in zip(names, [*names[1:], None], strict=True):
        following = ("a@example.org", f"{then}@example.org") if then else None
        leaves = lambda name=name: left.append(name)  # noqa: E731
        outcome = relay.send("a@example.org", f"{name}@example.org", b"x\r\n", leaves=leaves, following=following)
        assert outcome[0] == ("failed" if name == "binh" else "sent")
        assert bool(relay._announced) == (name in ("ann", "chi"))
    assert left == ["ann", "chi", "dung"] and breath.connections == 1
    assert breath.recipients == ["ann@example.org", "chi@example.org", "dung@example.org"]
    relay.close()


def test_who_was_said_to_be_next_and_is_not_gets_nothing(breath):
    relay, next_one = Relay(), ("a@example.org", "binh@example.org")
    assert relay.send("a@example.org", "ann@example.org", b"x\r\n", following=next_one) == ("sent", "250 2.0.0")
    assert relay.send("a@example.org", "chi@example.org", b"x\r\n", following=next_one) == ("sent", "250 2.0.0")
    assert relay.send(*next_one, b"x\r\n", lambda: False, following=next_one) == ("withheld", "")
    assert relay.send("a@example.org", "dung@example.org", b"x\r\n", following=next_one) == ("sent", "250 2.0.0")
    relay.rest()
    assert relay.send("a@example.org", "em@example.org", b"x\r\n")[0] == "sent"
    assert breath.recipients == ["ann@example.org", "chi@example.org", "dung@example.org", "em@example.org"]
    relay.close()


def test_a_break_after_the_dot_leaves_the_next_to_a_connection_of_its_own(breath):
    breath.answers["ann@example.org"] = BREAK_AFTER_DOT
    relay = Relay()
    assert relay.send("a@example.org", "ann@example.org", b"x\r\n", following=("a@example.org", "binh@example.org")) == ("unknown", "")
    assert relay.send("a@example.org", "binh@example.org", b"x\r\n")[0] == "sent"
    assert breath.recipients == ["ann@example.org", "binh@example.org"] and breath.connections == 2
    relay.close()


def test_a_round_says_each_next_in_advance_and_leaves_no_message_waited_for(breath, ann):
    everybody(5)
    breath.answers["many2@example.org"] = "450 4.2.1 later"
    assert {ref: m.state for ref, m in sent().items()} == {"ANN": "sent", **{f"MANY{n}": "sent" for n in range(5)}, "MANY2": "queued"}
    assert breath.connections == 1 and postman.relay._announced is None and len(breath.mails) == 5
