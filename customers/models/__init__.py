"""Customers, their services, holds on their addresses, and who of the staff sees what. The only home of personal data."""

from customers.models.addresses import EmailChange
from customers.models.anomalies import Anomaly, AnomalyKind, HoldRule
from customers.models.attachments import Attachment
from customers.models.corrections import Correction
from customers.models.customer import Customer
from customers.models.erasures import Erasure, LegalHold
from customers.models.holds import Contact, EmailHold, Evidence
from customers.models.information import InformationRequest
from customers.models.links import Link
from customers.models.notices import Notice
from customers.models.requests import Holiday, Reminder, RightsRequest
from customers.models.retention import RetentionRule, RetentionRun
from customers.models.reveals import Reveal
from customers.models.rules import DeadlineRule, Right
from customers.models.service import Service
from customers.models.sessions import AccessRequest, Session
from customers.models.signups import SignUp
from customers.models.support import SupportRequest

__all__ = [
    "AccessRequest",
    "Anomaly",
    "AnomalyKind",
    "Attachment",
    "Contact",
    "Correction",
    "Customer",
    "DeadlineRule",
    "EmailChange",
    "EmailHold",
    "Erasure",
    "Evidence",
    "HoldRule",
    "Holiday",
    "InformationRequest",
    "LegalHold",
    "Link",
    "Notice",
    "Reminder",
    "RetentionRule",
    "RetentionRun",
    "Reveal",
    "Right",
    "RightsRequest",
    "Service",
    "Session",
    "SignUp",
    "SupportRequest",
]
