"""The staff's queue of requests: sorted by what is due, late ones red, each date explained, words masked, decisions by their roles."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from customers.models import DeadlineRule, Holiday, Notice, Reveal, RightsRequest
from tests.make import make_customer, make_request, make_staff
from tests.walk import page, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]
TUESDAY = datetime(2026, 6, 2, 2, 0, tzinfo=UTC)


@pytest.fixture
def clerk(client):
    member = make_staff("clerk")
    sign_in(client, member)
    return member


@pytest.fixture
def officer(client):
    member = make_staff("officer")
    sign_in(client, member)
    return member


def do(client, row, act, **data):
    return client.post(page(type(row), "act", row.pk, act), data)


def test_the_queue_shows_what_is_late_first_and_red(client, clerk):
    now = timezone.now()
    settled = make_request(kind="copy", source="my", received_at=TUESDAY)
    settled.refuse(by=clerk, ground="others", reason="x")
    fresh, late = make_request(received_at=now), make_request(received_at=now - timedelta(days=30))
    text = client.get(page(RightsRequest)).text
    rows = [text.index(f"/rightsrequest/{row.pk}/change/") for row in (late, fresh, settled)]
    assert rows == sorted(rows) and text.count('<strong class="no">') == 1
    assert f"/rightsrequest/{settled.pk}/change/" not in client.get(page(RightsRequest) + "?state__exact=received").text


def test_the_first_page_tells_what_is_late_and_what_is_due_this_week(client, clerk):
    assert "/change/" not in client.get("/admin/").text
    late = make_request(received_at=timezone.now() - timedelta(days=30))
    text = client.get("/admin/").text
    assert page(RightsRequest, "change", late.pk) in text and 'class="timeline late"' in text and late.customer.full_name not in text


def test_the_first_page_tells_nothing_of_requests_to_who_may_not_see_them(client):
    make_request(received_at=timezone.now() - timedelta(days=30))
    sign_in(client, make_staff("marketer"))
    assert "rightsrequest" not in client.get("/admin/").text


def test_a_request_is_shown_with_its_dates_explained_and_its_letters_but_not_its_words(client, clerk):
    row = make_request(received_at=TUESDAY, words="my daughter Hoa")
    text = client.get(page(RightsRequest, "change", row.pk)).text
    for step in (*row.first_reply().steps, *row.done().steps):
        assert step.replace("'", "&#x27;") in text
    assert Notice.objects.about(row).get().get_kind_display().capitalize() in text and "Hoa" not in text


def test_the_words_are_revealed_for_the_request_itself(client, clerk):
    row = make_request(words="my daughter Hoa")
    answer = do(client, row, "reveal", field="words", reason="request", case_kind="request")
    assert "my daughter Hoa" not in answer.text
    reveal = Reveal.objects.get()
    assert (reveal.rightsrequest, reveal.case_reference) == (row, str(row.pk)) and answer.url == reverse(
        "admin:customers_reveal_show", args=[reveal.pk]
    )


def test_a_clerk_writes_down_a_request_and_an_objection_takes_effect(client, clerk):
    ann = make_customer("ANN")
    answer = do(client, ann, "request", kind="objection", source="phone", received_at="2026-06-02T09:00", words="no calls")
    row = RightsRequest.objects.get()
    assert answer.url == page(RightsRequest, "change", row.pk)
    assert (row.state, row.words, row.received_at) == ("fulfilled", "no calls", TUESDAY)
    assert Entry.objects.filter(action="request.fulfil", actor=f"staff:{clerk.pk}").exists()


def test_a_clerk_answers_and_fulfils_and_the_officer_alone_extends_and_refuses(client, clerk):
    row = make_request(kind="copy", source="my")
    for act in ("extend", "refuse"):
        assert do(client, row, act, days=3, reason="x", ground="others").status_code == 403
    assert do(client, row, "acknowledge").status_code == 302
    assert do(client, row, "fulfil", outcome="Sent.").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.outcome) == ("fulfilled", "Sent.")


def test_the_officer_extends_once(client, officer):
    row = make_request(kind="copy", source="my")
    assert do(client, row, "extend", days=5, reason="many files").status_code == 302
    assert do(client, row, "extend", days=5, reason="many files").status_code == 200
    row.refresh_from_db()
    assert row.extended_by == 5


def test_the_officer_adds_a_holiday_and_the_dates_follow(client, officer):
    row = make_request(received_at=TUESDAY)
    client.post(page(Holiday, "add"), {"day": "2026-06-03", "name": "Storm", "source": "x"})
    row.refresh_from_db()
    assert row.reply_by == date(2026, 6, 5)
    assert Entry.objects.get(action="holiday.announce").actor == f"staff:{officer.pk}"


def test_the_officer_changes_the_numbers_for_requests_to_come(client, officer):
    before, rule = make_request(received_at=TUESDAY), DeadlineRule.objects.get(kind="access")
    numbers = {"reply_days": 1, "done_days": 5, "shared_days": 7, "extension_days": 5, "remind_days": 2, "source": "a new decree"}
    assert client.post(page(DeadlineRule, "change", rule.pk), numbers).status_code == 302
    after = make_request(received_at=TUESDAY)
    assert (before.done_by, after.done_by) == (date(2026, 6, 12), date(2026, 6, 7))
