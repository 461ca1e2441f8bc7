"""What customers ask for of right, on their pages. Refuses another customer's request as if there were none."""

from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from consent import rights
from customers import my
from customers.forms import RequestForm
from customers.models import Holiday, Link, Notice, RightsRequest
from customers.views.links import by_link, row_of


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def requests(request):
    """Show what was asked for, and take a new request."""
    form = RequestForm(request.POST if request.method == "POST" else None, label_suffix="")
    if form.is_valid():
        told = {"words": form.cleaned_data["words"], "source": RightsRequest.Source.MY}
        made = rights.receive(request.customer, form.cleaned_data["kind"], by=request.customer, **told)
        return redirect("customers:request", made.pk)
    rows = request.customer.rights_requests.defer("words")
    return render(request, "customers/requests.html", {"form": form, "requests": rows, "today": timezone.localdate()})


@require_safe
@my.signed_in
def request_page(request, pk):
    """Show one request with its dates explained, and what was told about it."""
    row = get_object_or_404(request.customer.rights_requests, pk=pk)
    calendar = Holiday.objects.calendar()
    context = {"row": row, "reply": row.first_reply(calendar), "done": row.done(calendar), "today": timezone.localdate()}
    return render(request, "customers/request.html", {**context, "notices": Notice.objects.about(row).order_by("pk")})


@by_link(Link.Use.IDENTITY)
def identity_link(request, link):
    """Show a button; the press of it says that the customer asks, once."""
    row = row_of(link, RightsRequest)
    if request.method == "POST":
        link.spend()
        if row.is_open and not row.identity_at:
            row.confirm_identity(by=link.customer, how=RightsRequest.Identity.LINK)
    return render(request, "customers/identity.html", {"row": row, "pressed": request.method == "POST"})
