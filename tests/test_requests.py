"""Requests of right: who may have them fulfilled, what happens at once, and that nobody is forgotten, extended twice or told nothing."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from audit.models import Entry
from consent import gate, rights
from consent.models import ConsentState, Suppression
from customers.models import DeadlineRule, Holiday, Link, Notice, Reminder, Right, RightsRequest
from privacy_office.models import StaffNotice
from tests.make import consent, make_customer, make_hold, make_request, make_staff, state_of
from tests.post import sent, text

pytestmark = pytest.mark.django_db
State = RightsRequest.State
TUESDAY = datetime(2026, 6, 2, 2, 0, tzinfo=UTC)  # nine in Hà Nội
KINDS = list(Right)
WAITS = [kind for kind in Right if kind not in ("withdrawal", "restriction", "objection")]


@pytest.fixture
def ann():
    return make_customer("ANN")


@pytest.fixture
def clerk():
    return make_staff("clerk")


def told(request):
    return list(Notice.objects.about(request).order_by("pk").values_list("kind", flat=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_law_gives_every_kind_its_numbers_as_rows(kind):
    rule = DeadlineRule.objects.get(kind=kind)
    assert rule.reply_days == 2 and rule.done_days <= rule.shared_days and rule.source
    assert rule.extension_days == rule.done_days


def test_a_request_has_both_dates_and_the_first_one_is_due(ann):
    request = make_request(ann, "access", received_at=TUESDAY)
    assert (request.reply_by, request.done_by, request.due_on) == (date(2026, 6, 4), date(2026, 6, 12), date(2026, 6, 4))
    assert request.first_reply().on == request.reply_by and request.done().on == request.done_by


def test_after_the_first_reply_the_other_date_is_due_and_others_who_must_act_move_it(ann, clerk):
    request = make_request(ann, "access", received_at=TUESDAY)
    request.acknowledge(by=clerk, third_party=True)
    assert (request.state, request.due_on) == ("acknowledged", date(2026, 6, 17))
    with pytest.raises(ValidationError):
        request.acknowledge(by=clerk)


def test_a_rule_that_changes_leaves_requests_that_came_in_before_it_alone(ann):
    request = make_request(ann, "access", received_at=TUESDAY)
    models.QuerySet(DeadlineRule).filter(kind="access").update(done_days=1)
    RightsRequest.objects.recount(by=None, reason="test")
    request.refresh_from_db()
    assert request.done_by == date(2026, 6, 12)


def test_a_holiday_announced_late_moves_open_requests_and_leaves_settled_ones(ann, clerk):
    request, settled = make_request(ann, "access", received_at=TUESDAY), make_request(make_customer(), "copy", received_at=TUESDAY)
    settled.refuse(by=clerk, ground="nothing_held", reason="no data")
    Holiday(day=date(2026, 6, 3), name="Storm").announce(by=make_staff("officer"))
    request.refresh_from_db()
    settled.refresh_from_db()
    assert (request.reply_by, request.due_on, settled.reply_by) == (date(2026, 6, 5), date(2026, 6, 5), date(2026, 6, 4))
    assert "Storm" in " ".join(request.first_reply().steps)
    assert Entry.objects.filter(action="request.recount").count() == 1
    assert Entry.objects.get(action="holiday.announce").detail["requests"] == 1


def test_what_was_received_cannot_lie_in_the_future(ann, clerk):
    with pytest.raises(ValidationError):
        make_request(ann, received_at=timezone.now() + timedelta(minutes=1))


# What happens at once


def test_a_restriction_stops_use_at_once_even_while_the_address_is_on_hold(ann):
    make_hold(ann)
    request = rights.receive(ann, "restriction", by=ann, source="my")
    ann.refresh_from_db()
    assert ann.restricted_at and request.state == "fulfilled" and told(request) == ["request_fulfilled"]
    assert gate.decide([ann.pk], "service_support", "email", timezone.now())[ann.pk].reason == "restricted"


def test_a_second_restriction_changes_nothing_and_is_fulfilled(ann):
    rights.receive(ann, "restriction", by=ann, source="my")
    assert rights.receive(ann, "restriction", by=ann, source="my").state == "fulfilled"


def test_an_objection_is_a_no_to_everything_that_rests_on_consent(ann):
    consent(ann, "promotions")
    request = rights.receive(ann, "objection", by=ann, source="my")
    assert request.state == "fulfilled"
    assert (state_of(ann, "promotions").state, state_of(ann, "surveys").state) == ("withdrawn", "refused")
    assert Suppression.objects.filter(lifted_at=None).count() == ConsentState.objects.filter(customer=ann).count() > 10


def test_a_withdrawal_takes_back_what_was_given_and_says_nothing_of_the_rest(ann):
    consent(ann, "promotions")
    rights.receive(ann, "withdrawal", by=make_staff("clerk"), source="phone")
    assert [(s.state, s.event.source) for s in ConsentState.objects.filter(customer=ann)] == [("withdrawn", "phone_call")]


def test_what_is_done_at_once_is_done_or_not_as_a_whole(ann, monkeypatch):
    def fails(request, *, by):
        raise ZeroDivisionError

    monkeypatch.setattr(rights, "restrict", fails)
    with pytest.raises(ZeroDivisionError):
        rights.receive(ann, "restriction", by=ann, source="my")
    assert not RightsRequest.objects.exists() and not Notice.objects.exists()


# Who asks


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize(("source", "state"), [("my", "waiting"), ("email", "waiting"), ("phone", "received"), ("paper", "received")])
def test_while_the_address_is_on_hold_a_request_from_it_waits_and_its_dates_go_on(ann, kind, source, state):
    make_hold(ann)
    request = make_request(ann, kind, source=source, received_at=TUESDAY)
    assert (request.state, request.due_on) == (state, request.reply_by)


def test_a_waiting_request_is_not_fulfilled_and_opens_with_the_release(ann, clerk):
    hold = make_hold(ann)
    request = make_request(ann, "access", source="email")
    with pytest.raises(ValidationError):
        rights.fulfil(request, by=clerk)
    hold.release(by=clerk, channel="phone", note="knows the plan")
    request.refresh_from_db()
    assert (request.state, told(request)) == ("received", ["request_waiting", "request_to_confirm"])


def test_nothing_is_done_for_a_stranger(ann, clerk):
    request = make_request(ann, "copy", source="email")
    with pytest.raises(ValidationError):
        rights.fulfil(request, by=clerk)
    request.confirm_identity(by=clerk, how="contact")
    rights.fulfil(request, by=clerk, outcome="Sent by registered letter.")
    assert (request.state, request.identity_how) == ("fulfilled", "contact")
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(RightsRequest).filter(pk=request.pk).update(identity_at=None, identity_how="")


def test_a_request_from_the_customers_pages_needs_no_other_proof(ann):
    request = make_request(ann, "copy", source="my")
    assert request.identity_how == "session" and told(request) == ["request_received"]


def test_an_erasure_is_not_called_done_here(ann, clerk):
    with pytest.raises(ValidationError):
        rights.fulfil(make_request(ann, "erasure", source="my"), by=clerk)


# Telling


def test_each_step_is_told_and_the_copies_are_listed_by_kind_and_date(ann, clerk, sink):
    request = make_request(ann, "copy", source="my", received_at=TUESDAY)
    request.acknowledge(by=clerk)
    request.extend(by=make_staff("officer"), reason="many backups", at=TUESDAY)
    request.refuse(by=make_staff("officer"), ground="others", reason="The files name your colleagues.")
    assert told(request) == ["request_received", "request_acknowledged", "request_extended", "request_refused"]
    assert all(n.address is None and "@" not in str(n.values) for n in Notice.objects.about(request))
    sent()
    letters = [text(m) for m in sink.mails]
    assert len(letters) == 4 and "04/06/2026" in letters[0] and "12/06/2026" in letters[0]
    assert "many backups" in letters[2] and "22/06/2026" in letters[2] and "10" in letters[2]
    assert "The files name your colleagues." in letters[3] and "{" not in "".join(letters)


def test_a_refusal_tells_how_to_complain(clerk, sink):
    request = make_request(make_customer("BINH", locale="en"), "copy", source="my")
    request.refuse(by=clerk, ground="others", reason="It names others.")
    sent()
    assert "complain to the state agency" in text(sink.mails[-1]) and "it would show or harm other people" in text(sink.mails[-1])


def test_a_request_by_mail_is_confirmed_by_a_link_that_works_once(client, ann, sink):
    request = make_request(ann, "copy", source="email")
    sent()
    path = f"/link/{text(sink.mails[0]).split('/link/')[1].split()[0]}"
    assert client.get(path).status_code == 200
    request.refresh_from_db()
    assert request.identity_at is None, "looking changes nothing"
    assert client.post(path).status_code == 200
    request.refresh_from_db()
    assert request.identity_how == "link"
    assert client.post(path).status_code == 410


def test_a_link_for_one_request_opens_no_other(client, ann):
    request = make_request(ann, "copy", source="email")
    other = make_request(make_customer("BINH"), "copy", source="email")
    _link, token = Link.issue(ann, Link.Use.IDENTITY, about=other)
    assert client.post(f"/link/identity/{token}/").status_code == 404
    other.refresh_from_db()
    assert other.identity_at is None and request.identity_at is None


# Once


def test_a_request_is_extended_once_with_a_reason_in_time_and_within_the_law(ann):
    officer = make_staff("officer")
    request = make_request(ann, "erasure", received_at=TUESDAY, source="my")
    for wrong in ({"reason": " "}, {"reason": "x", "days": 21}, {"reason": "x", "days": 0}):
        with pytest.raises(ValidationError):
            request.extend(by=officer, at=TUESDAY, **wrong)
    with pytest.raises(ValidationError):
        request.extend(by=officer, reason="x", at=TUESDAY + timedelta(days=21))
    request.extend(by=officer, reason="tapes", at=TUESDAY + timedelta(days=20))
    assert request.done_by == date(2026, 7, 12)
    with pytest.raises(ValidationError):
        request.extend(by=officer, reason="once more", at=TUESDAY)


def test_the_database_itself_knows_no_extension_without_a_reason(ann):
    request = make_request(ann)
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(RightsRequest).filter(pk=request.pk).update(extended_at=TUESDAY, extended_by=3)


def test_the_same_request_again_is_linked_and_blocks_nothing(ann, clerk):
    first, again, other = make_request(ann, "copy"), make_request(ann, "copy"), make_request(ann, "access")
    assert (again.duplicate_of, other.duplicate_of) == (first, None)
    first.refuse(by=clerk, ground="done_already", reason="twice")
    assert make_request(ann, "copy").duplicate_of == again


def test_a_settled_request_is_settled(ann, clerk):
    request = make_request(ann, "copy", source="my")
    rights.fulfil(request, by=clerk)
    for verb in (
        lambda: request.refuse(by=clerk, ground="others", reason="x"),
        lambda: rights.fulfil(request, by=clerk),
        lambda: request.extend(by=clerk, reason="x"),
        lambda: request.ask_identity(by=clerk),
    ):
        with pytest.raises(ValidationError):
            verb()


# Reminding


def remind(day):
    return RightsRequest.objects.remind(day)


def test_staff_are_told_before_a_date_and_after_it_each_once(ann, clerk):
    officer, marketer = make_staff("officer"), make_staff("marketer")
    request = make_request(ann, "erasure", source="my", received_at=TUESDAY)  # due on the 4th, on the 22nd
    request.acknowledge(by=clerk)
    days = [remind(date(2026, 6, day)) for day in (18, 19, 19, 22, 23, 23, 30)]
    assert days == [0, 1, 0, 0, 1, 0, 0]
    notices = list(StaffNotice.objects.order_by("pk").values_list("member__username", "kind"))
    assert sorted(notices) == [(who, kind) for who in ("clerk", "officer") for kind in ("request_due", "request_late")]
    assert marketer.username not in str(notices) and officer.username in str(notices)


def test_many_requests_on_one_day_are_one_mail(clerk):
    clerk.email = "clerk@example.org"
    clerk.save()
    for _ in range(3):
        make_request(received_at=TUESDAY)
    assert remind(date(2026, 6, 10)) == 3
    assert StaffNotice.objects.count() == 1 and Reminder.objects.count() == 3


def test_a_date_that_moved_is_a_date_to_be_reminded_of_again(ann):
    request = make_request(ann, "erasure", source="my", received_at=TUESDAY)
    request.acknowledge(by=make_staff("clerk"))
    assert remind(date(2026, 6, 20)) == 1
    request.extend(by=make_staff("officer"), reason="tapes", at=TUESDAY)
    assert (remind(date(2026, 6, 23)), remind(date(2026, 7, 10))) == (0, 1)


def test_reminding_of_many_takes_as_many_queries_as_of_few(django_assert_max_num_queries, clerk):
    for _ in range(12):
        make_request(received_at=TUESDAY)
    with django_assert_max_num_queries(12):
        remind(date(2026, 6, 10))


def test_a_settled_request_is_neither_late_nor_due(ann, clerk):
    request = make_request(ann, "copy", source="my", received_at=TUESDAY)
    assert list(RightsRequest.objects.late(date(2026, 6, 5))) == [request]
    rights.fulfil(request, by=clerk)
    assert not RightsRequest.objects.late(date(2026, 6, 5)) and remind(date(2026, 6, 10)) == 0
    assert not mail.outbox


# What is kept


def test_every_verb_leaves_an_entry_about_the_customer_and_none_says_what_was_written(ann, clerk):
    request = make_request(ann, "copy", source="my", words="my daughter Hoa is ill")
    request.acknowledge(by=clerk)
    request.refuse(by=clerk, ground="others", reason="x")
    entries = Entry.objects.filter(object=f"customers.rightsrequest:{request.pk}").order_by("id")
    assert [e.action for e in entries] == ["request.receive", "request.acknowledge", "request.refuse"]
    assert {e.subject for e in entries} == {ann.public_id} and all(e.kept for e in entries)
    assert "Hoa" not in str([(e.detail, e.action) for e in Entry.objects.all()])
    with connection.cursor() as cursor:
        cursor.execute("SELECT words FROM customers_rightsrequest UNION ALL SELECT words FROM customers_historicalrightsrequest")
        assert all(words.startswith("gAAAA") for (words,) in cursor.fetchall())
