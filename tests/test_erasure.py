"""Erasing a customer: two people, the customer told first, nothing of the person left, and the rest still verifies."""

import json
from datetime import timedelta

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import BinaryField
from django.utils import timezone, translation
from simple_history.models import HistoricalChanges

from audit import sealing, trail
from audit.models import Entry
from consent.models import ConsentEvent, Suppression
from customers import erasure as erasing
from customers.erasure import blanks, carry_on, erase, path_to_customer, personal_models, replay
from customers.models import AccessRequest, Attachment, Customer, EmailChange, Erasure, LegalHold, Link, Notice, Session, SupportRequest
from customers.tasks import continue_erasures
from mailings import postman
from mailings.models import Message
from mailings.notices import LETTERS
from privacy_office.fields import Blind, digest, is_encrypted
from tests.make import consent, make_campaign, make_customer, make_hold, make_request, make_service, make_staff, withdraw
from tests.scans import png

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]
Step = Erasure.Step
PERSON = {"full_name": "Trần Thị Ánh Tuyết", "email": "anh.tuyet@example.org", "phone": "+84903123456", "address": "9 Ngõ Bí Mật, Huế"}
LATER = timezone.now() + timedelta(days=2)


@pytest.fixture
def in_english():
    """Refusals in the words of the code."""
    with translation.override("en"):
        yield


def make_tuyet(ref="TUYET"):
    """Return a customer about whom there is everything."""
    tuyet = make_customer(ref, **PERSON)
    make_service(tuyet, access_username="tuyet-root", access_secret="hoa-mai-vang")
    consent(tuyet)
    withdraw(tuyet, evidence="ticket 5: born in Vinh")
    make_hold(tuyet, by=make_staff("clerk")).release(by=make_staff("officer"), channel="phone", note="knew the plan of Vinh")
    tuyet.correct(by=make_staff("clerk"), reason="ticket 1", address="7 Phố Khác, Huế")
    Notice.tell(tuyet, Notice.Kind.SIGN_IN, address="tuyet.cu@example.org")
    Link.issue(tuyet, Link.Use.SIGN_IN)
    make_request(tuyet, words="my name is Tuyết", source="my")
    EmailChange.ask(tuyet, "tuyet.moi@example.org", by=tuyet)
    Attachment.keep(tuyet, png(), by=tuyet)
    Session.begin(tuyet, how="link", source={})
    SupportRequest.receive(tuyet, "Hỏi\n\nTuyết ở Vinh hỏi")
    AccessRequest.ask(PERSON["email"], digest("network", "127.0.0.1"))
    return tuyet


def asked(customer, by="clerk"):
    return Erasure.ask(customer, by=make_staff(by), reason="request 7")


def approved(customer):
    erasure = asked(customer)
    erasure.approve(by=make_staff("officer"))
    return erasure


def values_left(customer):
    """Return the encrypted columns and indexes that still hold something of the customer, history too."""
    left = set()
    for model in personal_models():
        rows = model._base_manager.filter(**{path_to_customer(model) or "pk": customer.pk})
        numbers = list(rows.values_list("pk", flat=True))
        tables = [(model, "pk__in")] + ([(model.history.model, "id__in")] if hasattr(model, "history") else [])
        for table, key in tables:
            for row in table._base_manager.filter(**{key: numbers}).values():
                left |= {(table.__name__, name) for name in blanks(model) if row.get(name)}
                if row.get("salt") and not row["history_change_reason"].endswith(".erase"):  # that of nothing tells nothing
                    left.add((table.__name__, "salt"))
    return left


def problems():
    sealing.seal()
    return trail.verify().problems


# Who, and when not


def test_an_erasure_takes_another_person():
    erasure = asked(make_customer(), by="officer")
    with pytest.raises(ValidationError, match="another person"):
        erasure.approve(by=make_staff("officer"))
    with pytest.raises(ValidationError, match="another person"):
        erasure.approve(by=None)
    assert not carry_on(erasure, at=LATER)
    erasure.approve(by=make_staff("officer", "other"))
    assert carry_on(erasure, at=LATER)


