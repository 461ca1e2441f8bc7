"""The transparency report as charts: its numbers in words, each beside its bar."""

from django.utils.translation import gettext_lazy as _

from privacy_office.dashboard import bars

PARTS = {
    "ground": (_("Requests by ground"), _("ground")),
    "kind": (_("Requests by who asked"), _("third party")),
    "outcome": (_("Requests by outcome"), _("outcome")),
    "fields": (_("Handed over, by kind of data"), _("fields")),
    "time": (_("Time to the answer"), _("answer")),
    "clock": (_("Answers with a time limit"), _("answer")),
}
OUTCOMES = {
    "disclosed": _("handed over in full"),
    "narrowed": _("handed over in part"),
    "refused": _("refused"),
    "open": _("open"),
    "in time": _("in time"),
    "late": _("late"),
}


def parts(said):
    """Return what each part of a report is drawn of: its title, what its numbers are counted by, and their Bars."""
    return [
        {"title": title, "head": head, "bars": bars([(OUTCOMES.get(label, label), number) for label, number in said[code]])}
        for code, (title, head) in PARTS.items()
    ]
