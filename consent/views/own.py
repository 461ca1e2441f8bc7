"""What a customer does about the policy under /my/: read the version in effect, and say that they did. GET shows, POST acts."""

from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.http import require_http_methods

from consent.models import Acknowledgement, PolicyVersion
from customers import my


@require_http_methods(["GET", "HEAD", "POST"])
@my.signed_in
def acknowledge(request):
    """Show which versions the customer took note of; POST takes note of the one whose number the form carries."""
    versions = PolicyVersion.objects.published()
    if request.method == "POST":
        number = request.POST.get("version", "")
        # The one that was on the page, also where another was published meanwhile.
        if number.isdecimal() and (version := versions.filter(number=number).first()):
            how = {"source": Acknowledgement.Source.CUSTOMER_PAGE, "language": translation.get_language()}
            Acknowledgement.record(request.customer, version, by=request.customer, **how)
        return redirect("consent:my_policy")
    noted = list(request.customer.acknowledgements.select_related("policy_version"))
    current = versions.first()
    done = current and current.pk in {row.policy_version_id for row in noted}
    return render(request, "consent/my_policy.html", {"version": current, "noted": noted, "done": done})
