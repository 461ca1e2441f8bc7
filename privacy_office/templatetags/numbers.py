"""Writes numbers as the reader's language does: 1,234,567 and 62.4 %, or 1.234.567 and 62,4 %."""

from django import template
from django.utils.formats import get_format
from django.utils.numberformat import format as written

register = template.Library()


def said(number, places):
    # Django's formats of Vietnamese have the signs, and no groups.
    return written(number, get_format("DECIMAL_SEPARATOR"), places, 3, get_format("THOUSAND_SEPARATOR"), force_grouping=True)


@register.filter
def grouped(number):
    """Return a whole number in groups of three."""
    return said(number, 0)


@register.filter
def percent(share):
    """Return a share of one in percent, with one decimal; a dash where there is none."""
    return "—" if share is None else f"{said(share * 100, 1)}\u00a0%"


@register.filter
def points(change):
    """Return by how many percentage points a share changed, with its sign; a dash where nothing is known."""
    return "—" if change is None else f"{'−' if change < 0 else '+'}{said(abs(change) * 100, 1)}"
