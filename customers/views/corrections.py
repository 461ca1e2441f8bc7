"""Where customers say what is wrong about them, with what shows it, and see what became of it."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from customers import my
from customers.forms import CompleteForm, CorrectForm
from customers.models import Correction
from privacy_office.uploads import download


@require_safe
@my.signed_in
def corrections(request):
    customer = request.customer
    rows = customer.corrections.with_hold().first_due_first().select_related("customer", "evidence").defer("evidence__content")
    undecided = {row.field for row in rows if row.state in Correction.UNDECIDED}
    held = [(field, shown(customer, field), field in undecided) for field in Correction.Field]
    context = {"corrections": rows, "held": held, "ended": customer.association == customer.Association.ENDED}
    return render(request, "customers/corrections.html", context)


def shown(customer, field):
    """Return what is on file, as its owner reads it."""
    return customer.get_locale_display() if field == Correction.Field.LOCALE else getattr(customer, field)


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def propose(request, field):
    """Take another value for one field; what was typed stays when it cannot be taken."""
    if field not in Correction.Field:
        raise Http404
    field = Correction.Field(field)
    form = CorrectForm(field, *((request.POST, request.FILES) if request.method == "POST" else ()))
    if form.is_valid():
        try:
            row = Correction.propose(
                request.customer, field, form.cleaned_data["value"], by=request.customer, scan=form.cleaned_data["scan"]
            )
        except ValidationError as refused:
            form.add_error("value" if hasattr(refused, "error_dict") else None, refused.messages)
        else:
            told = _("Thank you. We check your correction and answer by %(day)s.") % {"day": date_format(row.due_on, _("j F Y"))}
            messages.success(request, told)
            return redirect("customers:corrections")
    return render(request, "customers/correct.html", {"form": form, "field": field, "now": shown(request.customer, field)})


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def complete(request, number):
    """Take the file that staff asked for."""
    row = get_object_or_404(request.customer.corrections.filter(state=Correction.State.ASKED), pk=number)
    form = CompleteForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
    if form.is_valid():
        try:
            row.complete(by=request.customer, scan=form.cleaned_data["scan"])
        except ValidationError as refused:
            form.add_error(None, refused.messages)
        else:
            messages.success(request, _("Thank you. We go on checking your correction."))
            return redirect("customers:corrections")
    return render(request, "customers/complete.html", {"form": form, "correction": row})


@require_safe
@my.signed_in
def attachment(request, number):
    """Give back a file to the customer who sent it, and to nobody else."""
    row = get_object_or_404(request.customer.attachments.filter(added_by=None, digest__isnull=False), pk=number)
    return download(row.read(), row.kind, row.file_name)
