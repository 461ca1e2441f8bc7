"""No entry, no act: while the trail cannot be written nothing is shown, changed or sent, and everybody is told so kindly."""

from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import models as audit
from audit.models import Entry, Unrecorded
from consent import gate
from customers.models import Customer
from mailings import postman, tasks
from mailings.models import Message, queue_renewals
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff
from tests.walk import SECRETS, VISITORS, changed, make_office, make_visitor, newest_entry, page, payload, sign_in, tables, walk

BREAK = """
CREATE FUNCTION no_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Tuyết: the disk is full'; END $$;
CREATE TRIGGER no_entry BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION no_entry();
"""
MEND = "DROP TRIGGER no_entry ON audit_entry; DROP FUNCTION no_entry();"
ENGLISH = {"accept-language": "en"}


@contextmanager
def broken_trail():
    with connection.cursor() as cursor:
        cursor.execute(BREAK)
        yield
        cursor.execute(MEND)


@pytest.mark.django_db
def test_an_entry_that_cannot_be_written_takes_its_act_with_it_and_says_nothing_of_why():
    ann = make_customer("ANN")
    with broken_trail():
        with pytest.raises(Unrecorded) as trouble:
            ann.restrict(by=make_staff("clerk"), reason="letter 8")
        assert trouble.value.__suppress_context__ and "Tuyết" not in str(trouble.value)
        ann.refresh_from_db()
        assert ann.restricted_at is None and ann.history.count() == 1
        with pytest.raises(Unrecorded):
            audit.require()
    audit.require()
    ann.restrict(by=make_staff("clerk"), reason="letter 8")
    assert Entry.objects.first().action == "customer.restrict", "asking whether one could be written left none"


@pytest.mark.walk
@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("role", VISITORS)
def test_no_page_shows_a_person_or_changes_a_row_or_fails_while_the_trail_is_away(client, role):
    """As if every page tried to: what is refused is recorded too, so most pages have something that they cannot write down."""
    make_office()
    visitor, anything = make_visitor(role), urlencode(payload(), doseq=True)
    if visitor:
        sign_in(client, visitor)
    before, answers = tables(), {}
    with broken_trail():
        for url in (url for addresses in walk().values() for url in addresses):
            answers[url, "GET"] = client.get(url)
            answers[url, "POST"] = client.post(url, anything, "application/x-www-form-urlencoded")
        assert not changed(before)
    assert {key: answer.status_code for key, answer in answers.items() if answer.status_code not in (200, 302, 400, 404, 405, 503)} == {}
    assert not [key for key, answer in answers.items() for secret in SECRETS if secret in answer.text]
    assert role == "anybody" or 503 in {answer.status_code for answer in answers.values()}


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
def test_staff_are_told_kindly_and_it_works_again_when_the_trail_is_back(client, django_assert_num_queries):
    ann = make_customer("ANN")
    client.force_login(make_staff("clerk"))
    act = page(Customer, "act", ann.pk, "restrict")
    with broken_trail():
        answer = client.post(act, {"reason": "letter 8"}, headers=ENGLISH)
        assert answer.status_code == 503 and answer["Retry-After"]
        assert "nothing was changed" in answer.text and "staff.css" in answer.text and "letter 8" not in answer.text
        refused = client.get("/admin/privacy_office/staff/", headers=ENGLISH)
        assert refused.status_code == 503, "what is refused to staff is written down too"
    assert client.post(act, {"reason": "letter 8"}).status_code == 302
    ann.refresh_from_db()
    assert ann.restricted_at