def test_a_legal_hold_blocks_an_erasure_at_every_step_before_the_first_value_goes():
    ann = make_customer()
    hold = LegalHold.place(ann, by=make_staff("officer"), reason="case 12")
    with pytest.raises(ValidationError, match="legal hold is open"):
        asked(ann)
    hold.lift(by=make_staff("officer", "other"))
    erasure = asked(ann)
    second = LegalHold.place(ann, by=make_staff("officer"), reason="case 13")
    with pytest.raises(ValidationError, match="legal hold is open"):
        erasure.approve(by=make_staff("officer"))
    second.lift(by=make_staff("clerk"))
    erasure.approve(by=make_staff("officer"))
    LegalHold.place(ann, by=make_staff("officer"), reason="case 14")
    assert not carry_on(erasure, at=LATER) and erasure.step == Step.APPROVED and erasure.held
    assert values_left(ann)


def test_a_legal_hold_is_lifted_by_another_person_and_comes_too_late_for_who_is_erased():
    ann = make_customer()
    hold = LegalHold.place(ann, by=make_staff("officer"), reason="case 12")
    with pytest.raises(ValidationError, match="another person"):
        hold.lift(by=make_staff("officer"))
    with pytest.raises(ValidationError, match="already"):
        LegalHold.place(ann, by=make_staff("clerk"), reason="case 13")
    hold.lift(by=make_staff("clerk"))
    erase(ann, by=None, reason="asked")
    with pytest.raises(ValidationError, match="too late"):
        LegalHold.place(ann, by=make_staff("officer"), reason="case 14")


def test_a_customer_is_erased_once_and_what_was_called_off_may_be_asked_for_again():
    ann = make_customer()
    erasure = asked(ann)
    with pytest.raises(ValidationError, match="under way"):
        asked(ann)
    erasure.call_off(by=make_staff("clerk"), reason="asked by phone not to")
    approved(ann)
    carry_on(ann.erasures.first(), at=LATER)
    with pytest.raises(ValidationError, match="erased already"):
        asked(ann)
    with pytest.raises(ValidationError, match="too late"):
        ann.erasures.first().call_off(by=make_staff("clerk"), reason="late")


# The customer is told first


def test_an_erasure_waits_until_the_customer_is_told_or_a_day_is_over(sink):
    ann = make_tuyet()
    erasure = approved(ann)
    assert not carry_on(erasure)
    assert values_left(ann)
    Message.objects.queue_notices()
    postman.drain(5)
    assert Message.objects.get(notice=erasure.notice).state == "sent"
    mail = sink.mails[-1]
    assert mail.recipient == PERSON["email"]
    with translation.override(ann.locale):
        assert mail.message["subject"].strip() == str(LETTERS[Notice.Kind.ERASURE].subject)
    assert PERSON["full_name"] in mail.message.get_body(["plain"]).get_content()
    assert carry_on(erasure)
    assert not values_left(ann)


def test_who_cannot_be_reached_is_erased_after_a_day():
    erasure = approved(make_customer(email=None))
    assert not carry_on(erasure)
    assert not carry_on(erasure, at=timezone.now() + timedelta(hours=23))
    assert carry_on(erasure, at=timezone.now() + timedelta(hours=25))


def test_whatever_waits_for_the_customer_is_ended_and_mail_that_comes_later_too(sink):
    ann = make_tuyet()
    consent(ann)
    campaign = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    carry_on(approved(ann), at=LATER)
    assert set(ann.messages.values_list("state", "reason")) == {("blocked", "erased")}
    assert not Session.objects.live().filter(customer=ann).exists()
    assert not ann.links.filter(used_at=None).exists()
    Message.objects.queue_notices()  # the letter itself was never posted: its message comes now, and goes nowhere
    postman.drain(5)
    assert not sink.mails
    assert set(ann.messages.values_list("state", "reason")) == {("blocked", "erased")}


