"""What we send: campaigns, renewal notices and the messages made of them. Holds no address."""

from mailings.models.campaigns import Campaign, DryRun
from mailings.models.counts import MessageCount
from mailings.models.hosts import CompanyHost
from mailings.models.incoming import IncomingMail
from mailings.models.messages import Message
from mailings.models.relays import RelayRule, RelayState
from mailings.models.renewals import RenewalItem, RenewalNotice, RenewalRun, queue_renewals

__all__ = [
    "Campaign", "CompanyHost", "DryRun", "IncomingMail", "Message", "MessageCount", "RelayRule", "RelayState",
    "RenewalItem", "RenewalNotice", "RenewalRun", "queue_renewals",
]  # fmt: skip
