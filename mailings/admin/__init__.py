"""The staff's pages of the mailings: what leaves, and what came in. Nobody sees an address here."""

from mailings.admin.campaigns import CampaignAdmin, MessageAdmin, RenewalNoticeAdmin
from mailings.admin.incoming import IncomingMailAdmin

__all__ = ["CampaignAdmin", "IncomingMailAdmin", "MessageAdmin", "RenewalNoticeAdmin"]
