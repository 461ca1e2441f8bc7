"""A policy version is drafted, published once and never changed; whoever changes a purpose says so."""

import hashlib
import re
from collections import Counter
from datetime import timedelta
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Entry
from consent import announcements, gate
from consent.differences import differences, layout
from consent.models import Acknowledgement, Announcement, Channel, ConsentEvent, ConsentState, PolicyVersion, Purpose
from customers import my
from customers.erasure import erase
from customers.models import Customer, Notice, Session
from mailings.models import Message
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff, prove, withdraw
from tests.post import sent
from tests.post import text as text_of

GIVEN_POLICY = Path(__file__).resolve().parents[2] / "shared" / "policy" / "privacy_policy.vi.txt"


@pytest.fixture
def text(tmp_path):
    """Return a function that writes a text to a file."""

    def write(words, encoding="utf-8"):
        path = tmp_path / "policy.txt"
        path.write_text(words, encoding=encoding)
        return path

    return write


def load(path, *options, number=1, language="vi"):
    out = StringIO()
    call_command("load_policy", str(path), f"--number={number}", f"--language={language}", *options, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_publishing_leaves_an_entry_a_version_and_a_digest():
    policy, officer = make_policy(1), make_staff("officer", "publisher")
    assert (policy.published_at is not None, len(policy.digest)) == (True, 64)
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor, entry.detail["digest"]) == ("policy.publish", f"staff:{officer.pk}", policy.digest)
    assert policy.history.latest("history_id").history_user == officer


