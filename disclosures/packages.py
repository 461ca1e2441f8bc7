"""What a recipient gets: JSON and a readable page in one archive, encrypted to the recipient's key. In the clear it is in memory alone."""

import json
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pyrage
from django.template.loader import render_to_string
from django.utils import timezone, translation

from customers.models import Customer, Service
from disclosures.models import Field
from mailings.models import Message

FORMAT = "privacy-office-disclosure/1"
OWN = [Field.REF, Field.FULL_NAME, Field.EMAIL, Field.PHONE, Field.ADDRESS, Field.ASSOCIATION]  # columns of the customer's own row


def services(request):
    """Return {customer: services that ran within the period}, without access data."""
    rows = Service.objects.filter(customer__in=request.customers).exclude(started_on__gt=request.period_until)
    rows = rows.exclude(expires_on__lt=request.period_from).order_by("pk")
    found = {}
    for customer, *values in rows.values_list("customer_id", "product", "plan", "started_on", "expires_on"):
        found.setdefault(customer, []).append(dict(zip(("product", "plan", "started_on", "expires_on"), map(told, values), strict=True)))
    return found


def messages(request):
    """Return {customer: for what and when mails were sent within the period}."""
    rows = Message.objects.filter(customer__in=request.customers, sent_at__date__range=(request.period_from, request.period_until))
    found = {}
    for customer, purpose, sent_at in rows.order_by("pk").values_list("customer_id", "purpose__code", "sent_at"):
        found.setdefault(customer, []).append({"purpose": purpose, "sent_at": sent_at.isoformat()})
    return found


def told(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


def content(request, at):
    """Return all that is handed over: exactly the approved fields of the approved customers, decrypted now."""
    own = [field.value for field in OWN if field in request.fields]
    within = {field: found(request) for field, found in ((Field.SERVICES, services), (Field.MESSAGES, messages)) if field in request.fields}
    people = []
    for customer in Customer.objects.filter(pk__in=request.customers).only("id", *own).order_by("pk"):
        person = {name: getattr(customer, name) for name in own}
        people.append(person | {field.value: found.get(customer.pk, []) for field, found in within.items()})
    return {
        "format": FORMAT,
        "request": request.pk,
        "recipient": request.third_party.name,
        "ground": request.ground,
        "document_number": request.document_number,
        "legal_article": request.legal_article,
        "made_at": at.isoformat(),
        "period": [request.period_from.isoformat(), request.period_until.isoformat()],
        "fields": list(request.fields),
        "customers": people,
    }


def page(request, said):
    """Return the content as a page that stands alone, in Vietnamese."""
    people = [[(Field(name).label, value) for name, value in person.items()] for person in said["customers"]]
    with translation.override("vi"):
        return render_to_string("disclosures/package.html", {"request": request, "said": said, "people": people, "made_at": timezone.now()})


def archive(request, at):
    said, buffer = content(request, at), BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as files:
        files.writestr("disclosure.json", json.dumps(said, ensure_ascii=False, indent=2))
        files.writestr("disclosure.html", page(request, said))
    return buffer.getvalue()


def sealed(request, at):
    """Return the archive encrypted to the recipient's public key, in the age format."""
    return pyrage.encrypt(archive(request, at), [pyrage.x25519.Recipient.from_str(request.third_party.age_key)])
