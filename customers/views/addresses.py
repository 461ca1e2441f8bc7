"""The customer's own e-mail address: seen, verified, changed. Refuses to say whether another customer has an address."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from customers import my
from customers.forms import ChangeEmailForm
from customers.models import EmailChange
from customers.models.addresses import ask_verification


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def email(request):
    """Show the address and ask for another; both mailboxes have a say before anything changes."""
    form = ChangeEmailForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            with transaction.atomic():
                EmailChange.ask(request.customer, form.cleaned_data["email"], by=request.customer)
        except ValidationError as error:
            form.add_error("email", error.messages)
        else:
            return redirect("customers:email")
    return render(request, "customers/email.html", {"form": form, "change": request.customer.email_changes.open().first()})


@require_POST
@my.signed_in
def verify(request):
    """Send a link that verifies the address."""
    try:
        with transaction.atomic():
            ask_verification(request.customer, by=request.customer)
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    else:
        messages.success(request, _("A mail with a link is on its way."))
    return redirect("customers:email")
