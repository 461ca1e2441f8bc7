"""Nothing leaves the house without a ground, two people, and a row on the register."""

import csv
import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pyrage
import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.utils import timezone

from audit.models import Entry
from audit.trail import verify
from customers.erasure import erase
from customers.models import Notice
from disclosures import gate, handover, letters, reports, tasks
from disclosures.models import (
    Breach,
    Commitment,
    Disclosure,
    DisclosureRequest,
    Document,
    Package,
    PermissionEvent,
    RecipientTask,
    Seal,
    TermRule,
    ThirdParty,
)
from privacy_office.models import StaffNotice
from privacy_office.spreadsheets import harmless
from tests.make import (
    IDENTITY,
    PDF,
    ask_reveal,
    assess,
    make_approved,
    make_breach,
    make_commitment,
    make_customer,
    make_data_request,
    make_offer,
    make_seal,
    make_service,
    make_staff,
    make_third_party,
)
from tests.post import sent, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]


@pytest.fixture
def ann():
    return make_customer("ANN", full_name="Trần Thị Ánh", phone="+84903123456")


@pytest.fixture
def binh():
    return make_customer("BINH")


def last_entry():
    return Entry.objects.order_by("id").last()


def hand_over(request, by=None, at=None):
    """Make the package and fetch it; return the bytes that leave the house."""
    by = by or make_staff("officer")
    decision, token = handover.prepare(request, by=by, at=at)
    assert decision.allowed, decision
    decision, data = handover.fetch(token, by=by, at=at)
    assert decision.allowed, decision
    return data


def opened(data):
    """Return the JSON and the page in a package, by the recipient's private key."""
    files = zipfile.ZipFile(io.BytesIO(pyrage.decrypt(data, [IDENTITY])))
    return json.loads(files.read("disclosure.json")), files.read("disclosure.html").decode()


# The way that is right


def test_a_package_holds_exactly_the_approved_fields_of_the_approved_customers(ann, binh):
    make_service(ann, access_secret="hoa-mai-vang")
    request = make_data_request(ann, binh, fields=["full_name", "phone", "email", "services"])
    assess(request, fields=["full_name", "services"], refs=["ANN"])
    request.approve(by=make_staff("approver"))
    data = hand_over(request)
    assert data.startswith(b"age-encryption.org/v1\n-> X25519")
    said, page = opened(data)
    service = {
        "product": "Máy chủ ảo",
        "plan": said["customers"][0]["services"][0]["plan"],
        "started_on": "2026-01-01",
        "expires_on": "2026-12-31",
    }
    assert said["customers"] == [{"full_name": "Trần Thị Ánh", "services": [service]}]
    assert "Trần Thị Ánh" in page and "903123456" not in page and "hoa-mai-vang" not in page and "BINH" not in page.upper()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data, [pyrage.x25519.Identity.generate()])


def test_the_period_bounds_services_and_mails(ann):
    make_service(ann, started_on=timezone.localdate() - timedelta(days=900), expires_on=timezone.localdate() - timedelta(days=500))
    said, _page = opened(hand_over(make_approved(ann, fields=["services", "messages"])))
    assert said["customers"] == [{"services": [], "messages": []}]


def test_the_register_keeps_kinds_of_data_and_the_digest_of_what_left_and_the_trail_vouches_for_it(ann, binh):
    request = make_approved(ann, binh)
    data = hand_over(request)
    rows = Disclosure.objects.filter(request=request)
    assert {row.customer for row in rows} == {ann, binh}
    row = Disclosure.objects.of(ann).get()
    assert (row.ground, row.clause, row.fields) == ("legal_obligation", "§6.3a", ["full_name", "phone"])
    assert row.digest == hashlib.sha256(data).hexdigest()
    entry = Entry.objects.get(action="disclosure.disclose", subject=ann.public_id)
    assert entry.commitment and entry.object == f"disclosures.disclosure:{row.pk}"
    assert verify().problems == []


def test_what_leaves_is_stored_nowhere_in_the_clear_and_not_at_all_once_it_is_fetched(ann):
    request = make_approved(ann)
    _decision, token = handover.prepare(request, by=make_staff("officer"))
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT string_agg(t::text, E"\\n") FROM "{table}" t'.replace('E"\\n"', "chr(10)"))
            text = cursor.fetchone()[0] or ""
            assert "Ánh" not in text and "903123456" not in text and token not in text, table
    handover.fetch(token, by=make_staff("officer"))
    assert Package.objects.get().ciphertext is None


