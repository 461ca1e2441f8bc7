"""What we send: campaigns, renewal notices and the messages made of them. Holds no address."""

from mailings.models.campaigns import Campaign
from mailings.models.messages import Message
from mailings.models.renewals import RenewalItem, RenewalNotice, queue_renewals

__all__ = ["Campaign", "Message", "RenewalItem", "RenewalNotice", "queue_renewals"]
