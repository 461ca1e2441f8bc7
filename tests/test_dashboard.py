"""The first page shows each member what they may see and may do, in numbers that are right, late ones first; and no customer to anybody."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from consent.models import ConsentCount, PolicyVersion
from customers.models import Correction, EmailHold, RightsRequest, SupportRequest
from disclosures import handover
from disclosures.models import DisclosureRequest
from mailings import dashboard as mail
from mailings.models import Message, MessageCount, RelayState
from privacy_office import health, metrics
from privacy_office.dashboard import bars
from privacy_office.roles import ROLES
from privacy_office.templatetags.numbers import grouped, percent, points
from tests import make
from tests.make import consent, make_campaign, make_customer, make_policy, make_request, make_staff, propose, prove, withdraw
from tests.test_counts import make_messages
from tests.walk import SECRETS, make_office, page

pytestmark = pytest.mark.django_db
EN = {"accept-language": "en"}
NOW = timezone.now()


@pytest.fixture
def look(client):
    """A function that shows the first page to a role, in English: its text, and what it was made of."""

    def look(role, username=None):
        client.force_login(make_staff(role, username))
        prove(client)
        answer = client.get("/admin/", headers=EN)
        assert answer.status_code == 200
        return answer

    return look


def tasks(answer):
    return {str(task.what): task.number for task in answer.context["board"]["tasks"]}


def panel(answer, template):
    found = [p for p in answer.context["board"]["narrow"] + answer.context["board"]["wide"] if p.template.endswith(f"/{template}.html")]
    return found[0].told if len(found) == 1 else found


def titles(answer):
    return {str(p.title) for p in answer.context["board"]["narrow"] + answer.context["board"]["wide"]}


SEES = {
    "marketer": {"Mail today", "Mail of two weeks", "Workers and mail server", "Who agrees to mail, by purpose"},
    "administrator": {"Workers and mail server"},
}
SEES["clerk"] = SEES["marketer"] | {"Corrections by age", "Holds"}
SEES["approver"] = SEES["marketer"] | {"Disclosures by ground this year"}
SEES["officer"] = SEES["auditor"] = SEES["clerk"] | {"Disclosures by ground this year", "Audit trail"}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_the_numbers_of_what_it_may_look_at_and_no_others(look, role):
    make_office()
    answer = look(role)
    assert titles(answer) == SEES[role]
    assert not [secret for secret in SECRETS if secret in answer.text] and "REF-" not in answer.text
    if role in ("marketer", "approver", "administrator"):
        assert "/customers/" not in answer.text


@pytest.mark.parametrize("role", ROLES)
def test_whatever_the_page_leads_to_is_open_to_who_looks(look, client, role):
    make_office()
    addresses = set(re.findall(r'<a href="(/admin/[^"]+)"', look(role).text.replace("&amp;", "&")))
    assert not {url for url in addresses if client.get(url).status_code != 200}


NEEDS = {
    "clerk": {"Requests of customers that are late", "Corrections to decide", "Mails of customers to answer", "Addresses on hold"},
    "marketer": {"Drafts of yours"},
    "approver": {"Campaigns to approve", "Requests for data to approve"},
    "officer": {"Requests of customers that are late", "Campaigns to approve", "Breaches to report", "Erasures to approve"},
    "administrator": {"Accounts without a role"},
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_told_what_it_has_to_do(look, role):
    make_office()
    make.assess(DisclosureRequest.objects.filter(status="received").first())
    make_request(make_customer(), received_at=NOW - timedelta(days=60))
    make_staff("marketer", "another").groups.clear()
    found = tasks(look(role))
    assert set(found) >= NEEDS.get(role, set()) and (found or role == "auditor")
    if role == "auditor":
        assert not found, "who changes nothing has nothing to do"


def test_nobody_is_told_to_approve_what_they_did_themselves(look):
    make_campaign(by=make_staff("officer"))
    make.assess(make.make_data_request(make_customer()), by=make_staff("officer"))
    make_policy(published=False)
    assert not {"Campaigns to approve", "Requests for data to approve", "Policy versions to read and publish"} & set(tasks(look("officer")))
    other = tasks(look("officer", "other"))
    assert other["Campaigns to approve"] == other["Requests for data to approve"] == other["Policy versions to read and publish"] == 1


def test_tasks_are_counted_and_lead_to_their_list(look):
    ann, binh = make_customer("ann"), make_customer("binh")
    make_request(ann, received_at=NOW - timedelta(days=60))
    make_request(ann, "copy", received_at=NOW - timedelta(days=60))
    make_request(binh)
    propose(binh)
    make.make_hold(ann)
    answer = look("clerk")
    assert tasks(answer) == {
        "Requests of customers that are late": 2, "Requests of customers due within 7 days": 1, "Corrections to decide": 1,
        "Addresses on hold": 1,
    }  # fmt: skip
    late, *rest = answer.context["board"]["tasks"]
    assert late.late and not any(task.late for task in rest)
    assert late.url == page(RightsRequest) + "?due=late" and f'href="{page(EmailHold)}"' in answer.text


def test_where_nothing_waits_the_page_says_what_to_do(look):
    make_policy()
    text = look("marketer").text
    assert "Nothing waits for you." in text and reverse("admin:mailings_campaign_add") in text and "No mail was due today." in text
    text = look("clerk").text
    assert "Nothing has a date." in text and "No correction waits" in text and "No address is on hold" in text
    assert "Nothing is counted yet" in text
    assert "Nobody asked for data in" in look("officer").text and "Hire a colleague" in look("administrator").text


def test_without_a_policy_the_officer_is_told_so(look):
    assert "No policy is published: nobody can agree to anything yet" in tasks(look("officer"))
    make_policy()
    assert PolicyVersion.objects.count() == 1 and not tasks(look("officer"))


# By when


def test_the_timeline_has_the_late_ones_first_and_what_has_no_date_last(look):
    ann = make_customer("ann")
    make.make_hold(ann)
    SupportRequest.receive(make_customer("binh"), "Hello", at=NOW - timedelta(days=3))
    make.make_data_request(ann, urgent=True)
    fresh = make_request(make_customer("chi"), "erasure")
    late = make_request(make_customer("dung"), received_at=NOW - timedelta(days=60))
    correction = propose(make_customer("em"), at=NOW - timedelta(days=40))
    groups = {name: [row for row, _days in rows] for _title, name, rows in look("officer").context["board"]["timeline"]}
    assert [row.url for row in groups["late"]] == [page(RightsRequest, "change", late.pk), page(Correction, "change", correction.pk)]
    coming = groups.get("today", []) + groups.get("week", [])
    assert page(RightsRequest, "change", fresh.pk) in [row.url for row in coming]
    assert [row.what for row in groups["undated"]] == [
        f"Mail no. {SupportRequest.objects.get().pk}", f"Hold no. {EmailHold.objects.get().pk}",
    ]  # fmt: skip
    assert list(groups) == [name for name in ("late", "today", "week", "later", "undated") if name in groups]


def test_what_is_due_at_a_moment_counts_down_and_what_is_due_on_a_day_is_late_on_the_next(look):
    make.make_data_request(make_customer("ann"), urgent=True)
    make_request(make_customer("binh"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_rightsrequest SET due_on = %s", [timezone.localdate()])
    answer = look("officer")
    assert re.search(r'data-due="\d+" role="timer">2:5\d:\d\d<', answer.text) and ", today" in answer.text
    assert "late" not in [name for _title, name, _rows in answer.context["board"]["timeline"]]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_rightsrequest SET due_on = due_on - 1")
    assert "late" in [name for _title, name, _rows in look("officer").context["board"]["timeline"]]


# Numbers


@pytest.mark.parametrize("role", ["clerk", "officer", "approver", "administrator"])
def test_each_task_leads_to_the_list_that_holds_what_it_counted(look, client, role):
    make_office()
    ann, clerk = make_customer("TILES"), make_staff("clerk", "tilda")
    RightsRequest.receive(ann, "copy", by=clerk, source="paper", received_at=NOW - timedelta(days=60))
    Correction.propose(ann, "address", "7 Phố Bịa Đặt", by=clerk, at=NOW - timedelta(days=60))
    EmailHold.place(make_customer("RELEASED"), by=clerk, reason="odd").release(by=make_staff("clerk"), channel="phone", note="called")
    for task in look(role).context["board"]["tasks"]:
        answer = client.get(task.url)
        assert answer.status_code == 200, task.url
        if "?" in task.url and "is_active" not in task.url:
            late_too = Correction.objects.filter(state="open", due_on__lt=timezone.localdate()).count() if "=open" in task.url else 0
            assert answer.context["cl"].result_count == task.number + late_too, (str(task.what), task.url)


def test_mail_of_today_and_of_two_weeks_is_what_was_counted(look):
    make_messages(
        *[("sent", "")] * 4, ("blocked", "suppressed"), ("blocked", "cap_reached"), ("blocked", "suppressed"), ("failed", "550"), at=NOW
    )
    make_messages(("sent", ""), ("unknown", ""), at=NOW - timedelta(days=3))
    make_messages(("sent", ""), at=NOW - timedelta(days=20))
    MessageCount.objects.keep()
    answer = look("clerk")
    rows = [(str(bar.label), bar.number, bar.width, bar.look) for bar in panel(answer, "bars")[0].told["bars"]]
    assert rows[0] == ("sent", 4, 100, "sent") and rows[3] == ("failed", 1, 25, "failed")
    assert [row[1:] for row in rows[1:3]] == [(2, 50, "blocked"), (1, 25, "blocked")]
    days = {(timezone.localdate(NOW) - day.day).days: day.numbers for day in panel(answer, "days")["days"]}
    assert (days[0], days[3], days[13]) == ([4, 3, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]) and max(days) == 13
    assert panel(answer, "days")["most"] == 8 and panel(answer, "machinery")["last"] == NOW
    assert page(Message) + "?state__exact=blocked" in answer.text and page(Message) not in look("marketer").text


def test_the_boxes_of_a_column_stand_on_each_other_and_the_smallest_is_seen():
    day = timezone.localdate(NOW)
    (*_rest, last) = mail.fortnight([(day, "sent", "", 9999, NOW), (day, "failed", "550", 1, NOW)], day)["days"]
    assert last.boxes == [("sent", 131, 1, 99), ("failed", 131, 0, 1)]


def test_the_share_of_yes_is_shown_over_time_for_each_purpose(look):
    make_policy()
    ann, binh, chi, dung = map(make_customer, ("ann", "binh", "chi", "dung"))
    consent(ann, at=NOW - timedelta(days=60))
    withdraw(binh, at=NOW - timedelta(days=50))
    consent(chi, at=NOW - timedelta(days=10))
    consent(dung, at=NOW - timedelta(days=10))
    ConsentCount.objects.back_fill()
    answer = look("marketer")
    (trend,) = [t for t in panel(answer, "trends")["trends"] if t.purpose.code == "promotions"]
    assert (trend.now.rate, trend.change) == (0.75, 0.25)
    assert [(ago, count and count.rate) for ago, count in trend.table] == [(0, 0.75), (7, 0.75), (30, 0.5), (90, None)]
    assert trend.line.startswith("30,0 31,0") and trend.line.endswith("79,50 80,25 81,25 " + " ".join(f"{x},25" for x in range(82, 91)))
    assert trend.area.startswith("30,100 30,0") and trend.area.endswith("90,25 90,100")
    assert "75.0" in answer.text and "+25.0 points in 30 days" in answer.text and "Nobody was asked yet." in answer.text


def test_corrections_are_counted_by_age_and_holds_by_what_placed_them(look):
    for number, days in enumerate((0, 1, 3, 7, 9, 30)):
        propose(make_customer(f"c{number}"), at=NOW - timedelta(days=days, minutes=1))
    make.make_hold(make_customer("ann"), by=make_staff("clerk"))
    EmailHold.place(make_customer("binh"), by=None, reason="odd", rule="fraud_report")
    answer = look("auditor")
    corrections, holds = [p.told for p in panel(answer, "bars") if str(p.title) in ("Corrections by age", "Holds")]
    assert [(bar.label, bar.number) for bar in corrections["bars"]] == [
        ("less than 2 days", 2), ("2 to 4 days", 1), ("5 to 9 days", 2), ("10 days and more", 1),
    ]  # fmt: skip
    assert [(bar.label, bar.number) for bar in holds["bars"]] == [("placed by a person", 1), ("report of fraud", 1)]


def test_disclosures_are_counted_by_ground(look):
    ann, binh = make_customer("ann"), make_customer("binh")
    make.make_data_request(ann).refuse(by=make_staff("officer"), ground="no_ground")
    request = make.make_approved(ann, binh)
    handover.fetch(handover.prepare(request, by=make_staff("officer"))[1], by=make_staff("officer"))
    grounds = panel(look("officer"), "grounds")["grounds"]
    bar, *rest = grounds[0]
    assert (bar.label, bar.number, rest) == ("Legal obligation", 2, [1, 1, 2])


def test_the_mail_server_and_the_workers_stand_as_the_metrics_have_them(look):
    make_messages(("queued", ""))
    answer = look("marketer")
    told = panel(answer, "machinery")
    assert [number for _kind, number in told["waiting"]] == [number for _kind, number in metrics.waiting()] == [0, 0, 1]
    assert told["workers"] == 0 and "none lives: start one" in answer.text and "takes mail" in answer.text
    health.worker_lives("celery@one")
    health.worker_lives("celery@two")
    RelayState.objects.update(failures=7, alone_until=timezone.now() + timedelta(minutes=1))
    text = look("marketer").text
    assert "2 live" in text and "failed 7 times in a row, left alone until" in text


def test_a_broker_that_is_away_is_told_and_the_page_is_there(look, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert "the broker is away: nothing is lost, and nothing leaves" in look("marketer").text


def test_numbers_are_written_as_the_language_does():
    for language, expected in (("en", ("1,234,567", "62.4\u00a0%", "−1.5")), ("vi", ("1.234.567", "62,4\u00a0%", "−1,5"))):
        with translation.override(language):
            assert (grouped(1234567), percent(0.624), points(-0.015)) == expected
    assert percent(None) == points(None) == "—"


def test_the_longest_bar_is_whole_and_the_shortest_is_seen():
    assert [bar.width for bar in bars([("a", 1000), ("b", 1), ("c", 0)])] == [100, 1, 0] and bars([]) == []


# Speed


@pytest.mark.parametrize("role", ROLES)
def test_the_page_takes_the_same_queries_however_many_rows_and_counts_no_customers(look, role):
    make_office()
    ConsentCount.objects.keep()
    MessageCount.objects.keep()
    look(role)

    def queries():
        with CaptureQueriesContext(connection) as caught:
            look(role)
        return [query["sql"] for query in caught]

    before = queries()
    for number in range(3):
        ann = make_customer(f"c{number}")
        consent(ann)
        make_request(ann)
        propose(ann)
        make.make_hold(ann)
        SupportRequest.receive(ann, "Hello")
        make.make_data_request(ann, urgent=True)
        make.make_breach()
        make_campaign(by=make_staff("marketer", "another"))
    make_messages(("sent", ""), ("blocked", "suppressed"))
    ConsentCount.objects.keep()
    MessageCount.objects.keep()
    after = queries()
    assert len(after) == len(before) < 75
    assert not [sql for sql in after if re.search(r'COUNT\(.*FROM "(customers_customer|consent_consentstate|consent_consentevent)"', sql)]
    assert not [sql for sql in after if re.search(r'FROM "mailings_message"', sql) and "LIMIT" not in sql]
