"""Customers, their services, holds on their addresses. The only home of personal data."""

from customers.models.customer import Customer
from customers.models.holds import Contact, EmailHold, Evidence
from customers.models.service import Service

__all__ = ["Contact", "Customer", "EmailHold", "Evidence", "Service"]
