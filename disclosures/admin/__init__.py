"""Third parties, requests for data, the register and breaches for staff. Refuses to show a value: what leaves is sealed first."""

from disclosures.admin.breaches import BreachAdmin
from disclosures.admin.parties import CommitmentAdmin, DocumentAdmin, ThirdPartyAdmin
from disclosures.admin.permissions import PermissionEventAdmin, PermissionOfferAdmin
from disclosures.admin.register import DisclosureAdmin, PackageAdmin, RecipientTaskAdmin, SealAdmin
from disclosures.admin.requests import DisclosureRequestAdmin, TermRuleAdmin

__all__ = [
    "BreachAdmin",
    "CommitmentAdmin",
    "DisclosureAdmin",
    "DisclosureRequestAdmin",
    "DocumentAdmin",
    "PackageAdmin",
    "PermissionEventAdmin",
    "PermissionOfferAdmin",
    "RecipientTaskAdmin",
    "SealAdmin",
    "TermRuleAdmin",
    "ThirdPartyAdmin",
]