# What goes


def test_nothing_of_the_person_is_left_in_any_table_and_the_trail_verifies():
    ann, binh = make_tuyet(), make_customer("BINH")
    assert values_left(ann)
    assert carry_on(approved(ann), at=LATER)
    assert not values_left(ann)
    assert values_left(binh)
    assert not AccessRequest.objects.exists()
    ann.refresh_from_db()
    assert ann.erased_at and ann.ref == "TUYET"
    assert problems() == []


def test_refusals_consents_and_messages_stay_by_reference():
    ann = make_tuyet()
    before = [ConsentEvent.objects.filter(customer=ann).count(), Suppression.objects.filter(lifted_at=None).count()]
    carry_on(approved(ann), at=LATER)
    assert [ConsentEvent.objects.filter(customer=ann).count(), Suppression.objects.filter(lifted_at=None).count()] == before
    assert before[1] == 1
    back = make_customer("AGAIN", email=PERSON["email"])
    consent(back, source="import", at=timezone.now() - timedelta(days=900))
    assert Suppression.objects.filter(lifted_at=None, digest=bytes(back.email_index)).exists()


NOT_THE_PERSON = {  # columns of bytes, not encrypted: why they stay
    "Session.digest": "of random bits",
    "Link.digest": "of random bits",
    "AccessRequest.network": "of a network; the row goes after a day",
}


def test_every_model_that_holds_something_of_a_customer_is_reached():
    """A model of whatever app with an encrypted column and a way to Customer must be blanked, or say here why it is not."""
    ours = [m for m in apps.get_models() if not issubclass(m, HistoricalChanges)]
    holds = {m for m in ours if any(map(is_encrypted, m._meta.concrete_fields)) and path_to_customer(m) is not None}
    assert holds <= set(personal_models()), "only the app customers holds what is personal"
    for model in personal_models():
        for field in model._meta.concrete_fields:
            if is_encrypted(field):
                assert field.null, f"{model.__name__}.{field.name} must be allowed to be empty, or it cannot be blanked"
            assert not isinstance(field, Blind) or field.name in blanks(model)
        if hasattr(model, "history"):
            assert hasattr(model.history.model, "salt"), f"{model.__name__}: History(personal=True), or its digests can be guessed"
    in_bytes = {
        f"{m.__name__}.{f.name}"
        for m in apps.get_app_config("customers").get_models()
        if not issubclass(m, HistoricalChanges)
        for f in m._meta.concrete_fields
        if isinstance(f, BinaryField) and f.name not in blanks(m)
    }
    assert in_bytes <= set(NOT_THE_PERSON), "a digest of something personal: name it in customers.erasure.ALSO"


def test_the_way_to_a_customer_is_found_through_other_rows():
    assert path_to_customer(Customer) == ""
    assert path_to_customer(Link) == "customer"
    assert path_to_customer(Entry) is None


# Ended at any point


def test_a_failure_at_every_single_step_leaves_what_the_next_run_finishes(monkeypatch):
    """The database refuses one step after the other: each time nothing of that step stands, and the next run goes on from there."""
    ann = make_tuyet()
    erasure = approved(ann)
    places = 0
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                fail_after(cursor, 1)
                done = carry_on(erasure, at=LATER)
        except Exception as error:  # the trigger's
            assert "stopped by the test" in str(error)
            places += 1
            erasure.refresh_from_db()
            with transaction.atomic():
                one_step(erasure)
            continue
        assert done
        break
    assert places >= len(personal_models()) + 2
    assert not values_left(ann)
    assert problems() == []


def fail_after(cursor, steps):
    cursor.execute(
        "CREATE OR REPLACE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.step <> 'done' THEN RAISE EXCEPTION 'stopped by the test'; END IF; RETURN NEW; END $$"
    )
    cursor.execute("CREATE TRIGGER stop_here BEFORE UPDATE ON customers_erasure FOR EACH ROW EXECUTE FUNCTION stop_here()")


