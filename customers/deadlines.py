"""By when a request is answered and done, and why: numbers of the law, counted over a calendar. Knows no customer, and asks no clock."""

from datetime import timedelta
from typing import NamedTuple

import holidays
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import get_language
from django.utils.translation import gettext as _

DAY = timedelta(days=1)


class Deadline(NamedTuple):
    """The last day on which something is in time, and each step of the way there in words."""

    on: object
    steps: list


class Calendar:
    """Which days are worked in Viet Nam: weekends, public holidays, and what the office added to them, {day: (name, worked)}."""

    def __init__(self, added=None):
        self.added = added or {}
        self.public = holidays.country_holidays("VN", language="en_US" if get_language() == "en" else "vi")

    def why_off(self, day):
        """Return why nobody works on a day, in words; None where they do."""
        if day in self.added:
            name, worked = self.added[day]
            return None if worked else name
        if self.public.is_working_day(day):
            return None
        return self.public.get(day) or date_format(day, "l")

    def why_on(self, day):
        """Return why a day counts though it looks as if it did not; None for any other."""
        name, worked = self.added.get(day, ("", False))
        if worked:
            return name
        # Some Saturdays are worked for a day off elsewhere.
        return _("worked instead of another day") if day.weekday() > 4 and self.public.is_working_day(day) else None


def first_reply(terms, received_at, calendar):
    """Return the Deadline of the first reply."""
    received = localtime(received_at)
    end, steps = working_days(received.date(), terms["reply_days"], calendar)
    last = _("First reply within %(days)s working days: by the end of %(day)s (%(source)s).")
    told = {"days": terms["reply_days"], "day": said(end), "source": terms["source"]}
    return Deadline(end, [receipt(received), *steps, last % told])


def done(terms, received_at, calendar, *, third_party=False, extended_by=0):
    """Return the Deadline by which the request is done; `extended_by` gives the days of its extension."""
    received = localtime(received_at)
    days = terms["shared_days"] if third_party else terms["done_days"]
    steps = [receipt(received)]
    if third_party:
        steps.append(_("Somebody who was given the data has to act too, so the longer time holds."))
    if extended_by:
        words = _("Extended once, by %(extra)s days: %(days)s + %(extra)s = %(all)s.")
        steps.append(words % {"extra": extended_by, "days": days, "all": days + extended_by})
    days += extended_by
    told = {"days": days, "source": terms["source"]}
    if terms["working"]:
        end, skipped = working_days(received.date(), days, calendar)
        last = _("Done within %(days)s working days: by the end of %(day)s (%(source)s).")
        return Deadline(end, [*steps, *skipped, last % {**told, "day": said(end)}])
    end = received.date() + days * DAY
    steps.append(_("Every day counts, Saturdays, Sundays and holidays too."))
    if why := calendar.why_off(end):
        steps.append(_("The last day is no working day (%(why)s); we do not put it off.") % {"why": why})
    last = _("Done within %(days)s days: by the end of %(day)s (%(source)s).")
    return Deadline(end, [*steps, last % {**told, "day": said(end)}])


def working_days(start, days, calendar):
    """Return the day that is `days` working days after `start`, and a step for each stretch that does not count."""
    day, steps, off = start, [], []
    while days:
        day += DAY
        if why := calendar.why_off(day):
            off.append((day, why))
            continue
        if off:
            steps.append(stretch(off))
            off = []
        if why := calendar.why_on(day):
            steps.append(_("%(day)s counts: %(why)s.") % {"day": said(day), "why": why})
        days -= 1
    return day, steps


def stretch(off):
    """Say which days in a row do not count, and why; each reason once."""
    reasons = ", ".join(dict.fromkeys(why for _day, why in off))
    first, last = off[0][0], off[-1][0]
    if first == last:
        return _("%(day)s does not count: %(why)s.") % {"day": said(first), "why": reasons}
    return _("%(first)s to %(last)s do not count: %(why)s.") % {"first": said(first), "last": said(last), "why": reasons}


def receipt(received):
    return _("Received on %(day)s at %(time)s; the day after it is the first that counts.") % {
        "day": said(received.date()),
        "time": f"{received:%H:%M}",
    }


def said(day):
    # Translators: a date as Django's date filter writes it, with the day of the week.
    return date_format(day, _("l j F Y"))