@pytest.mark.django_db
def test_one_click_and_the_page_of_refusal_say_that_it_is_not_done_yet_and_no_redirect_hides_it(client):
    ann = make_customer("REF-ANN")
    make_policy()
    consent(ann)
    make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    url = walk()["/unsubscribe/<token>/"][0]
    with broken_trail():
        for form in ({"List-Unsubscribe": "One-Click"}, {"scope": "all"}):
            answer = client.post(url, form, headers=ENGLISH)
            assert answer.status_code == 503 and answer["Referrer-Policy"] == "no-referrer" and "no-store" in answer["Cache-Control"]
            assert "nothing was changed" in answer.text and "office.css" in answer.text
            assert 'lang="vi"' in client.post(url, form, headers={"accept-language": "vi"}).text
        assert client.get(url).status_code == 200
    assert ann.consent_states.get().state == "given"
    assert client.post(url, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert ann.consent_states.get().state == "withdrawn"


# Mail


@pytest.fixture
def queued():
    """Two messages that may leave: a promotion and a renewal notice, to two customers."""
    make_policy()
    ann, binh = make_customer("ANN"), make_customer("BINH")
    consent(ann)
    consent(binh, "service_renewal")
    make_service(binh, expires_on=timezone.localdate() + timedelta(days=7))
    make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    queue_renewals(timezone.localdate(), by=None)


def states():
    return sorted(Message.objects.values_list("state", flat=True))


@pytest.mark.django_db
def test_a_claim_is_one_entry_that_names_its_messages_and_comes_before_any_address_is_looked_up(queued):
    before = newest_entry()
    Message.objects.claim(42, 10)
    (entry,) = Entry.objects.filter(pk__gt=before)
    assert entry.action == "message.claim" and sorted(entry.detail["messages"]) == sorted(Message.objects.values_list("pk", flat=True))
    assert not Message.objects.claim(42, 10)
    assert newest_entry() == entry.pk, "a claim of nothing is none"


@pytest.mark.django_db
def test_nothing_is_claimed_and_nothing_leaves_without_an_entry_and_all_of_it_leaves_once_later(queued, sink, caplog, monkeypatch):
    woken = []
    monkeypatch.setattr(tasks, "wake", woken.append)
    with broken_trail():
        for task in (tasks.drain, tasks.sweep, tasks.drain):
            task()
        assert states() == ["queued", "queued"] and not sink.mails
        assert woken == [tasks.WAKE], "the sweep goes on asking, and nothing else does"
    lines = [record.getMessage() for record in caplog.records if record.name == "mailings.tasks"]
    assert len(lines) == 2 and all("audit trail" in line and "\n" not in line and "Tuyết" not in line for line in lines)
    while postman.drain(5):
        pass
    assert states() == ["sent", "sent"] and len(sink.mails) == 2


@pytest.mark.django_db
def test_a_trail_that_breaks_in_the_middle_keeps_what_was_not_tried_in_the_queue(queued, sink, monkeypatch):
    with pytest.raises(Unrecorded), postman.Worker() as worker:
        claimed = Message.objects.claim(worker.id, 10)
        worker.held = {message.pk: message for message in claimed}
        claimed[0].decide(gate.Decision(True, "allowed", "§2.4"), timezone.now())
        worker._leave(claimed[0])
        with connection.cursor() as cursor:
            cursor.execute(BREAK)
        raise Unrecorded
    assert states() == ["claimed", "queued"]
    with connection.cursor() as cursor:
        cursor.execute(MEND)
    Message.objects.recover()
    assert "claimed" not in states()


@pytest.mark.django_db
def test_renewal_notices_that_could_not_be_queued_are_queued_later_that_day(queued):
    make_service(Customer.objects.get(ref="BINH"), expires_on=timezone.localdate() + timedelta(days=1))
    with broken_trail():
        tasks.send_renewals.run()
        assert Message.objects.count() == 2
    assert len(queue_renewals(timezone.localdate(), by=None)) == 1


# Commands


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    [
        ["create_staff", "dung", "--role", "clerk"],
        ["load_policy", "policy.md", "--number", "9", "--language", "vi", "--publish"],
        ["import_customers", "--customers", "customers.csv"],
        ["send_renewals"],
        ["send_campaign", "--purpose=promotions", "--subject=x", "--body=body.md", "--created-by=marketer", "--approved-by=approver"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_cannot_write_down_what_it_does_does_nothing(tmp_path, monkeypatch, words):
    make_staff("marketer"), make_staff("approver"), make_policy()
    make_service(make_customer("ANN"), expires_on=timezone.localdate() + timedelta(days=7))
    (tmp_path / "policy.md").write_text("Chính sách")
    (tmp_path / "body.md").write_text("Kính gửi {full_name}")
    (tmp_path / "customers.csv").write_text("ref,full_name,email\nB,Bình,binh@example.org\n")
    monkeypatch.chdir(tmp_path)
    before = tables()
    with broken_trail():
        with pytest.raises(Unrecorded):
            call_command(*words)
        assert not changed(before)