def test_a_payment_service_gets_what_it_needs_under_a_commitment_in_force(ann):
    processor = make_third_party("payment_processor")
    commitment = make_commitment(processor)
    hand_over(make_approved(ann, third_party=processor, ground="payment_service", document=None, fields=["full_name"]))
    assert Disclosure.objects.get().evidence == f"commitment:{commitment.pk}"


def test_a_customers_permission_lets_one_third_party_have_its_fields(ann):
    registrar = make_third_party("other")
    offer = make_offer(registrar)
    offer.give(ann, by=ann, source="page")
    hand_over(make_approved(ann, third_party=registrar, ground="customer_permission", offer=offer, document=None, fields=["email"]))
    assert (Disclosure.objects.get().ground, Disclosure.objects.get().clause) == ("customer_permission", "§1.4")


# Every other way


def payment(customer, **dates):
    processor = make_third_party("payment_processor")
    if dates is not None:
        make_commitment(processor, **dates)
    return {"third_party": processor, "ground": "payment_service", "document": None, "fields": ["full_name"]}


def permission(customer, fields=("full_name",), given=True):
    registrar = make_third_party("other")
    offer = make_offer(registrar)
    if given:
        offer.give(customer, by=customer, source="page")
    return {"third_party": registrar, "ground": "customer_permission", "offer": offer, "document": None, "fields": fields}


def raised(verb, *args, **kwargs):
    with pytest.raises(ValidationError) as refusal:
        verb(*args, **kwargs)
    return getattr(refusal.value, "code", None)


def answer(request, at=None):
    return handover.prepare(request, by=make_staff("officer"), at=at)[0].reason


def at_intake(**values):
    return lambda ann: raised(make_data_request, ann, **values)


def sale(ann):
    return raised(make_data_request, ann, ground="sale")


def wrong_kind(ann):
    return raised(make_data_request, ann, third_party=make_third_party("other"))


def inactive(ann):
    return raised(make_data_request, ann, third_party=make_third_party(active=False))


def unverified(ann):
    request = make_data_request(ann)
    scope = {"fields": request.fields_asked, "period_from": request.asked_from, "period_until": request.asked_until}
    request.assess(by=make_staff("officer"), refs=["ANN"], assessment="", **scope)
    return raised(request.approve, by=make_staff("approver"))


def own_approval(ann):
    request = assess(make_data_request(ann))
    return raised(request.approve, by=make_staff("officer"))


def read_another_scope(ann):
    request = assess(make_data_request(ann))
    scope = request.scope
    assess(request, fields=["phone"])
    return raised(request.approve, by=make_staff("approver"), scope=scope)


def only_assessed(ann):
    return answer(assess(make_data_request(ann)))


def assessed_again(ann):
    return answer(assess(make_approved(ann), fields=["phone"]))


def scope_changed(ann):
    request = make_approved(ann)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE disclosures_disclosurerequest SET fields = '{phone}' WHERE id = %s", [request.pk])
    return answer(request)


def expired_approval(ann):
    return answer(make_approved(ann), at=timezone.now() + timedelta(hours=24))


def no_commitment(ann):
    processor = make_third_party("payment_processor")
    return raised(make_approved, ann, third_party=processor, ground="payment_service", document=None)


def commitment_ended_yesterday(ann):
    yesterday = timezone.localdate() - timedelta(days=1)
    return raised(make_approved, ann, **payment(ann, valid_until=yesterday))


def commitment_of_tomorrow(ann):
    return raised(make_approved, ann, **payment(ann, valid_from=timezone.localdate() + timedelta(days=1)))


def commitment_ended_meanwhile(ann):
    request = make_approved(ann, **payment(ann))
    request.third_party.commitments.get().end(by=make_staff("officer"))
    return answer(request)


def never_permitted(ann):
    return raised(make_approved, ann, **permission(ann, given=False))


def withdrawn_meanwhile(ann):
    request = make_approved(ann, **permission(ann))
    request.offer.withdraw(ann, by=ann, source="page")
    return answer(request)


def withdrawn_before_it_is_fetched(ann):
    request = make_approved(ann, **permission(ann))
    _decision, token = handover.prepare(request, by=make_staff("officer"))
    request.offer.withdraw(ann, by=ann, source="page")
    return handover.fetch(token, by=make_staff("officer"))[0].reason


