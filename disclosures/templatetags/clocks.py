"""Shows how much time is left, counting down where a script runs."""

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

register = template.Library()


def as_time(seconds):
    """Return seconds as h:mm:ss, with a minus where they are over."""
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'−' if seconds < 0 else ''}{hours}:{rest // 60:02}:{rest % 60:02}"


@register.simple_tag
def clock(due_at, stopped_at=None):
    """Return the time that is left until `due_at`, running unless it was stopped; None where nothing is due."""
    if due_at is None:
        return None
    left = int((due_at - (stopped_at or timezone.now())).total_seconds())
    state = "late" if left < 0 else "pressing" if left < 3600 else "running"
    if stopped_at:
        return _("answered late") if left < 0 else _("answered in time")
    return format_html(
        '<time class="clock {}" datetime="{}" data-due="{}" role="timer">{}</time>',
        state,
        due_at.isoformat(),
        int(due_at.timestamp()),
        as_time(left),
    )
