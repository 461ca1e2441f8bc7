"""Every use of a one-time link: what makes the mail that carries it, what its button posts, and how to see that it acted."""

from collections.abc import Callable
from typing import NamedTuple

from audit.models import Entry
from customers import downloads
from customers.models import Customer, EmailChange, Link, Notice
from customers.models.addresses import ask_verification
from tests.make import ask_information, make_email_change, make_request, make_sign_up

WORDS = "bốn con ngựa qua sông lớn"


class Case(NamedTuple):
    """`begin(customer)` has the mail made and returns the row that its link is about, if any; `done(customer)` says whether it acted."""

    kind: Notice.Kind
    begin: Callable
    done: Callable
    form: dict = {}


def tell(kind):
    def begin(customer):
        Notice.tell(customer, kind)

    return begin


def ask_change(customer):
    return EmailChange.ask(customer, "new@example.org", by=customer)


def now_of(customer):
    return Customer.objects.get(pk=customer.pk)


CASES = {
    Link.Use.SIGN_IN: Case(Notice.Kind.SIGN_IN, tell(Notice.Kind.SIGN_IN), lambda c: c.sessions.exists()),
    Link.Use.PASSWORD: Case(
        Notice.Kind.PASSWORD, tell(Notice.Kind.PASSWORD), lambda c: bool(now_of(c).password), {"new": WORDS, "again": WORDS}
    ),
    Link.Use.DOWNLOAD: Case(
        Notice.Kind.DOWNLOAD,
        lambda c: downloads.ask(c, by=c, source={}) and None,
        lambda c: Entry.objects.filter(action="customer.download", subject=c.public_id).exists(),
    ),
    Link.Use.IDENTITY: Case(
        Notice.Kind.REQUEST_TO_CONFIRM,
        lambda c: make_request(c, "copy", source="email"),
        lambda c: c.rights_requests.exclude(identity_at=None).exists(),
    ),
    Link.Use.VERIFY: Case(Notice.Kind.VERIFY_ADDRESS, lambda c: ask_verification(c, by=c), lambda c: now_of(c).email_state == "verified"),
    Link.Use.CONFIRM_ADDRESS: Case(Notice.Kind.CONFIRM_ADDRESS, ask_change, lambda c: c.email_changes.exclude(confirmed_at=None).exists()),
    Link.Use.APPROVE_ADDRESS: Case(
        Notice.Kind.APPROVE_ADDRESS, ask_change, lambda c: c.email_changes.exclude(approved_at=None).exists(), {"answer": "yes"}
    ),
    Link.Use.SIGN_UP: Case(Notice.Kind.CONFIRM_SIGNUP, make_sign_up, lambda c: c.consent_events.exists(), {"policy_number": "1"}),
    Link.Use.OBJECT: Case(Notice.Kind.ADDRESS_CHANGED, make_email_change, lambda c: c.email_changes.filter(state="objected").exists()),
    Link.Use.INFORMATION: Case(
        Notice.Kind.INFORMATION, ask_information, lambda c: c.information_requests.exclude(answered_at=None).exists(), {"order": "HD-12"}
    ),
}
