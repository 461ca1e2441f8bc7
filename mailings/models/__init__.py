"""What we send: campaigns, renewal notices and the messages made of them. Holds no address."""

from mailings.models.campaigns import BATCH, Campaign, CampaignQuerySet
from mailings.models.messages import Message, MessageQuerySet
from mailings.models.renewals import RENEWALS_LOCK, RenewalItem, RenewalNotice, queue_renewals

__all__ = [
    "BATCH",
    "RENEWALS_LOCK",
    "Campaign",
    "CampaignQuerySet",
    "Message",
    "MessageQuerySet",
    "RenewalItem",
    "RenewalNotice",
    "queue_renewals",
]
