"""Customers, their services, holds on their addresses. The only home of personal data."""

from customers.models.customer import Customer, CustomerQuerySet
from customers.models.holds import Contact, EmailHold, EmailHoldQuerySet, Evidence
from customers.models.service import Service, ServiceQuerySet

__all__ = ["Contact", "Customer", "CustomerQuerySet", "EmailHold", "EmailHoldQuerySet", "Evidence", "Service", "ServiceQuerySet"]
