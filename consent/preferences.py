"""What a customer may choose, and what becomes of what they chose. Refuses to take for a yes what they did not tick themselves."""

from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature
from django.db import transaction
from django.db.models import Max
from django.urls import reverse

from consent.models import ALLOWS, STOPS, Channel, ConsentEvent, ConsentState, PolicyVersion, Purpose, Source
from customers.models import Customer, EmailHold
from privacy_office.signing import Signer

signer = Signer(salt="consent.preferences", sep=".")


def token_of(customer):
    """Return what in an address says, opaque and signed, whose preferences they are; with dashes, as in `letters.unsubscribe_token`."""
    return signer.sign(str(customer.public_id))


def address(customer):
    """Return the address of the customer's preference page, for every mail that rests on consent."""
    return settings.BASE_URL + reverse("consent:preferences", args=[token_of(customer)])


def owner(token):
    """Return the living customer whose token it is, or None."""
    try:
        return Customer.objects.living().filter(public_id=UUID(signer.unsign(token))).first()
    except (BadSignature, ValueError):
        return None


class Box(NamedTuple):
    """One purpose by one channel, as it is offered: ticked only where the ledger holds a yes that counts."""

    purpose: Purpose
    channel: Channel
    state: ConsentState
    ticked: bool
    outdated: bool  # there is a yes, on a version that a later one outdated

    @property
    def refused(self):
        return self.state.state in STOPS

    @property
    def name(self):
        return f"{self.purpose.code}:{self.channel.value}"


def boxes(customer):
    """Return the Boxes of everything that rests on consent, by the channels that the customer can be reached by."""
    purposes = list(Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT))
    states = {s.key: s for s in customer.consent_states.select_related("policy_version")}
    major = PolicyVersion.objects.published().filter(severity=PolicyVersion.Severity.MAJOR).order_by()
    changed = dict(major.values_list("changes").annotate(Max("number")))
    has = {Channel.EMAIL: customer.email_index, Channel.SMS: customer.phone_index, Channel.PHONE: customer.phone_index}
    return [
        _box(customer, purpose, channel, states.get((customer.pk, purpose.pk, channel.value)), changed.get(purpose.pk, 0))
        for purpose in purposes
        for channel in map(Channel, purpose.channels)
        if has[channel] or (customer.pk, purpose.pk, channel.value) in states
    ]


def _box(customer, purpose, channel, state, major):
    state = state or ConsentState(customer=customer, purpose=purpose, channel=channel.value)
    yes = state.state in ALLOWS
    outdated = yes and (state.policy_version.number if state.policy_version else 0) < major
    return Box(purpose, channel, state, yes and not outdated, outdated)


class Outcome(NamedTuple):
    """What became of a page that was sent: the events that it made, and why a yes was not taken."""

    given: list
    refused: list
    on_hold: bool = False  # a yes waits until the customer was reached
    unread: bool = False  # there is a newer policy than the one that was shown, or none


def choose(customer, *, ticked, shown, policy, by, source, language):
    """Take what a customer changed on the page: `shown` are the names of the boxes that stood ticked, `ticked` of those that do now.

    A box that stood ticked says nothing new, so a page that lay open for long brings no withdrawn consent back. `policy` is the
    number of the version that was shown.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        offered = {box.name: box for box in boxes(customer)}
        no = {(b.purpose, b.channel): False for name, b in offered.items() if name in shown and name not in ticked}
        yes = {(b.purpose, b.channel): True for name, b in offered.items() if name in ticked and name not in shown and not b.ticked}
        refused = ConsentEvent.objects.say(customer, no, by=by, source=source) if no else []
        current = PolicyVersion.objects.published().first()
        if yes and EmailHold.objects.open().filter(customer=customer).exists():
            return Outcome([], refused, on_hold=True)
        if yes and (current is None or str(current.number) != policy):
            return Outcome([], refused, unread=True)
        given = ConsentEvent.objects.say(customer, yes, by=by, source=source, policy=current, language=language) if yes else []
        return Outcome(given, refused)


def refuse_by_reply(customer, *, mail, purpose=None):
    """Take a mail that says no: to the purpose of the message it answers, where one is known, else to all mail that rests on consent.

    `mail` is what it is found by, as evidence. It counts from a suspended address too: a refusal only protects (§3.3).
    """
    said = {"by": customer, "source": Source.REPLY, "evidence": mail}
    if purpose is None or not purpose.needs_consent:
        return refuse_all(customer, channels=[Channel.EMAIL], **said)
    return Outcome([], ConsentEvent.objects.say(customer, {(purpose, Channel.EMAIL): False}, **said))


def refuse_by_complaint(customer, *, mail, purpose):
    """Take for a no to a purpose that the mail provider was told of spam; unconfirmed, as one more mail would be one too many."""
    said = {"by": None, "source": Source.COMPLAINT, "evidence": mail, "confirm": False}
    return Outcome([], ConsentEvent.objects.say(customer, {(purpose, Channel.EMAIL): False}, **said) if purpose.needs_consent else [])


def refuse_all(customer, *, by, source, channels=tuple(Channel), evidence=""):
    """Write down a no to everything that rests on consent, by these channels."""
    purposes = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT)
    wishes = {(purpose, channel): False for purpose in purposes for channel in map(Channel, purpose.channels) if channel in channels}
    return Outcome([], ConsentEvent.objects.say(customer, wishes, by=by, source=source, evidence=evidence))
