"""Shows how much time is left, counting down where a script runs, and what is on a clock to those alone who may look at it."""

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

from disclosures.models import Breach, DisclosureRequest

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


@register.simple_tag(takes_context=True)
def on_the_clock(context):
    """Return the requests and breaches that have to be answered in time, for whoever may see them."""
    user = context["request"].user
    requests = (
        DisclosureRequest.objects.on_the_clock().select_related("third_party")[:10]
        if user.has_perm("disclosures.view_disclosurerequest")
        else []
    )
    breaches = Breach.objects.unreported()[:10] if user.has_perm("disclosures.view_breach") else []
    return {"requests": requests, "breaches": breaches} if requests or breaches else None