def one_step(erasure):
    erasure.lock()
    assert erasing.NEXT[erasure.step](erasure, LATER)


def test_the_request_that_asked_for_it_is_settled_with_it():
    ann = make_customer()
    known, unknown = make_request(ann, "erasure", source="my"), make_request(ann, "erasure")
    carry_on(approved(ann), at=LATER)
    known.refresh_from_db()
    unknown.refresh_from_db()
    assert (known.state, unknown.state) == ("fulfilled", "received")
    assert not ann.notices.filter(kind=Notice.Kind.REQUEST_FULFILLED).exists()


# The journal, and a restored backup


def test_the_journal_names_nobody_and_comes_before_the_first_value_goes(settings):
    ann = make_tuyet()
    erasure = approved(ann)
    settings.ERASURE_JOURNAL = "/proc/no/journal"
    with pytest.raises(OSError):
        carry_on(erasure, at=LATER)
    assert ("Customer", "full_name") in values_left(ann)
    continue_erasures()  # says so in the log, and waits
    assert ("Customer", "full_name") in values_left(ann)


def test_the_journal_has_one_line_for_each_and_is_mended_after_half_a_line(anchors, settings):
    ann, binh = make_tuyet(), make_customer("BINH")
    erase(ann, by=None, reason="asked")
    journal = anchors.with_name("erasures.jsonl")
    with journal.open("a") as file:
        file.write('{"customer": "3')
    assert list(erasing.read_journal()) == [ann.public_id]
    erasing.write_journal(ann.public_id, timezone.now())
    erase(binh, by=None, reason="asked")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["customer"] for line in lines] == [str(ann.public_id), str(binh.public_id)]
    assert all(set(line) == {"customer", "at"} for line in lines)
    assert not [value for value in PERSON.values() if value in journal.read_text()]


def test_whom_the_journal_names_and_the_database_still_has_is_erased_again(capsys):
    ann, binh = make_tuyet(), make_customer("BINH")
    LegalHold.place(ann, by=make_staff("officer"), reason="lifted since, which the backup does not know")
    erasing.write_journal(ann.public_id, timezone.now())
    call_command("replay_erasures")
    assert json.loads(capsys.readouterr().out) == {"journal": 1, "erased_again": 1, "unknown": 0, "pending": 0}
    assert not values_left(ann) and values_left(binh)
    assert ann.erasures.get().certificate
    assert replay()["erased_again"] == 0
    assert problems() == []


@pytest.mark.parametrize("until", [Step.ASKED, Step.APPROVED, Step.CLOSED, Step.JOURNALED, Step.BLANKED])
def test_a_backup_from_the_middle_of_an_erasure_is_finished_too(until):
    ann = make_tuyet()
    erasure = asked(ann) if until == Step.ASKED else approved(ann)
    while erasure.step != until:
        one_step(erasure)
    erasing.write_journal(ann.public_id, timezone.now())
    replay()
    assert not values_left(ann)
    assert ann.erasures.filter(step=Step.DONE).count() == 1
    assert problems() == []


# The certificate


def test_the_certificate_says_what_went_what_stays_on_what_ground_and_until_when_and_names_nobody():
    ann = make_tuyet()
    erasure = approved(ann)
    carry_on(erasure, at=LATER)
    told = erasure.certificate
    assert told["gone"]["customers.customer"] == 1 and told["gone"]["customers.service"] == 1
    kept = {line["what"]: line for line in told["kept"]}
    assert kept["consent.consentevent"]["ground"] == "proof" and kept["consent.consentevent"]["rows"] == 2
    assert {line["ground"] for line in told["kept"]} <= set(erasing.GROUNDS)
    assert not [value for value in [*PERSON.values(), "Vinh", "tuyet"] if value in json.dumps(told, ensure_ascii=False)]
