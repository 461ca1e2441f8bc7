"""Takes what customers said from a CSV export. Never raises a state that a later no lowered, nor takes one thing twice."""

from collections import Counter
from datetime import datetime

from django.utils import timezone

from audit.models import actor
from consent.models import Channel, ConsentEvent, Event, PolicyVersion, Purpose, Source
from customers.csv_import import one_of, parsed, text
from customers.models import Customer, Evidence

DECISIONS = {"granted": Event.GIVEN, "refused": Event.REFUSED, "withdrawn": Event.WITHDRAWN}


def moment(cell):
    """Return an aware datetime of ISO 8601; a time without zone is the office's."""
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("is no date or time (YYYY-MM-DD, or with THH:MM)") from None
    at = timezone.make_aware(at) if timezone.is_naive(at) else at
    if at > timezone.now():
        raise ValueError("lies in the future")
    return at


class Consents:
    """customer_ref,purpose,channel,decision,decided_at,source,policy_version,evidence"""

    required = ("customer_ref", "purpose", "channel", "decision", "decided_at", "source", "policy_version")

    def __init__(self):
        self.purposes = {p.code: p for p in Purpose.objects.all()}
        self.policies = {str(p.number): p for p in PolicyVersion.objects.published()}
        self.digests = {(p.pk, locale): p.shown_digest(locale) for p in self.policies.values() for locale in Customer.Locale.values}
        self.cleaners = {
            "customer_ref": text(40),
            "purpose": self.known(self.purposes, "is no purpose"),
            "channel": one_of(Channel.values),
            "decision": one_of(list(DECISIONS)),
            "decided_at": moment,
            "source": one_of(Source.values),
            "policy_version": self.known(self.policies, "is no published policy version"),
            "evidence": text(2000, lines=True),
        }

    @staticmethod
    def known(rows, reason):
        def clean(cell):
            if cell not in rows:
                raise ValueError(reason)
            return rows[cell]

        return clean

    def take(self, batch, reject):
        """Write one batch; return counts of what became of its rows."""
        rows = list(parsed(batch, self.cleaners, self.required, reject))
        owners = {c.ref: c for c in Customer.objects.living().filter(ref__in=[values["customer_ref"] for _, values in rows])}
        said = set(
            ConsentEvent.objects.filter(customer__in=owners.values()).values_list("customer", "purpose", "channel", "event", "at", "source")
        )
        counts, events, evidence = Counter(), [], []
        for line, values in rows:
            customer = owners.get(values["customer_ref"])
            if customer is None:
                reject(line, "customer_ref", "is unknown")
                continue
            event = ConsentEvent(
                customer=customer, purpose=values["purpose"], channel=values["channel"], event=DECISIONS[values["decision"]],
                at=values["decided_at"], source=values["source"], policy_version=values["policy_version"],
                shown_digest=self.digests[values["policy_version"].pk, customer.locale], by=actor(None),
            )  # fmt: skip
            key = (customer.pk, event.purpose_id, event.channel, event.event, event.at, event.source)
            if key in said:
                counts["unchanged"] += 1
                continue
            said.add(key)
            if values.get("evidence"):
                event.evidence = Evidence(customer=customer, text=values["evidence"])
                evidence.append(event.evidence)
            events.append(event)
        Evidence.objects.bulk_create(evidence)
        if events:
            ConsentEvent.objects.record(events, by=None)
        return counts + Counter(created=len(events))
