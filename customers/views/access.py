"""The customer's own ways in: the password, and where they are signed in. Refuses to change a password without the old one or a link."""

from functools import partial

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from audit import models as audit
from customers import my, passwords
from customers.forms import ChangePasswordForm
from customers.models import AccessRequest
from privacy_office import accounts, celery

ANSWER = "customers.tasks.answer_access_requests"


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def access(request):
    """Show the sessions and the password, which changes here for who knows the present one."""
    customer = request.customer
    form = ChangePasswordForm(customer, my.network(request), request.POST if request.method == "POST" else None)
    if form.is_valid():
        passwords.change(customer, form.cleaned_data["new"], how="old password", session=request.customer_session)
        messages.success(request, _("Your password is changed. You were signed out everywhere else."))
        return redirect("customers:access")
    return render(request, "customers/access.html", {"form": form, "sessions": customer.sessions.live()})


@require_POST
@my.signed_in
def ask_password(request):
    """Have a link sent with which a new password is set."""
    customer = request.customer
    audit.record("access.ask", by=customer, subject=customer.public_id, clause="§6.2", kind="password", **accounts.source(request))
    if customer.email:
        AccessRequest.ask(customer.email, my.network(request), kind=AccessRequest.Kind.PASSWORD)
        transaction.on_commit(partial(celery.wake, ANSWER))
    messages.success(request, _("A mail with a link is on its way. It works once, within 30 minutes."))
    return redirect("customers:access")


@require_POST
@my.signed_in
def end_sessions(request):
    """End every other session of the customer."""
    request.customer_session.end(source=accounts.source(request), others=True)
    messages.success(request, _("You are signed out everywhere else."))
    return redirect("customers:access")
