"""Sign-ups from the company's own site: signed by a shared key, confirmed by mail. The answer is the same whoever's address it is."""

import hashlib
import hmac
import json
import logging
import re
from functools import partial

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import Http404, JsonResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from consent import signup
from consent.models import PolicyVersion
from customers import my
from customers.models import Customer, Link, SignUp
from customers.views.links import by_link, pressed, row_of
from privacy_office import accounts
from privacy_office.fields import digest, normal_email

log = logging.getLogger(__name__)
TOLERANCE = 300  # seconds that the two clocks may differ, and a request may be on its way
MOST_BYTES = 10_000
SIGNATURE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
STATUS = {"signature": 403, "too long": 413, "not understood": 400, "policy": 400, "repeated": 409, "network": 429}


class Refused(Exception):
    """Why a request is refused: one of `STATUS`."""


@csrf_exempt  # the signature is the key, and no cookie is read
@never_cache
@require_POST
def receive(request):
    """Take a sign-up: JSON with `email`, `purposes` (codes), `language`, `policy_version` and `network`; see docs/SIGN_UP.md."""
    if not settings.SIGNUP_KEY:
        raise Http404
    try:
        at = timezone.now()
        signature = genuine(request, at)
        SignUp.receive(**read(request), request=hashlib.sha256(signature.encode()).digest(), at=at)
    except (Refused, SignUp.Refused) as refused:
        reason = str(refused)
        log.warning("A sign-up was refused: %s.", reason)
        return JsonResponse({"status": "refused", "reason": reason}, status=STATUS[reason])
    return JsonResponse({"status": "received"}, status=202)


def genuine(request, at):
    """Return the signature of a request that the shared key signed in these minutes; Refused else."""
    if len(request.body) > MOST_BYTES:
        raise Refused("too long")
    parts = SIGNATURE.fullmatch(request.headers.get("X-Signature", ""))
    if not parts or abs(at.timestamp() - int(parts[1])) > TOLERANCE:
        raise Refused("signature")
    signed = parts[1].encode() + b"." + request.body
    if not any(hmac.compare_digest(hmac.new(key.encode(), signed, hashlib.sha256).hexdigest(), parts[2]) for key in settings.SIGNUP_KEY):
        raise Refused("signature")
    return parts[2]


def read(request):
    """Return what a sign-up asks for, as `SignUp.receive` takes it."""
    try:
        told = json.loads(request.body)
        email, codes, locale = normal_email(told["email"]), told["purposes"], told["language"]
        validate_email(email)
        network = digest("network", accounts.network(told["network"])) if told.get("network") else my.network(request)
        known = isinstance(codes, list) and codes and set(codes) <= set(signup.offered()) and locale in Customer.Locale.values
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise Refused("not understood") from None
    if not known or len(email) > 254:
        raise Refused("not understood")
    current = PolicyVersion.objects.published().first()
    if current is None or told.get("policy_version") != current.number:
        raise Refused("policy")
    return {"email": email, "purposes": set(codes), "locale": locale, "policy_number": current.number, "network": network}


@by_link(Link.Use.SIGN_UP)
def confirm(request, link):
    """Show what was ticked and a button; the press of it is the consent."""
    row = row_of(link, SignUp)
    policy = PolicyVersion.objects.published().first()
    act = partial(signup.confirm, row, shown=request.POST.get("policy_number"), language=get_language(), link=link)
    context = {"purposes": signup.offered(row.purposes).values(), "policy": policy, "newcomer": row.newcomer}
    return pressed(request, link, act, "customers/sign_up.html", **context)
