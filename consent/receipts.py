"""What a customer agreed to, as records and receipts of ISO/IEC TS 27560. Names no person: whoever has one knows a random identifier.

A receipt is made by the very act of writing an event down, so nothing of it is kept beside the event: it says the same whenever it is read.
"""

import hashlib
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from consent.models import ALLOWS, ChannelRule, ConsentEvent, PolicyVersion, Purpose, Source

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"
JURISDICTION = "VN"
CONTROLLER = "controller"
LANGUAGES = ("vi", "en")

# W3C DPV 2.3 purposes, by the class of a purpose, and by its code where that says more.
DPV = {"service": "dpv:CustomerCare", "advertising": "dpv:DirectMarketing", "survey": "dpv:ImproveExistingProductsAndServices"}
DPV_OF = {"payment_confirmation": "dpv:PaymentManagement", "service_renewal": "dpv:ServiceProvision", "promotions": "dpv:Advertising"}
CATEGORIES = {"full_name": "identity", "email": "contact", "phone": "contact", "address": "contact"}
# How plain it was: a statement of its own, or an act that says it.
EXPLICIT = {Source.SIGNUP_FORM, Source.PREFERENCE_PAGE, Source.PAPER}
RIGHTS = ["access", "correction", "copy", "withdrawal", "restriction", "objection", "erasure", "protection"]


def record_id(customer, purpose, channel):
    """Return the number of the record of one customer's consent: random, as the customer's identifier is, and the same for ever."""
    return _identifier("record", customer.public_id, purpose.code, channel)


def receipt_id(event):
    return _identifier("receipt", event.customer.public_id, event.pk)


def _identifier(*parts):
    return UUID(bytes=hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16], version=4)


def record(customer, purpose, channel):
    """Return the consent record as JSON can say it: what holds now, and every event with the text that was shown at the time."""
    said = ConsentEvent.objects.filter(customer=customer, purpose=purpose, channel=channel)
    events = list(said.select_related("customer", "purpose", "policy_version").order_by("at", "pk"))
    shown = next((e.policy_version for e in reversed(events) if e.policy_version), None)
    notice = shown or _in_force(timezone.now())
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": str(record_id(customer, purpose, channel)),
        "pii_principal_id": str(customer.public_id),
        "processing": _processing(purpose, channel, notice, _language(events[-1]) if events else customer.locale),
        "party": _parties(customer),
        "events": [_event(event) for event in events],
    }


def receipt(event):
    """Return the receipt of one event as JSON can say it; made when it was written down, by the rules of that moment."""
    of_then = Purpose.history.filter(id=event.purpose_id, history_date__lte=event.recorded_at)
    rules = of_then.order_by("-history_date", "-history_id").first()
    notice = event.policy_version or _in_force(event.recorded_at)
    return {
        "receipt_id": str(receipt_id(event)),
        "made_at": _moment(event.recorded_at),
        "schema_version": SCHEMA_VERSION,
        "record_id": str(record_id(event.customer, event.purpose, event.channel)),
        "pii_principal_id": str(event.customer.public_id),
        "processing": _processing(rules or event.purpose, event.channel, notice, _language(event)),
        "party": _parties(event.customer),
        "event": _event(event),
    }


def find(customer, number):
    """Return the customer's event whose receipt has this number, or None."""
    said = customer.consent_events.select_related("customer", "purpose", "policy_version")
    return next((event for event in said if receipt_id(event) == number), None)


def _processing(purpose, channel, notice, language):
    rule = ChannelRule.objects.filter(channel=channel).first() if purpose.kind == Purpose.Kind.ADVERTISING else None
    return {
        "privacy_notice": notice and {
            "version": notice.number,
            "published_at": _moment(notice.published_at),
            "digest": notice.digest,
            "address": f"{settings.BASE_URL}/policy/{notice.number}/",
        },
        "language": language,
        "purposes": [
            {
                "code": purpose.code,
                "title": {name: getattr(purpose, f"title_{name}") for name in LANGUAGES},
                "meaning": {name: getattr(purpose, f"meaning_{name}") for name in LANGUAGES},
                "clause": purpose.clause,
                "type": DPV_OF.get(purpose.code, DPV[purpose.kind]),
            }
        ],
        "lawful_basis": purpose.legal_basis,
        "channel": channel,
        "frequency": {
            "words": {name: getattr(purpose, f"frequency_{name}") for name in LANGUAGES},
            "most_in_24_hours": rule and rule.cap,
        },
        "pii_information": [{"attribute": name, "category": CATEGORIES.get(name, "other")} for name in purpose.fields],
        "pii_controllers": [CONTROLLER],
        "storage_locations": [f"{JURISDICTION}: the controller's own database (§1.2)"],
        "retention_period": {"messages": f"P{purpose.retention_days}D", "record": "as long as consent must be proved, one year at least"},
        "jurisdiction": JURISDICTION,
        "recipient_third_parties": [],
        "withdrawal_method": [
            {"way": "web", "address": f"{settings.BASE_URL}/my/preferences/"},
            {"way": "email", "address": settings.COMPANY["email"]},
            {"way": "phone", "address": settings.COMPANY["phone"]},
        ],
        "privacy_rights": RIGHTS,
    }  # fmt: skip


def _parties(customer):
    company = settings.COMPANY
    return [
        {
            "party_id": CONTROLLER,
            "party_role": "pii_controller",
            "party_name": company["name"],
            "party_address": company["address"],
            "party_email": company["email"],
            "party_phone": company["phone"],
            "party_url": company["website"],
        },
        {"party_id": str(customer.public_id), "party_role": "pii_principal"},
    ]


def _event(event):
    version = event.policy_version
    return {
        "event_id": event.pk,
        "event_time": _moment(event.at),
        "recorded_at": _moment(event.recorded_at),
        "event_type": "explicit" if event.source in EXPLICIT else "expressed",
        "event_state": event.event,
        "validity_duration": "until the customer changes it" if event.event in ALLOWS else None,
        "entity_id": event.by,
        "source": event.source,
        "text_shown": version and {"version": version.number, "language": _language(event), "digest": event.shown_digest},
        "receipt_id": str(receipt_id(event)),
    }


def _language(event):
    """Return the language in which the text was shown, by its digest; the customer's where none was."""
    shown = event.policy_version and [name for name in LANGUAGES if event.policy_version.shown_digest(name) == event.shown_digest]
    return event.customer.locale if not shown or event.customer.locale in shown else shown[0]


def _in_force(at):
    return PolicyVersion.objects.published().filter(published_at__lte=at).order_by("-number").first()


def _moment(at):
    return at.astimezone(timezone.get_default_timezone()).isoformat()
