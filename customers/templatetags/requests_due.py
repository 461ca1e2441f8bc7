"""Tells a page which requests are late and which are due within a week. Tells it to those alone who may look at requests."""

from django import template
from django.utils import timezone

from customers.models import RightsRequest

register = template.Library()
MOST, WEEK = 10, 7


@register.simple_tag(takes_context=True)
def requests_due(context):
    """Return the first of those that are late and of those due within a week, with how many there are; None for who may not see them."""
    if not context["request"].user.has_perm("customers.view_rightsrequest"):
        return None
    today = timezone.localdate()
    late, soon = RightsRequest.objects.late(today), RightsRequest.objects.due_within(today, WEEK)
    found = {"late": late.count(), "soon": soon.count()}
    first = (late | soon).defer("words").select_related("customer").order_by("due_on", "pk")
    return {**found, "first": [(row, row.is_late(today)) for row in first.defer(*PERSONAL)[:MOST]]}


PERSONAL = [f"customer__{name}" for name in ("full_name", "email", "phone", "address")]