def more_than_permitted(ann):
    return raised(make_approved, ann, **permission(ann, fields=["full_name", "address"]))


def permission_for_another(ann):
    return raised(make_approved, ann, **{**permission(ann), "third_party": make_third_party("other")})


def erased_meanwhile(ann):
    request = make_approved(ann)
    erase(ann, by=make_staff("officer"), reason="asked")
    return answer(request)


def erased_before_it_is_fetched(ann):
    request = make_approved(ann)
    _decision, token = handover.prepare(request, by=make_staff("officer"))
    erase(ann, by=make_staff("officer"), reason="asked")
    reason = handover.fetch(token, by=make_staff("officer"))[0].reason
    assert Package.objects.get().ciphertext is None
    return reason


def restricted(ann):
    request = make_approved(ann, **permission(ann))
    ann.restrict(by=make_staff("clerk"), reason="asked")
    return answer(request)


def no_key(ann):
    return answer(make_approved(ann, third_party=make_third_party(age_key="")))


def unchecked_key(ann):
    return answer(make_approved(ann, third_party=make_third_party(checked_by=None)))


def changed_key(ann):
    request = make_approved(ann)
    request.third_party.age_key = str(pyrage.x25519.Identity.generate().to_public())
    request.third_party.keep(by=make_staff("officer"))
    return answer(request)


def refused_request(ann):
    request = assess(make_data_request(ann))
    request.refuse(by=make_staff("approver"), ground="too_wide")
    return answer(request)


def second_fetch(ann):
    _decision, token = handover.prepare(make_approved(ann), by=make_staff("officer"))
    assert handover.fetch(token, by=make_staff("officer"))[0].allowed
    return handover.fetch(token, by=make_staff("officer"))[0].reason


def second_package(ann):
    request = make_approved(ann)
    hand_over(request)
    return answer(request)


def older_link(ann):
    request = make_approved(ann)
    _decision, token = handover.prepare(request, by=make_staff("officer"))
    handover.prepare(request, by=make_staff("officer"))
    return handover.fetch(token, by=make_staff("officer"))[0].reason


def link_after_its_time(ann):
    _decision, token = handover.prepare(make_approved(ann), by=make_staff("officer"))
    return handover.fetch(token, by=make_staff("officer"), at=timezone.now() + timedelta(hours=1, seconds=1))[0].reason


def link_swept_away(ann):
    _decision, token = handover.prepare(make_approved(ann), by=make_staff("officer"))
    later = timezone.now() + timedelta(hours=1, seconds=1)
    assert handover.void_expired(at=later) == 1
    return handover.fetch(token, by=make_staff("officer"), at=later)[0].reason


def direct_link(ann):
    handover.prepare(make_approved(ann), by=make_staff("officer"))
    return handover.fetch(str(Package.objects.get().pk), by=make_staff("officer"))[0].reason


def link_of_another(ann):
    _decision, token = handover.prepare(make_approved(ann), by=make_staff("officer"))
    return handover.fetch(token, by=make_staff("officer", "olga"))[0].reason


