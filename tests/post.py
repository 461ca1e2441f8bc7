"""Sends what is due from inside a test, and reads the mail that arrived as its reader would."""

import re

from mailings import postman
from mailings.models import Message

ADDRESS = re.compile(r"https?://[^\s<>\"]+?(/link/[^\s<>\"]+)")


def sent():
    """Send until nothing is due, notices too; return the messages by the customer's ref."""
    Message.objects.queue_notices()
    while postman.drain(5):
        pass
    return {m.customer.ref: m for m in Message.objects.select_related("customer")}


def text(mail):
    return mail.message.get_body(("plain",)).get_content()


def link(mail):
    """Return the path of the one-time link in a mail."""
    return ADDRESS.search(text(mail))[1]
