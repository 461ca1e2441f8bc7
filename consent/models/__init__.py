"""What we may do: purposes, policy versions, and the ledger of what each customer agreed to."""

from consent.models.ledger import (
    ALLOWS,
    RANK,
    STOPS,
    AdvertisingContacts,
    ConsentEvent,
    ConsentEventQuerySet,
    ConsentState,
    ConsentStateQuerySet,
    Event,
    Source,
    Suppression,
    SuppressionQuerySet,
)
from consent.models.policies import PolicyVersion, PolicyVersionQuerySet
from consent.models.purposes import Channel, ChannelRule, Purpose

__all__ = [
    "ALLOWS",
    "RANK",
    "STOPS",
    "AdvertisingContacts",
    "Channel",
    "ChannelRule",
    "ConsentEvent",
    "ConsentEventQuerySet",
    "ConsentState",
    "ConsentStateQuerySet",
    "Event",
    "PolicyVersion",
    "PolicyVersionQuerySet",
    "Purpose",
    "Source",
    "Suppression",
    "SuppressionQuerySet",
]
