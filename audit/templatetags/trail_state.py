"""Tells a page how the audit trail stands. Tells it to those alone who may look at the trail."""

from django import template

from audit import sealing

register = template.Library()


@register.simple_tag(takes_context=True)
def trail_state(context):
    """Return the chain's state, None for whoever may not see it."""
    return sealing.state() if context["request"].user.has_perm("audit.view_checkpoint") else None
