"""What happens to a staff account and to its sessions, each act with its entry and its notice. Refuses to tell a password to a log."""

import ipaddress
import re
import time

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from audit import models as audit
from privacy_office.fields import digests
from privacy_office.models import StaffNotice

LATEST = 20  # sign-ins that a new one is compared with
TOTP = Authenticator.Type.TOTP


# Where a request comes from


def source(request):
    """Return the network address and port that a request came from, as an entry keeps them."""
    port = request.META.get("HTTP_X_CLIENT_PORT" if settings.BEHIND_PROXY else "REMOTE_PORT", "")
    return {"address": get_adapter().get_client_ip(request), "port": int(port) if re.fullmatch(r"[0-9]{1,5}", str(port)) else None}


def network(address):
    """Return what an address is recognised by: an IPv6 one by its /64, as devices change the rest daily."""
    ip = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def browser(request):
    """Return the digest of the browser's name without its version, which changes by itself, under every index key, newest first."""
    return [known_as.hex() for known_as in digests("browser", re.sub(r"[\d.]+", "", request.headers.get("User-Agent", "")))]


# Signing in and out


def record(action, request, member, *, by=None, **detail):
    """Write the entry of something that happened in a session or on the way to one, with where it came from."""
    with transaction.atomic():
        audit.record(f"staff.{action}", by=by, obj=member, **detail, **source(request))


def signed_in(request, member):
    """Write the entry of a sign-in, and tell the member where neither the network nor the browser is a known one."""
    seen = audit.Entry.objects.filter(action="staff.sign_in", object=f"{member._meta.label_lower}:{member.pk}")
    seen = [entry.detail for entry in seen[:LATEST]]
    proofs = [proof["type"] for proof in get_authentication_records(request, member) if proof["method"] == "mfa"]
    here = browser(request)
    record("sign_in", request, member, by=member, factor=proofs[-1] if proofs else None, browser=here[0])
    known_browser = not {e["browser"] for e in seen}.isdisjoint(here)
    known = known_browser and network(source(request)["address"]) in {network(e["address"]) for e in seen}
    if not known:
        StaffNotice.objects.tell([member], StaffNotice.Kind.SIGN_IN)


def has_authenticator(member):
    return Authenticator.objects.filter(user=member, type=TOTP).exists()


def proved(request):
    """Return whether this session gave its second factor so lately that a sensitive act need not ask again."""
    proofs = [proof["at"] for proof in get_authentication_records(request, request.user) if proof["method"] == "mfa"]
    return time.time() - max(proofs, default=0) < settings.STEP_UP_SECONDS


# Acts on an account


@transaction.atomic
def draw_password(member, *, by):
    """Give a one-time password, which ends the old one and its sessions; return it to be told once."""
    password = member.draw_password()
    member.save(update_fields=["password", "one_time_password"])
    audit.record("staff.new_password", by=by, obj=member, clause="§6.2")
    StaffNotice.objects.tell([member], StaffNotice.Kind.PASSWORD_DRAWN)
    return password


@transaction.atomic
def end_sessions(member, *, by):
    """End every session of a member, each at its next request."""
    member.end_sessions()
    audit.record("staff.end_sessions", by=by, obj=member, clause="§6.2")
    StaffNotice.objects.tell([member], StaffNotice.Kind.SESSIONS_ENDED)


@transaction.atomic
def reset_factor(member, *, by):
    """Remove a member's authenticator app, recovery codes and passkeys, and end the sessions that stood on them."""
    factors = Authenticator.objects.filter(user=member)
    kinds = sorted(factors.values_list("type", flat=True))
    factors.delete()
    member.end_sessions()
    audit.record("staff.reset_factor", by=by, obj=member, clause="§6.2", factors=kinds)
    StaffNotice.objects.tell([member], StaffNotice.Kind.FACTOR_CHANGED)