OTHER_WAYS = [
    (sale, "no_ground", "request.receive.refused"),
    (wrong_kind, "wrong_recipient", "request.receive.refused"),
    (inactive, "recipient_inactive", "request.receive.refused"),
    (at_intake(document_number=""), "no_legal_reference", "request.receive.refused"),
    (at_intake(legal_article=" "), "no_legal_reference", "request.receive.refused"),
    (at_intake(document_dated_on=None), "no_legal_reference", "request.receive.refused"),
    (at_intake(document=None), "no_document", "request.receive.refused"),
    (unverified, "requester_unverified", "request.approve.refused"),
    (own_approval, "own_approval", "request.approve.refused"),
    (read_another_scope, "scope_changed", "request.approve.refused"),
    (only_assessed, "not_approved", "request.prepare.refused"),
    (assessed_again, "not_approved", "request.prepare.refused"),
    (refused_request, "not_approved", "request.prepare.refused"),
    (scope_changed, "scope_changed", "request.prepare.refused"),
    (expired_approval, "approval_expired", "request.prepare.refused"),
    (no_commitment, "no_commitment", "request.approve.refused"),
    (commitment_ended_yesterday, "commitment_ended", "request.approve.refused"),
    (commitment_of_tomorrow, "commitment_ended", "request.approve.refused"),
    (commitment_ended_meanwhile, "commitment_ended", "request.prepare.refused"),
    (never_permitted, "permission_missing", "request.approve.refused"),
    (permission_for_another, "no_offer", "request.approve.refused"),
    (more_than_permitted, "field_not_permitted", "request.approve.refused"),
    (withdrawn_meanwhile, "permission_withdrawn", "request.prepare.refused"),
    (withdrawn_before_it_is_fetched, "permission_withdrawn", "package.fetch.refused"),
    (erased_meanwhile, "customer_erased", "request.prepare.refused"),
    (erased_before_it_is_fetched, "customer_erased", "package.fetch.refused"),
    (restricted, "customer_restricted", "request.prepare.refused"),
    (no_key, "no_key", "request.prepare.refused"),
    (unchecked_key, "key_unchecked", "request.prepare.refused"),
    (changed_key, "key_unchecked", "request.prepare.refused"),
    (second_fetch, "link_used", "package.fetch.refused"),
    (second_package, "already_disclosed", "request.prepare.refused"),
    (older_link, "link_used", "package.fetch.refused"),
    (link_after_its_time, "link_expired", "package.fetch.refused"),
    (link_swept_away, "link_expired", "package.fetch.refused"),
    (direct_link, "link_unknown", "package.fetch.refused"),
    (link_of_another, "link_of_another", "package.fetch.refused"),
]


@pytest.mark.parametrize(("way", "reason", "action"), OTHER_WAYS, ids=[f"{way.__name__}-{reason}" for way, reason, _action in OTHER_WAYS])
def test_every_other_way_to_hand_over_is_refused_with_a_reason_and_leaves_an_entry(ann, way, reason, action):
    assert way(ann) == reason
    entry = last_entry()
    assert (entry.action, entry.detail["reason"]) == (action, reason)
    assert gate.WORDS[reason]
    assert Disclosure.objects.count() == (1 if way in (second_fetch, second_package) else 0)


def test_every_reason_of_the_gate_is_tried_and_has_words():
    tried = {reason for _way, reason, _action in OTHER_WAYS}
    assert set(gate.WORDS) - tried == {"allowed", "nothing_asked", "customer_unknown"}


# What the database itself refuses


@pytest.mark.parametrize(
    "row",
    [
        {"ground": "sale"},
        {"fields": ["address"]},
        {"customers": [0]},
        {"approved_scope": ""},
        {"legal_article": ""},
        {"document_number": ""},
        {"verified_by": None},
        {"status": "refused"},
    ],
    ids=str,
)
def test_the_database_refuses_a_request_that_no_verb_would_make(ann, row):
    request = make_approved(ann)
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(DisclosureRequest).filter(pk=request.pk).update(**row)


def test_the_database_refuses_one_person_for_both_and_a_disclosure_on_another_ground(ann):
    request = make_approved(ann)
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(DisclosureRequest).filter(pk=request.pk).update(approved_by=request.assessed_by)
    hand_over(request)
    row = Disclosure.objects.get()
    row.pk, row.ground, row.request = None, "sale", make_approved(ann)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize("model", [Disclosure, PermissionEvent])
