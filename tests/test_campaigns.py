"""A campaign from its letter to its report: two languages, an audience, a dry run before the approval, a schedule, a pause."""

import hashlib
from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone, translation

from audit.models import Entry
from consent import gate
from consent.models import Purpose
from mailings import postman, tasks, trials
from mailings.models import Campaign, DryRun, Message
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff
from tests.post import sent, text
from tests.walk import sign_in

pytestmark = pytest.mark.django_db

ENGLISH = {"subject_en": "An offer", "body_en": "Dear {full_name},\n\n10 % off.\n\n{company}"}
SURVEY = {"purpose": "surveys", "body": "Mời quý khách trả lời: {survey}", "survey_url": "https://khaosat.example/q1"}


@pytest.fixture
def approver():
    return make_staff("approver")


@pytest.fixture(autouse=True)
def staff_read_english():
    with translation.override("en"):
        yield


def agreed(ref, purpose="promotions", **fields):
    customer = make_customer(ref, **fields)
    consent(customer, purpose)
    return customer


def launched(approver, **fields):
    campaign = make_campaign(approved_by=approver, **fields)
    campaign.launch(by=approver)
    return campaign


# The letter


def test_each_reads_the_letter_in_their_language_and_the_one_there_is_where_there_is_no_other(sink, approver):
    make_policy()
    agreed("ANN", locale="en"), agreed("BINH", locale="vi")
    launched(approver, subject="Ưu đãi", **ENGLISH)
    launched(approver, subject="Một tiếng")
    sent()
    said = sorted((m.recipient, str(m.message["Subject"])) for m in sink.mails)
    assert said == [
        ("ann@example.org", "[QC] An offer"), ("ann@example.org", "[QC] Một tiếng"),
        ("binh@example.org", "[QC] Một tiếng"), ("binh@example.org", "[QC] Ưu đãi"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"subject_en": "Alone"}, {"body_en": "Alone"}, {**ENGLISH, "body_en": "{phone}"}, {"body": "{survey}"}])
def test_half_an_english_letter_and_an_unknown_placeholder_in_either_are_refused(wrong):
    with pytest.raises(ValidationError):
        make_campaign(**wrong)


def test_the_digest_covers_both_languages_and_that_of_an_older_campaign_stays(approver):
    one = make_campaign(subject="Ưu đãi")
    assert make_campaign(subject="Ưu đãi", **ENGLISH).letter != one.letter
    with pytest.raises(ValidationError, match="nobody is to get it twice"):
        make_campaign(subject="Ưu đãi")
    # As it was made when there was one language: the same letter is known again.
    assert one.letter == hashlib.sha256(f"promotions\0Ưu đãi\0{one.body}".encode()).hexdigest()


@pytest.mark.parametrize("url", ["https://example.org/?n={full_name}", "[x](http://example.org/{company})"])
def test_no_address_carries_a_name(url):
    with pytest.raises(ValidationError, match="address"):
        make_campaign(body=url)


# Surveys


def test_a_survey_is_labelled_and_leads_to_its_address(sink, approver):
    make_policy()
    agreed("ANN", "surveys"), agreed("BINH")
    launched(approver, **SURVEY)
    sent()
    (arrived,) = sink.mails
    assert arrived.recipient == "ann@example.org" and str(arrived.message["Subject"]).startswith("[QC] ")
    assert "/leave/" in text(arrived) and "{survey}" not in text(arrived)


@pytest.mark.parametrize(
    "wrong",
    [
        {**SURVEY, "survey_url": ""},
        {**SURVEY, "body": "No link"},
        {**SURVEY, "purpose": "promotions"},
        {**SURVEY, "survey_url": "ftp://x.vn/"},
    ],
)
def test_a_survey_without_its_address_and_a_promotion_with_one_are_refused(wrong):
    with pytest.raises(ValidationError):
        make_campaign(**wrong)


# The audience, and how many that are


def test_the_audience_is_by_service_plan_expiry_and_language_of_one_service(approver):
    make_policy()
    today = timezone.localdate()
    for ref, locale, product, plan, days in (
        ("ANN", "vi", "VPS", "P1", 10), ("BINH", "vi", "VPS", "P2", 10), ("CHI", "en", "VPS", "P1", 10), ("DUNG", "vi", "DNS", "P1", 10),
        ("EM", "vi", "VPS", "P1", 90),
    ):  # fmt: skip
        make_service(agreed(ref, locale=locale), product=product, plan=plan, expires_on=today + timedelta(days=days))
    giang = agreed("GIANG", locale="vi")  # two services, none of which is all of it
    make_service(giang, product="VPS", plan="P2", expires_on=today + timedelta(days=10))
    make_service(giang, product="DNS", plan="P1", expires_on=today + timedelta(days=10))
    window = {"expires_from": today, "expires_until": today + timedelta(days=30)}
    campaign = launched(approver, product="VPS", plan="P1", language="vi", **window)
    assert [m.customer.ref for m in campaign.messages.all()] == ["ANN"]
    assert campaign.dry_runs.get().audience == 1


