"""The transparency report as a chart: its numbers in words, and where each bar stands."""

from django.utils.translation import gettext_lazy as _

PARTS = {
    "ground": _("Requests by ground"),
    "kind": _("Requests by who asked"),
    "outcome": _("Requests by outcome"),
    "fields": _("Handed over, by kind of data"),
    "time": _("Time to the answer"),
    "clock": _("Answers with a time limit"),
}
OUTCOMES = {
    "disclosed": _("handed over in full"),
    "narrowed": _("handed over in part"),
    "refused": _("refused"),
    "open": _("open"),
    "in time": _("in time"),
    "late": _("late"),
}
BAR, GAP, WIDEST = 20, 28, 300  # of the chart, in its own units


def parts(said):
    """Return the parts of a report with what their charts need: (title, height, [(label, number, y, width)])."""
    made = []
    for code, numbers in said.items():
        most = max(number for _label, number in numbers) or 1
        bars = [
            (OUTCOMES.get(label, label), number, place * (BAR + GAP), round(WIDEST * number / most))
            for place, (label, number) in enumerate(numbers)
        ]
        made.append((PARTS[code], len(bars) * (BAR + GAP), bars))
    return made
