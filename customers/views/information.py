"""Where a customer answers what staff asked, by a link that does it once."""

from django.core.exceptions import ValidationError
from django.shortcuts import render

from customers.forms import AnswerForm
from customers.models import InformationRequest, Link
from customers.views.links import by_link, link_refused, row_of


@by_link(Link.Use.INFORMATION)
def information_link(request, link):
    """Show the questions; the answers are kept when they are sent, and what cannot be taken does not use the link up."""
    row = row_of(link, InformationRequest)
    if row.state != InformationRequest.State.ASKED:
        return link_refused(request, Link.Refused("expired", link))
    form = AnswerForm(row.questions, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            row.give(form.cleaned_data, by=link.customer)
        except ValidationError as refused:
            form.add_error(None, refused.messages)
        else:
            link.spend()
            return render(request, "customers/answered.html", {"row": row})
    return render(request, "customers/information.html", {"row": row, "form": form})