@pytest.mark.parametrize("sql", ["UPDATE {} SET at = at", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_register_and_permissions_are_append_only(ann, model, sql):
    hand_over(make_approved(ann))
    permission(ann)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql.format(model._meta.db_table))


# The authority's clock


@pytest.mark.parametrize(("urgent", "hours"), [(False, 24), (True, 3)])
def test_an_authority_is_answered_within_the_hours_that_the_law_gives_to_the_minute(ann, urgent, hours):
    received = timezone.now() - timedelta(minutes=7)
    request = make_data_request(ann, urgent=urgent, received_at=received)
    assert request.received_at == received.replace(second=0, microsecond=0)
    assert request.due_at == request.received_at + timedelta(hours=hours)
    assert request.left(request.due_at - timedelta(minutes=1)) == timedelta(minutes=1)
    assert list(DisclosureRequest.objects.on_the_clock()) == [request]


def test_the_hours_are_data_and_say_which_law_they_are_from(ann):
    rule = TermRule.objects.get(code="authority_urgent")
    assert "333/2026" in rule.source
    rule.hours = 2
    rule.save()
    request = make_data_request(ann, urgent=True)
    assert request.due_at - request.received_at == timedelta(hours=2)


def test_the_clock_stops_with_the_answer(ann):
    request = make_data_request(ann)
    request.refuse(by=make_staff("approver"), ground="formal", at=request.due_at + timedelta(minutes=1))
    assert request.late and not DisclosureRequest.objects.on_the_clock()


def test_who_can_answer_an_authority_is_told_when_one_asks(ann):
    officer, approver = make_staff("officer"), make_staff("approver")
    party = make_third_party()
    StaffNotice.objects.all().delete()
    make_data_request(ann, third_party=party)
    assert {(n.member, n.kind) for n in StaffNotice.objects.all()} == {(officer, "authority_request"), (approver, "authority_request")}


def test_a_request_is_not_from_the_future_nor_about_nobody(ann):
    for wrong in (
        {"received_at": timezone.now() + timedelta(minutes=2)},
        {"fields": []},
        {"asked_from": timezone.localdate() + timedelta(1)},
    ):
        raised(make_data_request, ann, **wrong)
    raised(make_data_request)


def test_an_assessment_narrows_and_adds_nothing(ann, binh):
    request = make_data_request(ann)
    for wider in ({"fields": ["full_name", "email"]}, {"refs": ["ANN", "BINH"]}, {"period_from": request.asked_from - timedelta(days=1)}):
        raised(assess, request, **wider)
    assess(request, fields=["phone"])
    assert request.narrowed and request.fields == ["phone"]


# Documents and commitments


def test_a_signed_document_is_kept_encrypted_and_read_with_an_entry():
    document = Document.keep(PDF, by=make_staff("officer"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM disclosures_document")
        assert cursor.fetchone()[0].startswith("gAAAAA")
    assert Document.objects.get().read(by=make_staff("officer")) == PDF
    assert (last_entry().action, last_entry().object) == ("document.read", f"disclosures.document:{document.pk}")


@pytest.mark.parametrize(
    "data", [b"<html><script>", b"", b"MZ\x90\x00", b"%PDF-1.4\n" + b"0" * 5_000_000], ids=["html", "none", "exe", "large"]
)
def test_what_is_no_document_is_not_kept(data):
    raised(Document.keep, data, by=None)


def test_the_officers_are_told_once_before_a_commitment_ends():
    officer, processor = make_staff("officer"), make_third_party("payment_processor")
    make_commitment(processor, valid_until=timezone.localdate() + timedelta(days=29))
    make_commitment(processor, valid_until=timezone.localdate() + timedelta(days=31))
    assert (Commitment.objects.remind(), Commitment.objects.remind()) == (1, 0)
    assert [n.member for n in StaffNotice.objects.filter(kind="commitment_ends")] == [officer]


def test_a_key_is_of_the_age_format_and_checked_by_another_person():
    with pytest.raises(ValidationError, match="age"):
        make_third_party(age_key="age1nothing")
    party = make_third_party(checked_by=None)
    raised(party.check_key, by=make_staff("officer"))
    party.check_key(by=make_staff("approver"))
    with pytest.raises(IntegrityError), transaction.atomic():
        models.QuerySet(ThirdParty).update(key_checked_by=make_staff("officer"))


# Permissions


def test_a_permission_that_was_answered_keeps_its_words(ann):
    offer = make_offer(make_third_party("other"))
    offer.give(ann, by=ann, source="page")
    assert PermissionEvent.objects.get().shown_digest == offer.digest
    offer.purpose_vi = "Cho thuê"
    raised(offer.keep, by=make_staff("officer"))


def test_yes_and_no_to_a_permission_are_each_written_down_once(ann):
    offer = make_offer(make_third_party("other"))
    assert offer.withdraw(ann, by=ann, source="page") is None
    for verb in (offer.give, offer.give, offer.withdraw, offer.withdraw, offer.give):
        verb(ann, by=ann, source="page")
    assert list(PermissionEvent.objects.order_by("id").values_list("event", flat=True)) == ["given", "withdrawn", "given"]


# Seals


def shown(customer, at=None):
    return list(Disclosure.objects.shown_to(customer, at))


def test_a_sealed_disclosure_is_withheld_until_its_day_and_then_shown_with_a_notice(ann, binh):
    request = make_approved(ann)
    seal = make_seal(request, days=30)
    hand_over(request)
    before, day = timezone.now() + timedelta(days=29), timezone.now() + timedelta(days=30)
    assert not shown(ann) and not shown(ann, before)
    assert Seal.objects.lift(at=before) == 0 and not Notice.objects.exists()
    assert len(shown(ann, day)) == 1
    assert (Seal.objects.lift(at=day), Seal.objects.lift(at=day)) == (1, 0)
    notice = Notice.objects.get()
    assert (notice.customer, notice.kind) == (ann, "disclosed")
    seal.refresh_from_db()
    assert seal.lifted_at == day


def test_a_disclosure_that_is_not_sealed_is_told_at_once(ann):
    hand_over(make_approved(ann))
    assert Notice.objects.get().customer == ann and len(shown(ann)) == 1


def test_a_second_statement_holds_longer_and_none_comes_after_the_customer_could_see_it(ann):
    request = make_approved(ann)
    make_seal(request, days=10)
    hand_over(request)
    make_seal(request, days=20)
    later = timezone.now() + timedelta(days=10)
    assert Seal.objects.lift(at=later) == 0 and not shown(ann, later)
    assert Seal.objects.lift(at=later + timedelta(days=10)) == 1
    assert Notice.objects.count() == 1
    open_one = make_approved(ann)
    hand_over(open_one)
    raised(make_seal, open_one)


def test_a_seal_needs_a_dated_statement_and_an_authority(ann):
    request = make_approved(ann)
    for wrong in ({"days": 0}, {"statement_dated_on": timezone.localdate() + timedelta(days=1)}):
        raised(make_seal, request, **wrong)
    raised(make_seal, make_data_request(ann, **payment(ann)))


# Corrections and erasures


def test_past_recipients_become_tasks_when_a_value_they_have_is_corrected_or_erased(ann, binh):
    request = make_approved(ann, binh, fields=["phone"])
    ann.correct(by=None, reason="before", phone="+84903123999")
    hand_over(request)
    assert not RecipientTask.objects.find(), "what was corrected before was handed over right"
    ann.correct(by=make_staff("clerk"), reason="ticket", phone="+84903123888")
    binh.correct(by=make_staff("clerk"), reason="ticket", address="Huế")
    assert [(t.customer, t.third_party, t.what, t.fields) for t in RecipientTask.objects.find()] == [
        (ann, request.third_party, "correction", ["phone"])
    ]
    assert not RecipientTask.objects.find()
    erase(binh, by=make_staff("officer"), reason="asked")
    (task,) = RecipientTask.objects.find()
    assert (task.what, task.due_at - task.happened_at) == ("erasure", timedelta(days=30))
    task.settle(by=make_staff("officer"), outcome="told", note="letter 7")
    raised(task.settle, by=make_staff("officer"), outcome="gone")
    assert RecipientTask.objects.open().count() == 1


def test_the_workers_do_what_time_brings(ann):
    request = make_approved(ann)
    handover.prepare(request, by=make_staff("officer"), at=timezone.now() - timedelta(hours=2))
    tasks.tend()
    assert Package.objects.get().ciphertext is None


# Told as a whole


@pytest.mark.parametrize("cell", ["=1+1", "+84", "-2", "@SUM(A1)", "\tx", " =1", "\r=1"])
def test_a_formula_in_a_cell_is_text(cell):
    assert harmless(cell) == f"'{cell}"
    assert harmless("12/CV") == "12/CV" and harmless(None) == ""


def test_the_register_is_exported_with_an_entry_and_without_formulas(ann):
    hand_over(make_approved(ann, third_party=make_third_party(name='=HYPERLINK("http://x")')))
    today = timezone.localdate()
    exported = reports.register(since=today, until=today, by=make_staff("officer"))
    table = csv.DictReader(io.StringIO(exported.removeprefix("\ufeff")))
    (row,) = table
    assert (row["customer"], row["third_party"], row["fields"]) == ("ANN", '\'=HYPERLINK("http://x")', "full_name phone")
    assert table.fieldnames == reports.HEAD and "Ánh" not in exported
    assert (last_entry().action, last_entry().detail["rows"]) == ("register.export", 1)


def test_a_year_in_numbers_points_at_nobody_and_counts_nothing_that_is_sealed(ann, binh):
    hand_over(make_approved(ann, urgent=True))
    assess(narrowed := make_data_request(ann), fields=["phone"])
    narrowed.approve(by=make_staff("approver"))
    hand_over(narrowed)
    make_data_request(ann).refuse(by=make_staff("approver"), ground="too_wide")
    make_data_request(binh)
    sealed = make_approved(binh)
    make_seal(sealed)
    hand_over(sealed)
    year = timezone.localdate().year
    said = reports.transparency(year)
    assert dict(said["outcome"]) == {"disclosed": 1, "narrowed": 1, "refused": 1, "open": 1}
    assert dict(said["ground"])["legal obligation"] == 4
    assert [number for label, number in said["fields"] if number] == [1, 2]
    assert dict(said["time"])["3 h"] == 3
    assert dict(reports.transparency(year, timezone.now() + timedelta(days=30))["outcome"])["disclosed"] == 2
    assert not [word for word in ("ANN", "BINH", str(ann.public_id), sealed.third_party.name) if word in str(said)]


@pytest.mark.parametrize("language", ["Tiếng Việt", "English"])
def test_letters_say_in_both_languages_what_is_answered_and_name_no_customer(ann, language):
    request = make_data_request(ann, fields=["full_name", "phone"])
    assess(request, fields=["phone"])
    request.approve(by=make_staff("approver"))
    said = dict(letters.texts(request))
    assert len(said) == 4
    assert len([title for title in said if title.startswith(language)]) == 2
    assert all("12/CV-PA05" in letter and "ANN" not in letter for letter in said.values())
    other = make_data_request(ann)
    other.refuse(by=make_staff("approver"), ground="no_ground", note="Điều 16")
    assert "no ground in law" in dict(letters.texts(other))["English: The refusal"]


# Breaches


def test_the_number_of_people_is_found_by_a_query(ann, binh):
    make_service(ann, product="Máy chủ ảo")
    binh.end_association(on=timezone.localdate(), by=None, reason="left")
    counts = {
        ("everyone", ""): 2,
        ("association", "ended"): 1,
        ("product", "Máy chủ ảo"): 1,
        ("listed", "ANN, BINH CHI"): 2,
        ("request", str(make_data_request(ann).pk)): 1,
    }
    for (scope, value), people in counts.items():
        assert make_breach(scope=scope, scope_value=value).people == people
    ask_reveal(ann, by=make_staff("clerk"))
    assert list(make_breach(scope="seen_by", scope_value="clerk", began_at=timezone.now() - timedelta(hours=1)).affected()) == [ann]
    for wrong in (("seen_by", "nobody"), ("listed", "CHI"), ("request", "x"), ("association", "?")):
        raised(make_breach, scope=wrong[0], scope_value=wrong[1])


def test_a_breach_is_reported_within_72_hours_of_its_discovery_and_with_minutes(ann):
    officer = make_staff("officer")
    breach = make_breach(kinds=["full_name", "phone", "access", "consents"])
    assert breach.due_at - breach.discovered_at == timedelta(hours=72)
    assert breach.quantities == {"full_name": 1, "phone": 1, "access": 0, "consents": 0}
    assert [n.kind for n in StaffNotice.objects.filter(member=officer)] == ["breach"]
    raised(breach.report, by=officer, number="1")
    breach.minutes = breach.consequences = breach.measures = "as written down"
    breach.keep(by=officer)
    breach.report(by=officer, number="8/BC", at=breach.due_at + timedelta(minutes=1))
    assert breach.late and not Breach.objects.unreported()
    raised(breach.keep, by=officer)


def test_customers_whom_a_breach_touched_are_told_once(ann, binh, sink):
    breach = make_breach(scope="listed", scope_value="ANN")
    raised(breach.tell, by=None)
    breach.consequences, breach.measures = "Someone may call you.", "We closed it."
    breach.keep(by=make_staff("officer"))
    breach.tell(by=make_staff("officer"))
    raised(breach.tell, by=None)
    assert sent()["ANN"].state == "sent"
    (mail,) = sink.mails
    assert "Someone may call you." in text(mail) and "A copy was left open" in text(mail)


def test_the_mail_that_tells_of_a_disclosure_says_who_got_it_and_no_value(ann, sink):
    request = make_approved(ann)
    hand_over(request)
    sent()
    (mail,) = sink.mails
    assert request.third_party.name in text(mail) and "903123456" not in text(mail)
