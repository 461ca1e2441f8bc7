"""The postman against a real mail server: what leaves, what does not, and what becomes of a message either way."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Entry
from consent.models import AdvertisingContacts
from customers.models import EmailHold
from mailings import postman
from mailings.models import Message, RenewalNotice, queue_renewals
from mailings.relay import Relay, Unreachable, codes
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff, withdraw
from tests.sink import Sink

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings):
    with Sink() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.controller.port
        postman.relay.close()
        yield server
        postman.relay.close()


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


def sent():
    """Send until nothing is due; return the messages by the customer's ref."""
    while postman.drain(5):
        pass
    return {m.customer.ref: m for m in Message.objects.select_related("customer")}


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
    message = sent()["ANN"]
    assert (message.state, message.reason) == ("blocked", "suppressed")
    assert not sink.mails


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


def test_advertising_of_a_dead_worker_is_unknown_and_service_mail_goes_out_once_more(sink, ann):
    launched()
    consent(ann, "service_renewal")
    make_service(ann, expires_on=timezone.localdate() + timedelta(days=7))
    queue_renewals(timezone.localdate(), by=None)
    dead = 42
    assert len(Message.objects.claim(dead, 10)) == 2
    Message.objects.recover()
    assert Message.objects.get(campaign__isnull=False).state == "unknown"
    assert sent() and Message.objects.get(notice__isnull=False).state == "sent"
    assert len(sink.mails) == 1


def test_what_a_worker_no_longer_holds_it_does_not_settle(ann):
    launched()
    (message,) = Message.objects.claim(42, 10)
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
