"""What leaves the house: third parties, what customers permit, requests, the register, and breaches."""

from disclosures.models.breaches import Breach
from disclosures.models.documents import Document
from disclosures.models.parties import Commitment, Field, Ground, TermRule, ThirdParty
from disclosures.models.permissions import PermissionEvent, PermissionOffer
from disclosures.models.recipients import RecipientTask
from disclosures.models.register import Disclosure, Package, Seal
from disclosures.models.requests import DisclosureRequest

__all__ = [
    "Breach",
    "Commitment",
    "Disclosure",
    "DisclosureRequest",
    "Document",
    "Field",
    "Ground",
    "Package",
    "PermissionEvent",
    "PermissionOffer",
    "RecipientTask",
    "Seal",
    "TermRule",
    "ThirdParty",
]
