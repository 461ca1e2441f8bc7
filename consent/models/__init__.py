"""What we may do: purposes, policy versions, and the ledger of what each customer agreed to."""

from consent.models.approaches import Approach
from consent.models.counts import ConsentCount
from consent.models.ledger import (
    ALLOWS,
    STOPS,
    AdvertisingContacts,
    ConsentEvent,
    ConsentState,
    Event,
    Source,
    Suppression,
)
from consent.models.policies import Acknowledgement, Announcement, PolicyVersion
from consent.models.purposes import Channel, ChannelRule, Purpose

__all__ = [
    "ALLOWS",
    "STOPS",
    "Acknowledgement",
    "AdvertisingContacts",
    "Announcement",
    "Approach",
    "Channel",
    "ChannelRule",
    "ConsentCount",
    "ConsentEvent",
    "ConsentState",
    "Event",
    "PolicyVersion",
    "Purpose",
    "Source",
    "Suppression",
]