@pytest.mark.django_db
def test_a_published_version_is_neither_drafted_nor_published_again():
    policy = make_policy(1)
    for verb in (lambda p: p.draft(by=None, text_vi="x"), lambda p: p.publish(by=None)):
        with pytest.raises(ValidationError):
            verb(PolicyVersion.objects.get(pk=policy.pk))
    assert PolicyVersion.objects.get().text_vi == policy.text_vi


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "why"),
    [({"text_vi": ""}, "no text"), ({"severity": "major"}, "names no purpose"), ({"number": 1}, "an older number")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_version_is_not_published_with(fields, why):
    make_policy(2)
    with pytest.raises(ValidationError):
        make_policy(**{"number": 3, **fields})


@pytest.mark.django_db
def test_what_was_shown_is_known_by_the_digest_of_its_language():
    policy = make_policy(1, text_vi="Chính sách", text_en="Policy")
    assert len({policy.shown_digest("vi"), policy.shown_digest("en"), policy.digest}) == 3
    only = make_policy(2, text_vi="Chính sách")
    assert only.shown_digest("en") == only.shown_digest("vi") == policy.shown_digest("vi")


# load_policy


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_is_loaded_and_published(text, encoding):
    said = load(text("Chính sách\n", encoding), "--publish")
    policy = PolicyVersion.objects.get()
    assert (policy.number, policy.text_vi, policy.published_at is not None) == (1, "Chính sách", True)
    assert policy.digest in said


@pytest.mark.django_db
@pytest.mark.parametrize("options", [[], ["--publish"]], ids=["draft", "published"])
def test_the_same_text_may_be_loaded_again(text, options):
    load(text("Chính sách"), *options)
    entries = Entry.objects.count()
    load(text("Chính sách"), *options)
    assert PolicyVersion.objects.count() == 1
    assert Entry.objects.count() == entries


@pytest.mark.django_db
def test_another_text_under_a_published_number_is_refused(text):
    load(text("Chính sách"), "--publish")
    with pytest.raises(CommandError):
        load(text("Chính sách khác"), "--publish")
    assert PolicyVersion.objects.get().text_vi == "Chính sách"


@pytest.mark.django_db
def test_a_draft_takes_both_languages_and_is_then_published(text):
    load(text("Chính sách"))
    load(text("Policy"), "--publish", language="en")
    policy = PolicyVersion.objects.get()
    assert (policy.text_vi, policy.text_en, policy.published_at is not None) == ("Chính sách", "Policy", True)


@pytest.mark.django_db
def test_a_major_version_names_the_purposes_it_changes(text):
    load(text("Chính sách"), "--publish")
    with pytest.raises(CommandError):
        load(text("Mới"), "--severity=major", "--publish", number=2)
    load(text("Mới"), "--severity=major", "--changes", "promotions", "surveys", "--publish", number=2)
    assert {p.code for p in PolicyVersion.objects.get(number=2).changes.all()} == {"promotions", "surveys"}


@pytest.mark.django_db
def test_a_failed_load_leaves_nothing(text):
    with pytest.raises(CommandError, match="unknown purpose: gifts"):
        load(text("Mới"), "--changes", "gifts")
    with pytest.raises(CommandError):
        load(text("Mới"), "--severity=major", "--publish")
    assert not PolicyVersion.objects.exists()


@pytest.mark.django_db
def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "policy.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("policy.txt", "nothing.txt"):
        with pytest.raises(CommandError, match=f"{name} cannot be read"):
            load(tmp_path / name)


@pytest.mark.django_db
@pytest.mark.skipif(not GIVEN_POLICY.exists(), reason="the published policy does not lie beside this checkout")
def test_the_given_policy_is_loaded_as_it_is():
    load(GIVEN_POLICY, "--publish")
    assert PolicyVersion.objects.get().text_vi == GIVEN_POLICY.read_text(encoding="utf-8-sig").strip()


# Two people


@pytest.mark.django_db
def test_nobody_publishes_what_they_wrote_at_not_even_after_another_wrote_last():
    policy, one, two = PolicyVersion(number=1), make_staff("officer", "one"), make_staff("officer", "two")
    policy.draft(by=one, text_vi="Chính sách")
    policy.draft(by=two, text_vi="Chính sách mới")
    for writer in (one, two):
        with pytest.raises(ValidationError):
            policy.publish(by=writer)
    policy.publish(by=make_staff("officer", "three"))
    assert (policy.drafted_by.username, policy.published_by.username) == ("two", "three")


@pytest.mark.django_db
def test_the_database_itself_knows_no_version_published_by_its_writer():
    policy, writer = make_policy(1, published=False), make_staff("officer")
    written = QuerySet(PolicyVersion).filter(pk=policy.pk)
    for values in ({"published_by": writer, "digest": "0" * 64}, {"published_by": make_staff("officer", "other"), "digest": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            written.update(published_at=timezone.now(), **values)


@pytest.mark.django_db
def test_the_operator_publishes_by_command_what_an_officer_drafted_or_the_command_itself(text):
    load(text("Chính sách"), "--publish")
    PolicyVersion(number=2).draft(by=make_staff("officer"), text_vi="Mới")
    load(text("Mới"), "--publish", number=2)
    assert [p.published_by for p in PolicyVersion.objects.published()] == [None, None]
    assert {e.actor for e in Entry.objects.filter(action="policy.publish")} == {"system"}


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["UPDATE consent_policyversion SET summary_vi = 'x'", "DELETE FROM consent_policyversion"])
def test_what_was_published_stands_whatever_is_asked_of_the_database(statement):
    make_policy(1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


# Differences


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ("A\n\nB", "A\n\nB", []),
        ("A", "", [("changed", [(True, "A")], [])]),
        ("we keep it a year", "we keep it two years",
         [("changed", [(False, "we keep it "), (True, "a year")], [(False, "we keep it "), (True, "two years")])]),
    ],
)  # fmt: skip
def test_what_differs_is_marked_word_by_word(old, new, rows):
    assert differences(old, new) == rows


def test_long_runs_of_what_stayed_are_folded_and_nothing_changed_is_left_out():
    old = [f"paragraph {n}" for n in range(20)]
    new = [*old[:9], "wholly other words here", *old[10:]]
    kinds = [(kind, left if kind == "skipped" else None) for kind, left, _right in differences("\n".join(old), "\n".join(new))]
    assert kinds == [("skipped", 8), ("same", None), ("changed", None), ("same", None), ("skipped", 9)]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_a_reader_of_the_differences_can_tell_both_texts(old, new):
    rows = differences("\n".join(old), "\n".join(new))
    sides = [["".join(words for _changed, words in row[side]) for row in rows if row[0] == "changed" and row[side]] for side in (1, 2)]
    assert Counter(old) - Counter(sides[0]) == Counter(new) - Counter(sides[1])


def test_a_text_is_laid_out_as_it_reads():
    laid = layout("Our policy\n\n1. What we keep\n\nYour name.\n\n  • one\n\n  • two\n\n2. More of it.")
    kinds = ["title", "heading", "paragraph", "list", "paragraph"]
    assert [kind for kind, _words in laid] == kinds and laid[3] == ("list", ["one", "two"])


# What anybody reads


@pytest.mark.django_db
def test_anybody_reads_the_version_in_effect_in_the_language_they_ask_for(client):
    make_policy(1)
    make_policy(2)
    make_policy(3, published=False, text_vi="Bản thảo")
    for language, words in (("vi", ["Chính sách 2", "Không ai khác"]), ("en", ["Policy 2", "Nobody else gains a right"])):
        page = client.get("/policy/", {"language": language}).text
        assert all(word in page for word in [*words, f'<html lang="{language}">', PolicyVersion.objects.get(number=2).digest])
    assert "Policy 1" in client.get("/policy/1/?language=en").text
    assert client.get("/policy/3/").status_code == client.get("/policy/4/").status_code == 404
    assert client.get("/policy/1/changes/3/").status_code == client.get("/policy/2/changes/1/").status_code == 404
    assert client.post("/policy/").status_code == 405


@pytest.mark.django_db
def test_a_version_in_one_language_is_shown_in_it_and_says_so(client):
    policy = make_policy(1, text_vi="Chính sách")
    page = client.get("/policy/?language=en").text
    assert '<article class="policy" lang="vi">' in page and "in one language only" in page and policy.shown_digest("en") in page
    make_policy(2, text_vi="Chính sách", text_en="Policy")
    assert "The texts do not differ" in client.get("/policy/1/changes/2/?language=en").text, "as far as both can be compared"


@pytest.mark.django_db
def test_no_policy_is_no_page(client):
    assert client.get("/policy/").status_code == client.get("/policy/versions/").status_code == 404
    assert client.get("/policy/versions.json").json()["versions"] == []


@pytest.mark.django_db
def test_what_staff_wrote_is_shown_as_words_and_never_as_html(client):
    evil = "<script>alert(1)</script>\n\n<b>bold</b> & more"
    make_policy(1, text_vi="<script>old</script>")
    make_policy(2, text_vi=evil, summary_vi="<i>sum</i>")
    for address in ("/policy/", "/policy/versions/", "/policy/1/changes/2/"):
        page = client.get(address).text
        assert "<script>" not in page and "<b>" not in page and "<i>" not in page and "&lt;" in page
    client.force_login(make_staff("officer"))
    prove(client)
    number = PolicyVersion.objects.get(number=2).pk
    for name in ("preview", "changes"):
        page = client.get(f"/admin/consent/policyversion/{number}/{name}/").text
        assert "<script>" not in page.partition('id="content-main"')[2] and "&lt;script&gt;" in page and "&amp;lt;" not in page


@pytest.mark.django_db
def test_machines_read_every_version_and_may_check_its_digest(client):
    make_policy(1)
    make_policy(2, severity="major", changes=["promotions"], text_vi="Hai", text_en="Two", summary_vi="Ít thư hơn", summary_en="Less mail")
    two, one = client.get("/policy/versions.json?language=en").json()["versions"]
    assert (two["number"], two["severity"], two["changes"], two["summary"]) == (2, "major", ["promotions"], "Less mail")
    assert two["digest"] == hashlib.sha256("\0".join(["2", "major", "promotions", "Hai", "Two"]).encode()).hexdigest()
    assert two["texts"] == {"vi": hashlib.sha256(b"Hai").hexdigest(), "en": hashlib.sha256(b"Two").hexdigest()}
    assert one["url"].endswith("/policy/1/")
    feed = ElementTree.fromstring(client.get("/policy/versions.atom?language=en").content)
    entries = feed.findall("{*}entry")
    assert [entry.findtext("{*}title") for entry in entries] == ["Version 2 (major)", "Version 1 (minor)"]
    assert entries[0].findtext("{*}summary") == "Less mail" and entries[0].findtext("{*}id").endswith("/policy/2/")
    assert [entry.find("{*}link").get("href").endswith("language=en") for entry in entries] == [True, True]


# Customers are told


def announce_all(batch=2):
    while announcements.announce(batch):
        pass


@pytest.mark.django_db
def test_customers_concerned_are_told_of_a_major_version_once_and_nobody_else():
    make_policy(1)
    ann, binh, _chi = (make_customer(ref) for ref in ("ann", "binh", "chi"))
    consent(ann)
    consent(binh)
    withdraw(binh)
    consent(make_customer("surveyed"), "surveys")
    make_policy(2, severity="major", changes=["promotions"], text_vi="Hai", summary_vi="Ít thư hơn")
    later = make_customer("later")
    consent(later)
    announce_all()
    announce_all()
    (notice,) = Notice.objects.filter(kind="policy_changed")
    assert (notice.customer, notice.values["number"]) == (ann, 2)
    assert "Ít thư hơn" in notice.values["summary"] and "summary" in notice.values
    done = Announcement.objects.get()
    assert (done.told, done.done_at is not None) == (1, True)


@pytest.mark.django_db
def test_everybody_is_told_where_a_purpose_changes_that_rests_on_the_agreement():
    make_policy(1)
    people = [make_customer() for _ in range(5)]
    erase(make_customer("gone"), by=None, reason="asked")
    make_policy(2, severity="major", changes=["service_support"])
    announce_all()
    assert {n.customer for n in Notice.objects.all()} == set(people)


@pytest.mark.django_db
def test_neither_a_minor_version_nor_the_first_tells_anybody():
    make_customer()
    make_policy(1, severity="major", changes=["service_support"])
    make_policy(2)
    announce_all()
    assert not Notice.objects.exists()


@pytest.mark.django_db
def test_an_announcement_that_was_cut_short_is_gone_on_with_and_tells_nobody_twice():
    make_policy(1)
    people = [make_customer() for _ in range(7)]
    policy = make_policy(2, severity="major", changes=["service_support"])
    assert announcements.announce(3) and Notice.objects.count() == 3
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        announcements.announce(3)
        raise ZeroDivisionError  # a worker dies before its transaction is kept
    assert Notice.objects.count() == 3
    announce_all(3)
    assert sorted(n.customer_id for n in Notice.objects.about(policy)) == sorted(p.pk for p in people)
    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.tell(people[0], Notice.Kind.POLICY_CHANGED, about=policy)


@pytest.mark.django_db
def test_telling_many_costs_as_many_statements_as_telling_two():
    make_policy(1)
    Customer.objects.enrol([Customer(ref=f"N{n}", email=f"n{n}@example.org") for n in range(102)], by=None, source="x")
    make_policy(2, severity="major", changes=["service_support"])
    counts = []
    for batch in (2, 100):
        with CaptureQueriesContext(connection) as captured:
            announcements.announce(batch)
        counts.append(len(captured))
    assert counts[0] == counts[1] and Notice.objects.count() == 102


@pytest.mark.django_db
@pytest.mark.parametrize(("locale", "words"), [("vi", "Khuyến mãi"), ("en", "Promotions")])
def test_the_letter_says_what_changed_and_leads_to_the_differences(sink, client, locale, words):
    make_policy(1)
    ann = make_customer("ANN", locale=locale)
    consent(ann)
    make_policy(2, severity="major", changes=["promotions"], text_vi="Hai", text_en="Two", summary_vi="Ít thư hơn", summary_en="Less mail")
    announce_all()
    assert sent()["ANN"].purpose.code == "legal_notices"
    (mail,) = sink.mails
    told = text_of(mail)
    assert words in told and ("Less mail" if locale == "en" else "Ít thư hơn") in told
    address = re.search(r"(/policy/1/changes/2/\?language=\w+)", told)[1]
    assert f'<html lang="{locale}">' in client.get(address).text


# A major version through gate and post


@pytest.mark.django_db
def test_after_a_major_version_nobody_gets_promotions_on_an_older_consent_and_renewing_brings_them_back(sink):
    make_policy(1)
    ann, binh = make_customer("ANN"), make_customer("BINH")
    consent(ann)
    consent(binh)
    make_policy(2, severity="major", changes=["promotions"])
    consent(binh)

    def decided(purpose):
        ids = [ann.pk, binh.pk]
        return [decision.reason for decision in gate.decide(ids, purpose, "email").values()]

    def arrive(campaign):
        campaign.launch(by=make_staff("approver"))
        sent()
        return {message.customer.ref: message.state for message in Message.objects.filter(campaign=campaign)}

    assert decided("promotions") == ["consent_outdated", "allowed"]
    assert decided("service_support") == ["allowed", "allowed"]
    first = arrive(make_campaign(approved_by=make_staff("approver")))
    assert first["BINH"] == "sent" and first.get("ANN", "blocked") == "blocked"
    assert [mail.recipient for mail in sink.mails] == [binh.email]
    consent(ann)
    assert decided("promotions") == ["allowed", "allowed"]
    second = arrive(make_campaign(approved_by=make_staff("approver")))
    assert second["ANN"] == "sent" and ann.email in [mail.recipient for mail in sink.mails]


# Acknowledgements


@pytest.mark.django_db
def test_an_acknowledgement_keeps_which_version_how_and_what_shows_it():
    policy, ann, clerk = make_policy(1), make_customer("ann", locale="en"), make_staff("clerk")
    row = Acknowledgement.record(ann, policy, by=clerk, source="paper", evidence="folder 7")
    assert (row.policy_version, row.source, row.by, row.evidence.text) == (policy, "paper", f"staff:{clerk.pk}", "folder 7")
    assert row.shown_digest == policy.shown_digest("en")
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.subject, entry.clause, bool(entry.commitment)) == ("policy.acknowledge", ann.public_id, "§0", True)
    assert Acknowledgement.record(ann, policy, by=ann, source="customer_page") == row, "once is enough"
    for statement in ("UPDATE consent_acknowledgement SET source = 'x'", "DELETE FROM consent_acknowledgement"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.django_db
def test_nobody_took_note_of_what_was_not_published():
    draft, ann = make_policy(1, published=False), make_customer("ann")
    with pytest.raises(ValidationError):
        Acknowledgement.record(ann, draft, by=None, source="paper")
    draft.publish(by=make_staff("officer", "publisher"))
    with pytest.raises(ValidationError):
        Acknowledgement.record(ann, draft, by=None, source="paper", at=draft.published_at - timedelta(minutes=1))
    assert not Acknowledgement.objects.exists()


@pytest.mark.django_db
def test_an_acknowledgement_is_never_read_as_consent():
    policy, ann = make_policy(1), make_customer("ann")
    asked = [(purpose.code, channel) for purpose in Purpose.objects.all() for channel in Channel if channel in purpose.channels]

    def answers():
        return {pair: gate.decide([ann.pk], *pair)[ann.pk].allowed for pair in asked}

    before = answers()
    Acknowledgement.record(ann, policy, by=ann, source="customer_page")
    assert answers() == before and not before["promotions", "email"]
    assert not ConsentEvent.objects.exists() and not ConsentState.objects.exists()


@pytest.mark.django_db
def test_a_clerk_writes_an_acknowledgement_down_on_the_customers_page(client):
    policy, ann = make_policy(1), make_customer("ann")
    client.force_login(make_staff("clerk"))
    prove(client)
    url = f"/admin/customers/customer/{ann.pk}/do/acknowledge/"
    form = {"version": policy.pk, "at": timezone.localtime().isoformat()[:19], "source": "phone_call", "evidence": "call 17"}
    assert client.post(url, {**form, "at": "2999-01-01T00:00"}).status_code == 200
    assert client.post(url, {**form, "source": "customer_page"}).status_code == 200, "that the customer does alone"
    assert client.post(url, form).status_code == 302
    assert (Acknowledgement.objects.get().source, Acknowledgement.objects.get().customer) == ("phone_call", ann)


@pytest.mark.django_db
def test_a_customer_takes_note_of_the_version_that_was_on_the_page(client):
    assert client.get("/my/policy/").status_code == 302, "who is not signed in is led to the door"
    one, ann = make_policy(1), make_customer("ann")
    _session, client.cookies[my.COOKIE] = Session.begin(ann, how="link", source={})
    assert 'name="version" value="1"' in client.get("/my/policy/").text
    make_policy(2)
    for number in ("1", "66", "x", ""):
        assert client.post("/my/policy/", {"version": number}).status_code == 302
    row = Acknowledgement.objects.get()
    assert (row.policy_version, row.customer, row.source, row.by) == (one, ann, "customer_page", ann.actor)
    assert 'name="version" value="2"' in client.get("/my/policy/").text
