"""Pages that a one-time link opens: looking changes nothing, as scanners follow links; the press of a button acts, once."""

from functools import partial, wraps

from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from customers import my, passwords
from customers.forms import SetPasswordForm
from customers.models import Anomaly, AnomalyKind, Customer, EmailChange, Link


def by_link(use):
    """Give the view the link of this use that the address holds, locked where it may be spent; else say why there is none."""

    def decorate(view):
        @wraps(view)
        @csrf_exempt  # the address is the key, and is told to nobody, so that a browser names no origin either
        @never_cache
        @require_http_methods(["GET", "HEAD", "POST"])
        def opened(request, token):
            try:
                link = Link.find(token, use, lock=request.method == "POST")
                with translation.override(my.language(request, link.customer.locale)):
                    return view(request, link)
            except Link.Refused as refused:
                return link_refused(request, refused)

        return opened

    return decorate


def link_refused(request, refused):
    """Say why a link does nothing, and what helps; the same for one that never was and one for another use."""
    if request.method == "POST" and refused.link:
        Anomaly.note(refused.link.customer, AnomalyKind.FAILED_LINK)
    return render(request, "customers/link_refused.html", {"reason": refused.reason}, status=404 if refused.reason == "unknown" else 410)


def pressed(request, link, act, template, **context):
    """Show the page of a link; at its button's press act and spend it, or say why it cannot be done and leave it as it is."""
    if request.method != "POST":
        return render(request, template, context)
    try:
        with transaction.atomic():
            link.spend()
            act()
    except ValidationError as error:
        return render(request, template, {**context, "refusal": error.messages}, status=409)
    return render(request, template, {**context, "done": True})


def row_of(link, model):
    """Return the customer's own row of a model that a link is about; Refused where it is about none."""
    label, _colon, number = link.about.partition(":")
    row = model.objects.filter(pk=number, customer=link.customer).first() if label == model._meta.label_lower else None
    if row is None:
        raise Link.Refused("unknown")
    return row


@by_link(Link.Use.SIGN_IN)
def sign_in(request, link):
    if request.method != "POST":
        return render(request, "customers/sign_in_link.html")
    link.spend()
    return my.begin(request, link.customer, how="link")


@by_link(Link.Use.PASSWORD)
def password(request, link):
    """Set a password, by the link that was asked for; what is typed wrong does not use it up."""
    form = SetPasswordForm(link.customer, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "customers/password_link.html", {"form": form})
    link.spend()
    passwords.change(link.customer, form.cleaned_data["new"], how="link")
    return my.begin(request, link.customer, how="password link")


@by_link(Link.Use.VERIFY)
def verify(request, link):
    customer = link.customer
    verified = partial(customer.set_email_state, Customer.EmailState.VERIFIED, by=customer, reason="link")
    return pressed(request, link, verified, "customers/verify.html")


@by_link(Link.Use.CONFIRM_ADDRESS)
def confirm_address(request, link):
    change = row_of(link, EmailChange)
    return pressed(request, link, partial(change.confirm, by=link.customer), "customers/confirm_address.html", change=change)


@by_link(Link.Use.APPROVE_ADDRESS)
def approve_address(request, link):
    change = row_of(link, EmailChange)
    verb = change.reject if request.POST.get("answer") == "no" else change.approve
    return pressed(request, link, partial(verb, by=link.customer), "customers/approve_address.html", change=change)


@by_link(Link.Use.OBJECT)
def object_to_address(request, link):
    change = row_of(link, EmailChange)
    return pressed(request, link, partial(change.object, by=link.customer), "customers/object.html", change=change)
