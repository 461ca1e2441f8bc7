"""A letter to an invented reader, to its author, and as it once was. Never issues a link, and names no customer of itself."""

import smtplib
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import get_connection
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from consent.models import Channel, ChannelRule
from customers.models import Customer, Notice
from mailings import letters
from mailings.models import Message, RenewalItem

INVENTED = {"full_name": "Nguyễn Văn Mẫu", "email": "mau@example.org"}
NOBODY = UUID(int=0)  # whom the links of a letter are for that goes to no customer; always the same, so that the same letter comes out
PATIENCE = 10  # seconds that a person waits for the mail server


def to(campaign, **reader):
    """Return the mail of a campaign's letter to somebody who is no customer; ValueError or ImproperlyConfigured says what it lacks."""
    rule = ChannelRule.objects.filter(channel=Channel.EMAIL).first()
    message = Message(campaign=campaign, purpose=campaign.purpose, public_id=NOBODY)
    return letters.build(message, Customer(public_id=NOBODY, **reader), rule)


def previews(campaign):
    """Return (language, subject, text, HTML) of the letter to an invented reader of each, or what it lacks in place of the text."""
    made = []
    for locale in Customer.Locale:
        try:
            mail = to(campaign, **INVENTED, locale=locale)
            made.append((locale.label, mail.subject, mail.body, mail.alternatives[0].content))
        except (ImproperlyConfigured, ValueError) as gap:
            made.append((locale.label, _("this letter cannot be made"), str(gap), ""))
    return made


def send(campaign, *, by):
    """Send the letter in each language to its author's own address, marked as a test."""
    if not by.email:
        raise ValidationError(_("Your account has no e-mail address: an administrator can enter one."))
    with transaction.atomic():
        audit.record("campaign.test", by=by, obj=campaign, clause=campaign.purpose.clause, letter=campaign.letter)
        try:
            mails = [to(campaign, full_name=by.get_username(), email=by.email, locale=locale) for locale in Customer.Locale]
        except (ImproperlyConfigured, ValueError) as gap:
            raise ValidationError(str(gap)) from None
        for mail, locale in zip(mails, Customer.Locale, strict=True):
            with translation.override(locale):
                mail.subject = f"[{gettext('Test')}] {mail.subject}"
        try:
            get_connection(timeout=PATIENCE).send_messages(mails)
        except (smtplib.SMTPException, OSError):
            raise ValidationError(_("The mail server did not take the test mail.")) from None


def as_it_was(row, at):
    """Return a row with history as it was at a moment; as it is where it is younger than that."""
    then = row.history.filter(history_date__lte=at).order_by("-history_date", "-history_id").first()
    return then.instance if then else row


def as_sent(message, name):
    """Return the mail of a message as it was when it left, or would have, to somebody of that name: from the versions of then.

    Its links say where they led and lead nowhere: what opens anything of the customer's is not made again.
    """
    at = message.sent_at or message.decided_at or message.created_at
    rule = ChannelRule.objects.filter(channel=Channel.EMAIL).first()
    then = Message(purpose=as_it_was(message.purpose, at))
    items = []
    if message.campaign:
        then.campaign = as_it_was(message.campaign, at)
    elif message.renewal:
        then.renewal = as_it_was(message.renewal, at)
        items = [
            RenewalItem(service=as_it_was(item.service, at), expires_on=item.expires_on) for item in message.items.select_related("service")
        ]
    else:
        told = message.notice
        then.notice = Notice(pk=told.pk, kind=told.kind, about=told.about, values=told.values)  # its address is nobody's to see
    locale = as_it_was(message.customer, at).locale
    return letters.build(then, Customer(full_name=name, locale=locale), rule and as_it_was(rule, at), items, at=at)
