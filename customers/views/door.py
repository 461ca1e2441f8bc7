"""How customers come in and go out. Refuses to tell whether an address is known, in words, in bytes and in time."""

from functools import partial

from django.db import transaction
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from audit import models as audit
from customers import my, passwords
from customers.forms import AskLinkForm, PasswordSignInForm
from customers.models import AccessRequest, Link
from customers.views.links import link_refused
from privacy_office import accounts, celery

ANSWER = "customers.tasks.answer_access_requests"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request):
    """Ask for a link; the page that follows is the same for every address."""
    if my.current(request):
        return redirect("customers:overview")
    form = AskLinkForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return door(request, form=form)
    kind = AccessRequest.Kind.PASSWORD if request.POST.get("way") == "password" else AccessRequest.Kind.LINK
    audit.record("access.ask", by=None, clause="§6.2", kind=kind, **accounts.source(request))
    AccessRequest.ask(form.cleaned_data["email"], my.network(request), kind=kind)
    transaction.on_commit(partial(celery.wake, ANSWER))
    return render(request, "customers/link_sent.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_password(request):
    """Sign in with address and password; whatever is wrong, the answer is the same."""
    if request.method != "POST":
        return redirect("customers:sign_in")
    form = PasswordSignInForm(request.POST, prefix="with")
    if not form.is_valid():
        return door(request, with_password=form)
    customer = passwords.enter(form.cleaned_data["email"], form.cleaned_data["password"], my.network(request))
    if customer is None:
        audit.record("access.fail", by=None, clause="§6.2", **accounts.source(request))
        transaction.on_commit(partial(celery.wake, ANSWER))
        form.refuse()
        return door(request, with_password=form)
    if customer.holds.open().exists():  # the address is in doubt, and whoever has it may have set the password (§3.3)
        return link_refused(request, Link.Refused("held"))
    return my.begin(request, customer, how="password")


def door(request, form=None, with_password=None):
    forms = {"form": form or AskLinkForm(), "with_password": with_password or PasswordSignInForm(prefix="with")}
    return render(request, "customers/sign_in.html", forms)


@require_POST
@my.signed_in
def sign_out(request):
    request.customer_session.end(source=accounts.source(request))
    return my.forget(redirect("customers:sign_in"))
