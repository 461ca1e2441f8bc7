"""Tells a page how many corrections are late, and due within a week. Tells it to those alone who may look at corrections."""

from django import template
from django.utils import timezone

from customers.models import Correction

register = template.Library()
WEEK = 7


@register.simple_tag(takes_context=True)
def corrections_due(context):
    """Return how many are late and how many are due within a week; None for who may not see them."""
    if not context["request"].user.has_perm("customers.view_correction"):
        return None
    today = timezone.localdate()
    return {"late": Correction.objects.late(today).count(), "soon": Correction.objects.due_within(today, WEEK).count()}
