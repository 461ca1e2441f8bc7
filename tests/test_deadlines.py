"""Deadlines by hand-made calendars: weekends, Tết, late announcements, extensions, others who must act too; each date with its reasons."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from customers import deadlines
from privacy_office.management.commands.setup import DEADLINE_RULES

pytestmark = pytest.mark.usefixtures("english")

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
TERMS = {rule["kind"]: {"working": False, "remind_days": 3, **rule} for rule in DEADLINE_RULES}


def calendar(**added):
    """Return a calendar with days added by name as d2026_05_04=("name", worked)."""
    return deadlines.Calendar({date(*map(int, day[1:].split("_"))): told for day, told in added.items()})


def at(*when):
    return datetime(*when, tzinfo=HANOI)


# Counted by hand, with the government's calendar of each year at hand.
REPLIES = [
    ("an ordinary week", at(2026, 6, 2, 9, 0), {}, date(2026, 6, 4)),
    ("over a weekend", at(2026, 6, 5, 9, 0), {}, date(2026, 6, 9)),
    ("received on a Saturday", at(2026, 6, 6, 9, 0), {}, date(2026, 6, 9)),
    ("a minute before midnight counts as that day", at(2026, 6, 2, 23, 59), {}, date(2026, 6, 4)),
    ("Tết: from Saturday 14 to Sunday 22 February nobody works", at(2026, 2, 13, 10, 12), {}, date(2026, 2, 24)),
    ("one working day before Tết counts", at(2026, 2, 12, 10, 12), {}, date(2026, 2, 23)),
    ("30 April, 1 May and the weekend", at(2026, 4, 29, 8, 0), {}, date(2026, 5, 5)),
    ("a late-announced day off", at(2026, 6, 2, 9, 0), {"d2026_06_03": ("Storm", False)}, date(2026, 6, 5)),
    ("a Saturday worked instead", at(2026, 6, 5, 9, 0), {"d2026_06_06": ("Worked for Monday", True)}, date(2026, 6, 8)),
    ("a Saturday worked and its Monday off", at(2026, 6, 5, 9, 0),
     {"d2026_06_06": ("Swap", True), "d2026_06_08": ("Swap", False)}, date(2026, 6, 9)),
    ("National Day with the day off for Saturday 22 August, which is worked", at(2026, 8, 28, 9, 0), {}, date(2026, 9, 4)),
    ("the worked Saturday itself, as the library knows it", at(2026, 8, 20, 9, 0), {}, date(2026, 8, 22)),
    ("over the new year", at(2026, 12, 31, 16, 0), {}, date(2027, 1, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("received", "added", "expected"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_the_first_reply_is_due_after_two_working_days(received, added, expected):
    assert deadlines.first_reply(TERMS["access"], received, calendar(**added)).on == expected


# kind, received, others must act, days of extension, working days count, the last day
DONE = [
    ("access", at(2026, 6, 2, 9, 0), False, 0, False, date(2026, 6, 12)),
    ("copy", at(2026, 6, 2, 9, 0), True, 0, False, date(2026, 6, 17)),
    ("correction", at(2026, 6, 2, 9, 0), False, 10, False, date(2026, 6, 22)),
    ("restriction", at(2026, 2, 13, 10, 12), False, 0, False, date(2026, 2, 28)),  # Tết counts
    ("objection", at(2026, 6, 2, 9, 0), True, 0, False, date(2026, 6, 22)),
    ("withdrawal", at(2026, 6, 2, 9, 0), True, 15, False, date(2026, 7, 7)),
    ("erasure", at(2026, 6, 2, 9, 0), False, 0, False, date(2026, 6, 22)),
    ("erasure", at(2026, 6, 2, 9, 0), True, 20, False, date(2026, 7, 22)),
    ("protection", at(2026, 6, 2, 9, 0), True, 0, False, date(2026, 6, 17)),
    ("access", at(2026, 6, 5, 9, 0), False, 0, True, date(2026, 6, 19)),  # ten working days, over two weekends
    ("access", at(2026, 2, 13, 10, 12), False, 0, True, date(2026, 3, 6)),  # and over Tết
]


@pytest.mark.parametrize(("kind", "received", "third_party", "extended_by", "working", "expected"), DONE)
def test_a_request_is_done_after_the_days_of_its_kind(kind, received, third_party, extended_by, working, expected):
    terms = {**TERMS[kind], "working": working}
    done = deadlines.done(terms, received, calendar(), third_party=third_party, extended_by=extended_by)
    assert done.on == expected


def test_each_step_of_a_date_is_told():
    reply = deadlines.first_reply(TERMS["access"], at(2026, 2, 13, 10, 12), calendar())
    received, stretch, last = reply.steps
    assert received == "Received on Friday 13 February 2026 at 10:12; the day after it is the first that counts."
    assert stretch.startswith("Saturday 14 February 2026 to Sunday 22 February 2026 do not count: Saturday, Sunday, Lunar New Year's Eve, ")
    assert last == "First reply within 2 working days: by the end of Tuesday 24 February 2026 (Nghị định 356/2025/NĐ-CP, Điều 5)."


def test_what_the_office_added_is_told_by_its_name():
    added = {"d2026_06_03": ("Storm no. 3", False), "d2026_06_06": ("Worked for Monday", True)}
    steps = deadlines.first_reply(TERMS["access"], at(2026, 6, 2, 9, 0), calendar(**added)).steps
    assert "Wednesday 3 June 2026 does not count: Storm no. 3." in steps
    steps = deadlines.first_reply(TERMS["access"], at(2026, 6, 5, 9, 0), calendar(**added)).steps
    assert "Saturday 6 June 2026 counts: Worked for Monday." in steps


def test_an_extension_and_others_who_act_are_told():
    done = deadlines.done(TERMS["erasure"], at(2026, 6, 2, 9, 0), calendar(), third_party=True, extended_by=20)
    assert "Extended once, by 20 days: 30 + 20 = 50." in done.steps
    assert any("somebody who was given the data" in step.lower() for step in done.steps)


def test_a_last_day_on_a_holiday_is_not_put_off_and_says_so():
    done = deadlines.done(TERMS["access"], at(2026, 4, 21, 9, 0), calendar())
    assert done.on == date(2026, 5, 1)
    assert any("we do not put it off" in step and "Labor" in step for step in done.steps)


def test_the_steps_come_in_the_readers_language():
    with translation.override("vi"):
        steps = deadlines.first_reply(TERMS["access"], at(2026, 2, 13, 10, 12), calendar()).steps
    assert "Tết Nguyên Đán" in steps[1] and "14/02/2026" in steps[1] and "24/02/2026" in steps[2]
