"""What becomes of the mail, for the first page: campaigns that wait, today's mail and that of two weeks, and how the mail server does."""

from collections import Counter
from datetime import timedelta
from typing import NamedTuple

import redis
from django.db.models import Max, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mailings.models import Campaign, Message, MessageCount, RelayRule
from privacy_office import health, metrics
from privacy_office.dashboard import Panel, bars, counted_together, list_of, with_status

DAYS = 14
COLUMN, HEIGHT = 10, 100  # of the drawing: a day's width, and its height
STATES = (Message.State.SENT, Message.State.BLOCKED, Message.State.FAILED, Message.State.UNKNOWN)
KINDS = {"notice": _("notices"), "renewal": _("renewal notices"), "campaign": _("campaigns")}

# The gate's reasons, in the words of the office.
REASONS = {
    "erased": _("blocked: erased"),
    "restricted": _("blocked: restricted by request"),
    "channel_not_foreseen": _("blocked: channel not foreseen"),
    "association_ended": _("blocked: no longer associated"),
    "suppressed": _("blocked: the address said no"),
    "no_address": _("blocked: no address"),
    "address_unverified": _("blocked: address not verified"),
    "address_bouncing": _("blocked: mail comes back"),
    "address_complained": _("blocked: complained of mail"),
    "address_on_hold": _("blocked: address on hold"),
    "consent_unknown": _("blocked: never asked"),
    "consent_requested": _("blocked: asked, no answer yet"),
    "consent_refused": _("blocked: consent refused"),
    "consent_withdrawn": _("blocked: consent withdrawn"),
    "consent_revoked": _("blocked: consent revoked"),
    "consent_expired": _("blocked: consent expired"),
    "consent_invalidated": _("blocked: consent invalidated"),
    "consent_outdated": _("blocked: consent to an older policy"),
    "cap_reached": _("blocked: enough mail for today"),
    "campaign_stopped": _("blocked: the campaign was stopped"),
    "no_rule_for_channel": _("blocked: no rule for the channel"),
}


class Day(NamedTuple):
    """The mail of one day; `boxes` are (look, x, y, height) of a column."""

    day: object
    numbers: list  # of STATES
    boxes: list


def tasks(user, now):
    asked, paused = [], with_status(_("Campaigns that are paused"), Campaign.Status.PAUSED)
    if user.has_perm("mailings.change_campaign"):
        asked.append(with_status(_("Drafts of yours"), Campaign.Status.DRAFT, Q(created_by=user)))
    if user.has_perm("mailings.approve_campaign"):
        asked.append(with_status(_("Campaigns to approve"), Campaign.Status.DRAFT, ~Q(created_by=user)))
        asked.append(with_status(_("Campaigns that are approved and not begun"), Campaign.Status.APPROVED))
    if asked:
        broken = Q(failed__isnull=False, ended_at__gt=now - timedelta(days=7))
        stopped = with_status(_("Campaigns that stopped by themselves this week"), Campaign.Status.STOPPED, broken, late=True)
        yield from counted_together(Campaign.objects.all(), [*asked, stopped, paused])


def deadlines(user, now):
    return []


def panels(user, now):
    messages = user.has_perm("mailings.view_message")
    mail, day = messages or user.has_perm("mailings.view_campaign"), timezone.localdate(now)
    if mail or user.has_perm("privacy_office.view_staff"):
        rows = counts(day)
        url = list_of(RelayRule) if user.has_perm("mailings.view_relayrule") else ""
        if mail:
            yield Panel(_("Mail today"), "admin/dashboard/bars.html", today(rows, day, messages), list_of(Message) if messages else "")
            yield Panel(_("Mail of two weeks"), "admin/dashboard/days.html", fortnight(rows, day), wide=True)
        yield Panel(_("Workers and mail server"), "admin/dashboard/machinery.html", machinery(rows), url)


def counts(day):
    """Return [(day, state, reason, messages, when the last was)] of two weeks."""
    kept = MessageCount.objects.filter(day__gt=day - timedelta(days=DAYS), day__lte=day).order_by()
    return list(kept.values_list("day", "state", "reason").annotate(Sum("messages"), Max("last_at")))


def today(rows, day, linked):
    """Return the bars of today's mail: sent, blocked by reason, failed, in doubt."""
    number = Counter({(state, reason): n for on, state, reason, n, _last in rows if on == day})
    urls = {state: list_of(Message, state__exact=state) if linked else "" for state in STATES}
    blocked = sorted((key for key in number if key[0] == Message.State.BLOCKED), key=lambda key: -number[key])
    keys = [(Message.State.SENT, ""), *blocked, (Message.State.FAILED, ""), (Message.State.UNKNOWN, "")]
    labels = {state: state.label for state in STATES if state != Message.State.BLOCKED}
    shown = [(labels.get(state) or REASONS.get(reason, reason), number[state, reason], state, urls[state]) for state, reason in keys]
    return {
        "bars": bars([row for row in shown if row[1]]),
        "head": _("what became of it"),
        "nothing": _("No mail was due today. Notices and renewal notices leave by themselves, a campaign when it is begun."),
    }


def fortnight(rows, day):
    """Return the columns of the last days, the scale's top, and the days as a table."""
    number = Counter()
    for on, state, _reason, n, _last in rows:
        number[on, state] += n
    dates = [day - timedelta(days=ago) for ago in reversed(range(DAYS))]
    most = max(sum(number[on, state] for state in STATES) for on in dates)
    days = [Day(on, [number[on, state] for state in STATES], boxes(place, on, number, most)) for place, on in enumerate(dates)]
    return {"days": days, "most": most, "width": DAYS * COLUMN, "states": [(state, state.label) for state in STATES]}


def boxes(place, on, number, most):
    """Return (look, x, y, height) of one day's column, from the ground up; whatever is there is seen, and the highest fits."""
    heights = {state: max(round(number[on, state] * HEIGHT / most), 1) for state in STATES if number[on, state]}
    if heights:
        heights[max(heights, key=heights.get)] -= max(sum(heights.values()) - HEIGHT, 0)
    found, ground = [], HEIGHT
    for state, height in heights.items():
        ground -= height
        found.append((state, place * COLUMN + 1, ground, height))
    return found


def machinery(rows):
    """Return how the workers, the queues and the mail server do, as `/metrics` has it."""
    try:
        queued, workers = sum(length for _queue, length in metrics.queues()), health.workers()
    except redis.RedisError:
        queued, workers = None, None
    sent = [last for _day, state, _reason, _n, last in rows if state == Message.State.SENT]
    return {
        "waiting": [(KINDS[kind], number) for kind, number in metrics.waiting()],
        "queued": queued,
        "workers": workers,
        "relay": RelayRule.current(),
        "last": max(sent, default=None),
    }