def test_an_audience_of_nothing_that_is_sold_is_refused():
    for wrong in ({"product": "Nothing"}, {"plan": "P9"}, {"expires_from": "2026-12-02", "expires_until": "2026-12-01"}):
        with pytest.raises(ValidationError):
            make_campaign(**wrong)


def test_a_dry_run_counts_the_audience_by_reason_and_names_nobody():
    make_policy()
    agreed("ANN"), make_customer("BINH"), agreed("CHI", locale="en")
    campaign = make_campaign(language="vi")
    run = campaign.fresh_dry_run()
    assert (run.allowed, run.refused) == (1, {"consent_unknown": 1})
    entry = Entry.objects.get(action="campaign.dry_run")
    assert entry.detail["refused"] == {"consent_unknown": 1} and entry.actor == "system" and entry.subject is None


def test_a_dry_run_asks_the_gate_in_chunks_whatever_the_number(django_assert_max_num_queries):
    make_policy()
    for number in range(12):
        agreed(f"C{number}")
    run = make_campaign().ask_dry_run(by=make_staff("marketer"))
    with django_assert_max_num_queries(10):
        run.count()
    assert run.allowed == 12


def test_a_dry_run_waits_for_a_worker_and_is_counted_once():
    campaign = make_campaign()
    campaign.ask_dry_run(by=make_staff("marketer"))
    assert DryRun.objects.filter(done_at=None).count() == 1
    tasks.count_dry_runs()
    assert not DryRun.objects.filter(done_at=None) and DryRun.objects.count_next() is None


@pytest.mark.parametrize("changed", [{"body": "Another"}, {"language": "en"}, {"subject_en": "A", "body_en": "B"}])
def test_what_was_changed_after_its_dry_run_is_not_approved(approver, changed):
    campaign = make_campaign()
    for name, value in changed.items():
        setattr(campaign, name, value)
    campaign.draft(by=make_staff("marketer"))
    with pytest.raises(ValidationError, match="dry run"):
        campaign.approve(by=approver)
    campaign.ask_dry_run(by=make_staff("marketer")).count()
    campaign.approve(by=approver)


def test_a_dry_run_of_yesterday_is_none(approver):
    campaign = make_campaign()
    DryRun.objects.update(done_at=timezone.now() - timedelta(hours=25))
    with pytest.raises(ValidationError, match="dry run"):
        campaign.approve(by=approver)


# The sending


def test_a_scheduled_campaign_begins_by_itself_and_two_beats_begin_it_once(approver):
    make_policy()
    agreed("ANN")
    campaign = make_campaign(approved_by=approver)
    with pytest.raises(ValidationError, match="passed"):
        campaign.schedule(timezone.now(), by=approver)
    campaign.schedule(timezone.now() + timedelta(hours=1), by=approver)
    tasks.start_campaigns()
    assert not Message.objects.exists()
    backdate(campaign, starts_at=timezone.now() - timedelta(seconds=1))
    tasks.start_campaigns()
    tasks.start_campaigns()
    campaign.refresh_from_db()
    assert campaign.status == "sending" and Message.objects.count() == 1
    assert Entry.objects.get(action="campaign.launch").actor == "system"


def backdate(row, **values):
    """Set values of a row that only time sets."""
    QuerySet(type(row)).filter(pk=row.pk).update(**values)


def test_a_beat_that_comes_too_late_finds_the_campaign_begun(approver):
    campaign = make_campaign(approved_by=approver)
    late = Campaign.objects.get()
    campaign.launch(by=approver)
    with pytest.raises(ValidationError):
        late.launch(by=None)


def test_a_change_of_a_scheduled_letter_takes_it_off_the_schedule(approver):
    campaign = make_campaign(approved_by=approver)
    campaign.schedule(timezone.now() + timedelta(hours=1), by=approver)
    campaign.body = "Another"
    campaign.draft(by=make_staff("marketer"))
    assert (campaign.status, campaign.starts_at, campaign.approved_by) == ("draft", None, None)


def test_of_a_paused_campaign_nothing_is_taken_up_and_then_all_of_it(sink, approver):
    make_policy()
    agreed("ANN"), agreed("BINH")
    campaign, other = launched(approver), launched(approver)
    campaign.pause(by=approver)
    assert {m.campaign for m in Message.objects.claim(1, 10)} == {other}
    Message.objects.give_back(Message.objects.filter(campaign=other), 1)
    sent()
    assert campaign.messages.open().count() == 2 and other.messages.open().count() == 0 and len(sink.mails) == 2
    tasks.sweep()
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    campaign.resume(by=approver)
    sent()
    assert len(sink.mails) == 4
    tasks.sweep()
    campaign.refresh_from_db()
    assert campaign.status == "done"


def test_what_a_worker_has_in_hand_when_it_is_paused_still_leaves_and_is_not_lost(sink, approver):
    make_policy()
    agreed("ANN")
    campaign = launched(approver)
    with postman.Worker() as worker:
        claimed = Message.objects.claim(worker.id, 10)
        campaign.pause(by=approver)
        worker.held, worker.rule = {m.pk: m for m in claimed}, None
        assert worker._going(claimed) == {campaign.pk}


