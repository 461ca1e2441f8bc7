"""The customer's data on pages: to see, and to take along by a link that works once. Keeps no copy of what is taken."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from customers import downloads, my
from customers.models import Link
from customers.views import holdings
from customers.views.links import by_link
from privacy_office import accounts

LATEST = 100  # rows of a list that a page shows; the download has them all


@require_safe
@my.signed_in
def overview(request):
    customer, days = request.customer, holdings.rules()
    told = {
        "held": holdings.held(customer, days),
        "until": holdings.kept_until(customer, days),
        "services": holdings.services(customer)[:LATEST],
        "on_hold": customer.holds.open().exists(),
        "more": holdings.more(customer, days),
    }
    return render(request, "customers/overview.html", told)


@require_safe
@my.signed_in
def mail_list(request):
    """Show the mails that left; those that the office kept back are in the download."""
    left = holdings.mails(request.customer).filter(state__in=holdings.LEFT)[:LATEST]
    rows = [(message, holdings.subject(message), holdings.noted_until(message)) for message in left]
    return render(request, "customers/mails.html", {"mails": rows, "latest": LATEST})


@require_safe
@my.signed_in
def views(request):
    """Show who saw what: the role, never the person."""
    rows = [(view, holdings.in_words(view.roles, holdings.ROLES)) for view in holdings.views(request.customer)[:LATEST]]
    return render(request, "customers/views.html", {"views": rows, "latest": LATEST})


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def download(request):
    """Explain the download; asked for, it comes as a link by mail."""
    customer = request.customer
    if request.method != "POST":
        return render(request, "customers/download.html", {"on_hold": customer.holds.open().exists()})
    try:
        downloads.ask(customer, by=customer, source=accounts.source(request))
    except ValidationError as refusal:
        messages.warning(request, " ".join(refusal.messages))
    else:
        messages.success(request, _("A mail with a link is on its way. It works once, within 24 hours."))
    return redirect("customers:download")


@by_link(Link.Use.DOWNLOAD)
def download_link(request, link):
    """Show what the buttons do; the press of one puts the copy together, once."""
    if request.method != "POST":
        return render(request, "customers/download_link.html")
    form = "page" if request.POST.get("as") == "page" else "file"
    downloads.take(link, form=form, source=accounts.source(request))
    copy = holdings.gather(link.customer)
    if form == "page":
        return render(request, "customers/copy.html", holdings.page(copy))
    answer = HttpResponse(holdings.archive(copy), content_type="application/zip")
    answer["Content-Disposition"] = 'attachment; filename="my-data.zip"'
    return answer
