"""Whether a password lets somebody in, and how one is set. Refuses weak ones, and takes as long for who is unknown as for who is not."""

import unicodedata

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from audit import models as audit
from customers.models import AccessRequest, Customer, Notice

NO_HASH = ""  # against which Django hashes something in vain, to take as long


def enter(email, password, network, *, at=None):
    """Return the customer whose address and password these are, or None; ValueError for what is no address. Call it in a transaction.

    One password is hashed and the same queries are made, whether the address is known, has a password, is locked by too many failures,
    or the password is wrong. Failures are kept, to be counted: by the limits, and by whoever looks for signs of fraud.
    """
    knock = AccessRequest.of(AccessRequest.Kind.FAILED, email, network, at)
    limited = knock.limited()
    customer = Customer.objects.living().filter(email_index__in=knock.indexes).defer(*Customer.PERSONAL).first()
    right = check_password(plain(password), customer.password if customer else NO_HASH)
    if right and not limited:
        return customer
    if not limited:
        knock.save()
    return None


def change(customer, password, *, how, session=None):
    """Set a customer's password, end their other sessions and tell them; ValidationError says what is wrong with it."""
    with transaction.atomic():
        validate_password(plain(password), customer)
        customer._change("customer.set_password", "§6.2", by=customer, reason=how, password=make_password(plain(password)))
        others = customer.sessions.filter(ended_at=None).exclude(pk=session.pk if session else None)
        ended = others.update(ended_at=timezone.now())
        audit.record("customer.end_sessions", by=customer, obj=customer, subject=customer.public_id, clause="§6.2", sessions=ended)
        Notice.tell(customer, Notice.Kind.PASSWORD_CHANGED)


def is_right(customer, password, network):
    """Return whether it is the customer's present one; what is wrong counts as at the door."""
    return bool(customer.email) and enter(customer.email, password, network) == customer


def plain(password):
    """Return a password in one spelling, as keyboards write Vietnamese in several (NIST SP 800-63B section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
