"""Where customers see what they agreed to, change it, and find receipts: by the address in a mail, or signed in. GET changes nothing."""

from functools import wraps

from django.http import Http404, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from consent import preferences, receipts
from consent.models import ConsentEvent, PolicyVersion, Source
from customers import my

HISTORY = 50  # events that the page shows; all are in the file


def keyed(view):
    """Let in whoever has the address from a mail, as `request.customer`, in the language asked for or chosen, else the customer's."""

    @wraps(view)
    @csrf_exempt  # the address is the key, no cookie is read
    @never_cache
    def guarded(request, token, **kwargs):
        customer = preferences.owner(token)
        if customer is None:
            return render(request, "mailings/unsubscribe_unknown.html", status=404)
        request.customer, asked = customer, request.GET.get("language")
        with translation.override(asked if asked in receipts.LANGUAGES else my.language(request, customer.locale)):
            return view(request, token=token, **kwargs)

    return guarded


def _url(page, token, *args):
    """Return the address of one of these pages, for who came by a token or for who is signed in."""
    return reverse(f"consent:{page}", args=[token, *args]) if token else reverse(f"consent:my_{page}", args=args)


@require_http_methods(["GET", "HEAD", "POST"])
def choose(request, token=None):
    customer, told, outcome = request.customer, {}, None
    if request.method == "POST":
        who = {"by": customer, "source": Source.PREFERENCE_PAGE}
        if request.POST.get("do") == "refuse_all":
            outcome, told["all"] = preferences.refuse_all(customer, **who), True
        else:
            marked = {name: set(request.POST.getlist(name)) for name in ("ticked", "shown")}
            language = translation.get_language()
            outcome = preferences.choose(customer, **marked, policy=request.POST.get("policy"), language=language, **who)
    said = ConsentEvent.objects.filter(customer=customer).select_related("customer", "purpose", "policy_version").order_by("-at", "-pk")
    history = [(event, _url("receipt", token, receipts.receipt_id(event))) for event in said[:HISTORY]]
    policy = PolicyVersion.objects.published().first()
    context = {
        "layout": "base.html" if token else "customers/base.html",
        "token": token,
        "groups": groups(preferences.boxes(customer)),
        "policy": policy,
        "policy_text": policy and policy.text(translation.get_language()),
        "outcome": outcome,
        "history": history,
        "records_url": _url("records", token),
        **told,
    }
    return render(request, "consent/preferences.html", context)


def groups(boxes):
    """Return (purpose, its boxes) in their order."""
    found = {}
    for box in boxes:
        found.setdefault(box.purpose, []).append(box)
    return list(found.items())


@require_safe
def receipt(request, number, token=None, as_json=False):
    event = receipts.find(request.customer, number)
    if event is None:
        raise Http404
    told = receipts.receipt(event)
    if as_json:
        return JsonResponse(told, json_dumps_params={"ensure_ascii": False, "indent": 2})
    pages = {"json_url": _url("receipt_json", token, number), "back_url": _url("preferences", token)}
    return render(request, "consent/receipt.html", {"row": event, "receipt": told, **pages})


@require_safe
def records(request, token=None):
    """Give every record of the customer, as a file for machines."""
    states = request.customer.consent_states.select_related("purpose").order_by("purpose", "channel")
    told = [receipts.record(request.customer, state.purpose, state.channel) for state in states]
    return JsonResponse(told, safe=False, json_dumps_params={"ensure_ascii": False, "indent": 2})


by_token = {view.__name__: keyed(view) for view in (choose, receipt, records)}
signed_in = {view.__name__: my.signed_in(view) for view in (choose, receipt, records)}
