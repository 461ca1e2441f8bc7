"""The customer's copy of all that is held: asked for, and sent as a link. Refuses more than a few a day, and an address in doubt."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from customers.models import Customer, Notice

A_DAY = 5
CLAUSE = "§1.2"


def ask(customer, *, by, source, at=None):
    """Have a link sent that opens the copy once; `source` is where the request came from."""
    at = at or timezone.now()
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        if not customer.email:
            raise ValidationError(_("We have no e-mail address of yours to send the link to. Please call us."))
        if customer.holds.open().exists():
            raise ValidationError(_("For your safety, your e-mail address is suspended until we have spoken with you. Please call us."))
        if customer.notices.filter(kind=Notice.Kind.DOWNLOAD, at__gt=at - timedelta(days=1)).count() >= A_DAY:
            raise ValidationError(_("Links enough were sent today: please look into your mailbox, or come back tomorrow."))
        notice = Notice.tell(customer, Notice.Kind.DOWNLOAD)
        audit.record("customer.ask_download", by=by, obj=notice, subject=customer.public_id, clause=CLAUSE, **source)
    return notice


def take(link, *, form, source):
    """Use the link up, in the transaction in which the copy is put together; `form` is what it is given as."""
    with transaction.atomic():
        link.spend()
        about = {"obj": link, "subject": link.customer.public_id, "clause": CLAUSE}
        audit.record("customer.download", by=link.customer, form=form, **about, **source)
