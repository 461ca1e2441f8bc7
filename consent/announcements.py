"""Tells customers once of a major version, in batches. Refuses to tell anybody twice, however often it was stopped and begun again."""

from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from audit import models as audit
from consent.models import ALLOWS, Announcement, ConsentState
from customers.models import Customer, Notice
from customers.models.notices import TELL, name_of
from privacy_office import celery

BATCH = 2000  # customers looked at in one transaction


def announce(batch=BATCH):
    """Tell the next customers of the oldest version that not everybody was told of; return whether there may be more to do.

    Where it stands is written with the notices, so a run that is killed is gone on with by the next.
    """
    with transaction.atomic():
        waiting = Announcement.objects.filter(done_at=None).select_related("policy_version").order_by("pk")
        row = waiting.select_for_update(skip_locked=True, of=["self"]).first()
        if row is None:
            return False
        version = row.policy_version
        window = Customer.objects.filter(pk__gt=row.after, pk__lte=row.until).order_by("pk")
        last = window.values_list("pk", flat=True)[batch - 1 : batch].first() or row.until
        told = list(concerned(version).filter(pk__gt=row.after, pk__lte=last).values_list("pk", "locale"))
        values, about = {locale: words(version, locale) for locale in Customer.Locale.values}, name_of(version)
        kind = Notice.Kind.POLICY_CHANGED
        Notice.objects.bulk_create(
            [Notice(customer_id=pk, kind=kind, about=about, values=values[locale]) for pk, locale in told], ignore_conflicts=True
        )
        row.after, row.told = last, row.told + len(told)
        row.done_at = timezone.now() if last >= row.until else None
        row.save()
        audit.record("policy.tell", by=None, obj=version, clause="§7", number=version.number, customers=len(told), through=last)
        if told:
            transaction.on_commit(partial(celery.wake, TELL))
    return True


def concerned(version):
    """Return the living customers whose data the version changes the use of: who agreed to a changed purpose under an older
    version, or everybody where a changed purpose needs no agreement.
    """
    living, changed = Customer.objects.living(), list(version.changes.all())
    if any(not purpose.needs_consent for purpose in changed):
        return living
    older = Q(policy_version=None) | Q(policy_version__number__lt=version.number)
    agreed = ConsentState.objects.filter(older, customer=OuterRef("pk"), purpose__in=changed, state__in=ALLOWS)
    return living.filter(Exists(agreed))


def words(version, locale):
    """Return what the letter needs, in the language of those it goes to."""
    titles = [getattr(purpose, f"title_{locale}") for purpose in version.changes.all()]
    return {
        "number": version.number,
        "previous": version.previous().number,
        "since": version.published_at.isoformat(),
        "purposes": ", ".join(titles),
        "summary": version.summary(locale),
    }
