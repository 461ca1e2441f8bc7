"""The customers' pages for staff, masked. Refuses to be a form: what is done to a customer is done by a verb, with a reason."""

from customers.admin.addresses import AnomalyAdmin, EmailChangeAdmin, EmailHoldAdmin, HoldRuleAdmin
from customers.admin.contacts import AttachmentAdmin, ContactAdmin, EvidenceAdmin
from customers.admin.corrections import CorrectionAdmin
from customers.admin.customers import CustomerAdmin, ServiceAdmin
from customers.admin.endings import ErasureAdmin, LegalHoldAdmin, RetentionRuleAdmin, RetentionRunAdmin
from customers.admin.information import InformationRequestAdmin
from customers.admin.requests import DeadlineRuleAdmin, HolidayAdmin, RightsRequestAdmin
from customers.admin.reveals import RevealAdmin
from customers.admin.support import SupportRequestAdmin

__all__ = [
    "AnomalyAdmin",
    "AttachmentAdmin",
    "ContactAdmin",
    "CorrectionAdmin",
    "CustomerAdmin",
    "DeadlineRuleAdmin",
    "EmailChangeAdmin",
    "EmailHoldAdmin",
    "ErasureAdmin",
    "EvidenceAdmin",
    "HoldRuleAdmin",
    "HolidayAdmin",
    "InformationRequestAdmin",
    "LegalHoldAdmin",
    "RetentionRuleAdmin",
    "RetentionRunAdmin",
    "RevealAdmin",
    "RightsRequestAdmin",
    "ServiceAdmin",
    "SupportRequestAdmin",
]
