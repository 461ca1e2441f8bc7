"""Double opt-in: what a form on the company's site asked for becomes a consent when the owner of the address says so, and not before."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from consent.models import Channel, ConsentEvent, PolicyVersion, Purpose, Source

CHANNEL = Channel.EMAIL  # the only one of which a mail can ask the owner


def offered(codes=None):
    """Return {code: purpose} of what a sign-up may ask for, of `codes` those that it still may."""
    purposes = Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT, channels__contains=[CHANNEL])
    return {p.code: p for p in (purposes if codes is None else purposes.filter(code__in=codes))}


def confirm(row, *, shown, language, link, at=None):
    """Make the consents, of what was shown by the policy version of number `shown`; ValidationError where that is not the one in force."""
    at = at or timezone.now()
    current = PolicyVersion.objects.published().first()
    if current is None or str(current.number) != shown:
        raise ValidationError(_("The policy has changed since this page was opened. Please open the link once more."))
    with transaction.atomic():
        told = f"sign-up {row.pk} of {row.received_at.isoformat()}, request {bytes(row.request).hex()}; confirmed by link {link.pk}"
        row.confirm(by=row.customer, at=at)
        wishes = {(purpose, CHANNEL): True for purpose in offered(row.purposes).values()}
        said = {"source": Source.SIGNUP_FORM, "policy": current, "language": language, "evidence": told}
        return ConsentEvent.objects.say(row.customer, wishes, by=row.customer, **said)
