"""Corrections (§4): proposed by customers or staff, decided by another, applied once and never over a newer value."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from customers import erasure, retention
from customers.models import Attachment, Correction, DeadlineRule, Notice, Reveal, Session
from customers.my import COOKIE
from disclosures import handover
from disclosures.models import RecipientTask
from tests import scans
from tests.make import (
    ask_information,
    ask_reveal,
    make_approved,
    make_commitment,
    make_customer,
    make_hold,
    make_staff,
    make_third_party,
    propose,
    prove,
)
from tests.post import sent, text

NEW, EN = "+84909999999", {"accept-language": "en"}
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]


@pytest.fixture
def ann():
    return make_customer("ANN", phone="+84901234567", locale="en")


@pytest.fixture
def clerk():
    return make_staff("clerk")


def browser(customer):
    client = Client()
    client.cookies[COOKIE] = Session.begin(customer, how="link", source={})[1]
    return client


def refused(row, verb, **how):
    with pytest.raises(ValidationError) as why:
        getattr(row, verb)(**how)
    return " ".join(why.value.messages)


# Proposing


def test_a_proposal_changes_nothing_yet_and_tells_the_customer_by_when_it_is_decided(ann):
    row = propose(ann, value="090 999 9999")
    ann.refresh_from_db()
    assert (ann.phone, row.proposed, row.standing) == ("+84901234567", NEW, "open")
    assert row.due_on == timezone.localdate() + timedelta(days=10)
    notice = Notice.objects.get()
    assert (notice.kind, notice.about) == ("correction_received", f"customers.correction:{row.pk}")
    assert not [value for value in notice.values.values() if "999" in value]


@pytest.mark.parametrize(
    ("field", "value"), [("phone", "12"), ("phone", ""), ("full_name", "  "), ("full_name", "x" * 201), ("locale", "de")]
)
def test_what_is_no_value_is_refused(ann, field, value):
    with pytest.raises(ValidationError):
        propose(ann, field, value)


def test_a_change_of_address_for_mail_is_no_correction(ann):
    with pytest.raises(ValueError, match="email"):
        propose(ann, "email", "ann@new.example")


def test_what_stands_there_already_and_a_second_proposal_for_one_field_are_refused(ann):
    with pytest.raises(ValidationError, match="already"):
        propose(ann, value=ann.phone)
    propose(ann)
    with pytest.raises(ValidationError, match="being checked"):
        propose(ann, value="+84908888888")
    propose(ann, "address", "1 Hàng Bạc")


def test_after_the_end_of_the_association_nothing_is_corrected(ann, clerk):
    row = propose(ann)
    ann.end_association(on=timezone.localdate(), by=clerk, reason="left")
    with pytest.raises(ValidationError, match="ended"):
        propose(ann, "address", "1 Hàng Bạc")
    assert "ended" in refused(row, "approve", by=clerk)
    row.refuse(by=clerk, reason="The contract has ended.")
    assert row.standing == "refused"


# Deciding


def test_an_approved_correction_applies_and_history_shows_before_and_after(ann, clerk):
    row = propose(ann)
    row.approve(by=clerk)
    ann.refresh_from_db()
    before, after = row.old_and_new
    assert (ann.phone, before.phone, after.phone) == (NEW, "+84901234567", NEW)
    assert (row.standing, row.decided_by) == ("applied", clerk)
    actions = Entry.objects.filter(subject=ann.public_id).order_by("id").values_list("action", flat=True)
    assert list(actions)[-2:] == ["customer.correct", "correction.approve"]
    assert not Entry.objects.filter(detail__icontains="909999999").exists()


def test_mail_goes_to_the_new_data_once_it_is_applied(ann, clerk, sink):
    propose(ann, "full_name", "Phạm Thị Ánh Mai").approve(by=clerk)
    sent()
    assert ["Dear Phạm Thị Ánh Mai" in text(mail) for mail in sink.mails] == [True, True]
    assert ["is done" in text(mail) for mail in sink.mails] == [False, True]


def test_nobody_approves_their_own_proposal(ann, clerk):
    row = propose(ann, by=clerk)
    assert "another person" in refused(row, "approve", by=clerk)
    row.approve(by=make_staff("clerk", "carl"))
    own = propose(ann, "address", "1 Hàng Bạc", by=clerk)
    with pytest.raises(IntegrityError):
        models.QuerySet(Correction).filter(pk=own.pk).update(state="applied", decided_by=clerk, decided_at=timezone.now())


def test_a_field_that_changed_meanwhile_is_not_overwritten(ann, clerk):
    row = propose(ann)
    ann.correct(by=clerk, reason="a call", phone="+84908888888")
    row.refresh_from_db()
    assert row.overtaken and "changed" in refused(row, "approve", by=clerk)
    ann.refresh_from_db()
    assert ann.phone == "+84908888888"


def test_a_change_of_another_field_is_no_hindrance(ann, clerk):
    row = propose(ann)
    ann.correct(by=clerk, reason="a call", address="1 Hàng Bạc")
    row.approve(by=clerk)


def test_a_refusal_has_a_reason_that_the_customer_reads(ann, clerk, sink):
    propose(ann).refuse(by=clerk, reason="The photo cannot be read.")
    sent()
    assert "The photo cannot be read." in text(sink.mails[-1])
    assert "Why" in refused(propose(ann), "refuse", by=clerk, reason=" ")


def test_what_is_decided_is_not_decided_again(ann, clerk):
    row = propose(ann)
    row.refuse(by=clerk, reason="no")
    assert "refused" in refused(row, "approve", by=clerk)
    assert "refused" in refused(row, "refuse", by=clerk, reason="no")


def test_staff_ask_for_more_and_the_customer_adds_it(ann, clerk):
    row = propose(ann)
    row.ask_for_more(by=clerk, question="A photo of the bill")
    assert row.standing == "asked"
    row.complete(by=ann, scan=scans.pdf())
    assert (row.standing, row.evidence.read()) == ("open", scans.pdf())
    assert refused(row, "complete", by=ann, scan=scans.pdf())


# The hold


def test_what_a_held_address_proposes_waits_until_the_hold_is_released(ann, clerk):
    hold = make_hold(ann)
    row = propose(ann)
    assert row.standing == "waiting" and "released" in refused(row, "approve", by=clerk)
    assert [row.standing for row in Correction.objects.with_hold()] == ["waiting"]
    hold.release(by=clerk, channel="phone", note="she said so")
    row.refresh_from_db()
    assert row.standing == "open"
    row.approve(by=clerk)


def test_five_changes_within_a_day_suspend_the_address_and_the_fifth_waits(ann, clerk):
    for number in range(4):
        propose(ann, value=f"+8490888888{number}").refuse(by=clerk, reason="no")
    assert not ann.holds.exists()
    assert propose(ann).standing == "waiting"
    assert Notice.objects.first().kind == "correction_waiting"


def test_that_it_waits_is_told_to_the_address_on_hold_and_on_the_page(ann, sink):
    make_hold(ann)
    propose(ann)
    sent()
    assert "waits until we have spoken with you" in text(sink.mails[0])
    assert "Please call us" in browser(ann).get("/my/corrections/", headers=EN).text


def test_what_staff_propose_does_not_wait(ann, clerk):
    make_hold(ann)
    row = propose(ann, by=clerk)
    row.approve(by=make_staff("clerk", "carl"))


# The customer's pages


def test_a_customer_proposes_on_a_page_with_a_scan_and_sees_it_wait(ann):
    client = browser(ann)
    scan = SimpleUploadedFile("../proof.png", scans.png())
    answer = client.post("/my/corrections/phone/", {"value": "0909 999 999", "scan": scan}, headers=EN)
    assert answer.url == "/my/corrections/"
    page = client.get("/my/corrections/", headers=EN).text
    assert NEW in page and "being checked" in page and "proof" not in page
    row = Correction.objects.get()
    assert (row.proposed_by, row.evidence.read()) == (None, scans.png())


@pytest.mark.parametrize("name", ["html named png", "svg", "empty", "pdf with a program", "too big"])
def test_a_harmful_file_is_refused_and_what_was_typed_stays(ann, name):
    data, _code = scans.REFUSED[name]
    scan = SimpleUploadedFile("scan.png", data, content_type="image/png")
    answer = browser(ann).post("/my/corrections/phone/", {"value": "0909 999 999", "scan": scan}, headers=EN)
    assert answer.status_code == 200 and "0909 999 999" in answer.text and 'role="alert"' in answer.text
    assert not Correction.objects.exists() and not Attachment.objects.exists()


def test_a_value_that_cannot_be_is_told_beside_what_was_typed(ann):
    answer = browser(ann).post("/my/corrections/phone/", {"value": "12"}, headers=EN)
    assert "telephone number" in answer.text and 'value="12"' in answer.text
    assert browser(ann).get("/my/corrections/email/").status_code == 404


def test_a_customer_adds_what_was_asked_for(ann, clerk):
    row = propose(ann)
    row.ask_for_more(by=clerk, question="A photo of the bill")
    client = browser(ann)
    assert "A photo of the bill" in client.get("/my/corrections/", headers=EN).text
    url = f"/my/corrections/{row.pk}/complete/"
    assert client.post(url, headers=EN).status_code == 200, "without a file nothing is sent"
    assert client.post(url, {"scan": SimpleUploadedFile("a", scans.JPEG)}).status_code == 302
    row.refresh_from_db()
    assert row.state == "open"


def test_another_customer_gets_neither_a_correction_nor_a_file(ann, clerk):
    row = propose(ann, scan=scans.png())
    row.ask_for_more(by=clerk, question="more")
    binh = browser(make_customer("BINH"))
    assert binh.get(f"/my/attachments/{row.evidence_id}/").status_code == 404
    assert binh.get(f"/my/corrections/{row.pk}/complete/").status_code == 404
    assert NEW not in binh.get("/my/corrections/").text
    own = browser(ann).get(f"/my/attachments/{row.evidence_id}/")
    assert own.content == scans.png() and own["Content-Disposition"].startswith("attachment;")


def test_a_file_that_staff_added_is_not_given_to_the_customer(ann, clerk):
    row = propose(ann, by=clerk, scan=scans.png())
    assert browser(ann).get(f"/my/attachments/{row.evidence_id}/").status_code == 404


# The staff's pages


def desk(member):
    client = Client(headers=EN)
    client.force_login(member)
    prove(client)
    return client


def act(client, row, name, **data):
    return client.post(reverse(f"admin:customers_{row._meta.model_name}_act", args=[row.pk, name]), data)


def test_staff_propose_with_a_scan_and_see_nothing_of_it_in_clear(ann, clerk):
    client = desk(clerk)
    act(client, ann, "correct", field="phone", value=NEW, scan=SimpleUploadedFile("x", scans.png()))
    row = Correction.objects.get()
    assert (row.proposed_by, row.evidence.kind) == (clerk, "png")
    page = client.get(reverse("admin:customers_correction_change", args=[row.pk])).text
    assert NEW not in page and ann.phone not in page and "•••" in page
    assert act(client, row, "approve").status_code == 200, "nobody approves their own"
    assert "/approve/" not in page


def test_old_and_new_are_seen_side_by_side_with_the_correction_as_the_case(ann, clerk):
    row, client = propose(ann, scan=scans.png()), desk(clerk)
    answer = act(client, row, "reveal")
    assert answer.url == reverse("admin:customers_correction_compare", args=[row.pk])
    page = client.get(answer.url)
    assert NEW in page.text and "+84901234567" in page.text and page["Referrer-Policy"] == "no-referrer"
    assert set(Reveal.objects.values_list("field", "case_kind", "case_reference")) == {
        (field, "correction", str(row.pk)) for field in ("phone", "proposed", "content")
    }
    assert Entry.objects.filter(action="reveal.view").count() == 2
    file = Reveal.objects.get(field="content")
    assert client.get(reverse("admin:customers_reveal_download", args=[file.pk])).content == scans.png()
    assert desk(make_staff("officer")).get(answer.url).status_code == 302


def test_a_value_or_file_of_an_undecided_correction_is_revealed_for_that_case_alone(ann, clerk):
    row = propose(ann, scan=scans.png())
    for held, field in ((row, "proposed"), (row.evidence, "content")):
        with pytest.raises(ValidationError, match="that is the case"):
            ask_reveal(held, field, by=clerk)
        ask_reveal(held, field, by=clerk, case_kind="correction", case_reference=str(row.pk))
    other = propose(make_customer("BINH"))
    with pytest.raises(ValidationError, match="no such correction"):
        ask_reveal(ann, "phone", by=clerk, case_kind="correction", case_reference=str(other.pk))


def test_the_queue_has_the_oldest_undecided_first_and_says_what_is_late(ann, clerk):
    old = propose(ann, at=timezone.now() - timedelta(days=12))
    new = propose(ann, "address", "1 Hàng Bạc")
    done = propose(ann, "full_name", "Ánh Mai", at=timezone.now() - timedelta(days=20))
    done.refuse(by=clerk, reason="no")
    page = desk(clerk).get(reverse("admin:customers_correction_changelist")).text
    places = [page.index(reverse("admin:customers_correction_change", args=[row.pk])) for row in (old, new, done)]
    assert places == sorted(places) and page.count("late:") == 1


def test_both_values_are_shown_when_the_field_changed_meanwhile(ann, clerk):
    row = propose(ann)
    ann.correct(by=clerk, reason="a call", phone="+84908888888")
    client = desk(clerk)
    answer = act(client, row, "approve")
    assert "changed after" in answer.text
    assert "changed after" in client.get(reverse("admin:customers_correction_change", args=[row.pk])).text
    page = client.get(act(client, row, "reveal").url).text
    assert all(value in page for value in ("+84908888888", NEW, "+84901234567"))


def test_staff_refuse_with_a_reason_and_ask_for_more(ann, clerk):
    row, client = propose(ann), desk(clerk)
    act(client, row, "ask-for-more", question="A photo of the bill")
    assert act(client, row, "refuse").status_code == 200
    act(client, row, "refuse", reason="no photo came")
    row.refresh_from_db()
    assert (row.state, row.question, row.reason) == ("refused", "A photo of the bill", "no photo came")


def test_a_language_is_corrected_too(ann, clerk):
    row, client = propose(ann, "locale", "vi"), desk(clerk)
    assert "English" in client.get(reverse("admin:customers_correction_change", args=[row.pk])).text
    client.get(act(client, row, "reveal").url)
    act(client, row, "approve")
    ann.refresh_from_db()
    assert ann.locale == "vi"


def test_a_decided_correction_is_looked_back_at_for_a_ticket(ann, clerk):
    row, client = propose(ann), desk(clerk)
    row.approve(by=make_staff("clerk", "carl"))
    change = reverse("admin:customers_correction_change", args=[row.pk])
    page = client.get(change).text
    assert "/look-back/" in page and "/do/reveal/" not in page and reverse("admin:customers_customer_history", args=[ann.pk]) in page
    for field, value in (("against", "+84901234567"), ("proposed", NEW)):
        answer = act(client, row, "look-back", field=field, reason="caller", case_kind="ticket", case_reference="SUP-12")
        assert value in client.get(answer.url).text


def test_who_got_the_old_value_becomes_a_task(ann, clerk):
    processor = make_third_party("payment_processor")
    make_commitment(processor)
    payment = make_approved(ann, third_party=processor, ground="payment_service", document=None, fields=["phone"])
    handover.fetch(handover.prepare(payment, by=payment.approved_by)[1], by=payment.approved_by)
    propose(ann).approve(by=clerk)
    RecipientTask.objects.find()
    assert [(task.what, task.disclosure.request) for task in RecipientTask.objects.all()] == [("correction", payment)]


def test_the_front_page_says_what_is_late_to_those_who_may_look_at_it(ann, clerk):
    propose(ann, at=timezone.now() - timedelta(days=12))
    assert "Corrections that are late" in desk(clerk).get("/admin/").text
    assert "Corrections that are late" not in desk(make_staff("marketer")).get("/admin/").text


def test_the_customer_sees_before_and_after_and_a_file_as_long_as_it_is_kept(ann, clerk):
    row = propose(ann, scan=scans.png())
    row.approve(by=clerk)
    client = browser(ann)
    page = client.get("/my/corrections/", headers=EN).text
    assert page.index("+84901234567") < page.rindex(NEW) and "done" in page and f"/my/attachments/{row.evidence_id}/" in page
    retention.apply(at=timezone.now() + timedelta(days=400))
    assert f"/my/attachments/{row.evidence_id}/" not in client.get("/my/corrections/", headers=EN).text


def test_by_when_it_is_decided_follows_the_deadline_that_an_officer_keeps_up(ann):
    DeadlineRule.objects.filter(kind="correction").first().delete()
    DeadlineRule.objects.bulk_create([DeadlineRule(kind="correction", reply_days=2, done_days=7, shared_days=9, extension_days=1)])
    assert propose(ann).due_on == timezone.localdate() + timedelta(days=7)


def test_nobody_is_left_to_decide_for_after_an_erasure(ann):
    row = propose(ann)
    question = ask_information(ann)
    erasure.erase(ann, by=make_staff("officer"), reason="asked")
    row.refresh_from_db()
    question.refresh_from_db()
    assert (row.state, question.state) == ("refused", "withdrawn")
    assert not Notice.objects.filter(kind="correction_refused").exists()


def test_erasure_reaches_corrections_their_history_and_their_files(ann, clerk):
    row = propose(ann, scan=scans.png())
    row.approve(by=clerk)
    erasure.erase(ann, by=make_staff("officer"), reason="asked")
    row.refresh_from_db()
    assert (row.proposed, row.against, row.evidence.content) == (None, None, None)
    assert not Correction.history.filter(proposed__isnull=False).exists()
    assert browser(ann).get("/my/corrections/").status_code in (200, 302)