def test_a_paused_campaign_and_a_scheduled_one_can_be_stopped(approver):
    make_policy()
    agreed("ANN")
    campaign = launched(approver)
    campaign.pause(by=approver)
    campaign.stop(by=approver)
    assert campaign.messages.get().reason == "campaign_stopped"
    other = make_campaign(approved_by=approver)
    other.schedule(timezone.now() + timedelta(hours=1), by=approver)
    other.stop(by=approver)
    assert other.status == "stopped"


def test_the_page_of_a_campaign_tells_rate_time_left_outcomes_and_the_refusals_that_followed(sink, client, approver):
    make_policy()
    ann, binh = agreed("ANN"), agreed("BINH")
    campaign = launched(approver)
    sent()
    backdate(campaign.messages.get(customer=binh), state="queued")
    address = next(m.message["List-Unsubscribe"] for m in sink.mails if m.recipient == "ann@example.org").strip("<>")
    for _ in range(2):
        client.post("/" + address.split("/", 3)[3], {"List-Unsubscribe": "One-Click"})
    assert not gate.decide([ann.pk], "promotions", "email")[ann.pk].allowed
    assert campaign.refusals() == 1
    report = Message.objects.filter(campaign=campaign)
    backdate(report.get(customer=binh), state="sent")
    rate, left = report.progress(timezone.now())
    assert (rate, left) == (2, 0)
    assert report.progress(timezone.now() + timedelta(minutes=2)) == (0, None)


# The test mail


def test_a_test_mail_goes_to_its_author_alone_in_both_languages_and_says_so():
    marta, campaign = make_staff("marketer"), make_campaign(**ENGLISH)
    with pytest.raises(ValidationError, match="e-mail"):
        trials.send(campaign, by=marta)
    marta.email = "marta@office.example"
    trials.send(campaign, by=marta)
    assert [m.to for m in mail.outbox] == [["marta@office.example"]] * 2
    subjects = [m.subject for m in mail.outbox]
    assert subjects[0].startswith("[Thử] [QC] ") and subjects[1] == "[Test] [QC] An offer"
    assert Entry.objects.get(action="campaign.test").actor == f"staff:{marta.pk}"
    assert not Message.objects.exists()


def test_the_mail_server_that_does_not_take_it_is_told_of_and_leaves_no_entry(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    marta, campaign = make_staff("marketer"), make_campaign()
    marta.email = "marta@office.example"
    with pytest.raises(ValidationError, match="mail server"):
        trials.send(campaign, by=marta)
    assert not Entry.objects.filter(action="campaign.test").exists()


# The pages


@pytest.fixture
def marketer(client):
    sign_in(client, make_staff("marketer"))
    return client


def shown(answer):
    return answer.text.partition('id="letters"')[2]


def test_a_preview_of_what_is_typed_keeps_nothing_runs_nothing_and_is_strict_but_for_style(marketer):
    form = {"purpose": Purpose.objects.get(code="promotions").pk, "subject": "Tin", "body": "Chào {full_name} <script>alert(1)</script>"}
    before = Entry.objects.count()
    answer = marketer.post(reverse("admin:mailings_campaign_preview_new"), form)
    assert "[QC] Tin" in answer.text and "Nguyễn Văn Mẫu" in answer.text and 'sandbox=""' in answer.text
    assert "<script>alert" not in answer.text and "style-src 'self' 'unsafe-inline'" in answer["Content-Security-Policy"]
    assert "script-src 'self';" in answer["Content-Security-Policy"] + ";"
    assert not Campaign.objects.exists() and Entry.objects.count() == before
    again = marketer.post(reverse("admin:mailings_campaign_preview_new"), form)
    assert shown(again) == shown(answer), "only what was typed makes a difference, so that the page may leave the rest alone"
    wrong = marketer.post(reverse("admin:mailings_campaign_preview_new"), {**form, "body": "{secret}"})
    assert "{secret}" in wrong.text and "errorlist" in wrong.text


def test_the_placeholders_can_be_read_without_a_script(marketer):
    answer = marketer.get(reverse("admin:mailings_campaign_add")).text
    assert "Placeholders: {full_name}, {company}" in answer or "{full_name}, {company}" in answer
    assert 'data-placeholders="full_name company survey"' in answer and "placeholders.js" in answer


def test_a_marketer_sees_counts_and_no_person(marketer, approver, sink):
    make_policy()
    agreed("ANN")
    campaign = launched(approver)
    sent()
    for name in ("change", "preview"):
        answer = marketer.get(reverse(f"admin:mailings_campaign_{name}", args=[campaign.pk])).text
        assert "ann@example.org" not in answer and "ANN" not in answer
    message = Message.objects.get()
    for name in ("change", "as_sent"):
        assert marketer.get(reverse(f"admin:mailings_message_{name}", args=[message.pk])).status_code == 403
