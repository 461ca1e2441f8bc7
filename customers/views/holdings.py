"""What the office holds about a customer, with why and until when. Names no staff, no access data, and nothing that a seal withholds.

Each part says once what its rows hold: the file and the page are two ways to write the same.
"""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from django.contrib.staticfiles import finders
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import BooleanField, Case, Q, Value, When
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from consent.models import ALLOWS, Acknowledgement, AdvertisingContacts, Approach, ConsentEvent, ConsentState, Purpose
from customers.models import (
    Anomaly,
    Attachment,
    Contact,
    Correction,
    Customer,
    EmailChange,
    EmailHold,
    Erasure,
    Evidence,
    InformationRequest,
    Link,
    Notice,
    RetentionRule,
    Reveal,
    RightsRequest,
    Service,
    Session,
    SignUp,
    SupportRequest,
)
from disclosures.models import Disclosure, PermissionEvent
from mailings.models import Message

FORMAT = "privacy-office/my-data/1"  # docs/MY_DATA.md
Of, State = RetentionRule.Of, Message.State

# Why a field is held beside the purposes that use it.
WHY = {
    "full_name": gettext_lazy("to know whom our agreement is with"),
    "phone": gettext_lazy("to recognise you when you call, and to reach you when your e-mail address is in doubt"),
    "address": gettext_lazy("to write to you where a letter is needed, and for invoices"),
}
# What became of a mail, in a reader's words.
BECAME = {
    State.QUEUED: gettext_lazy("waits to be sent"),
    State.CLAIMED: gettext_lazy("waits to be sent"),
    State.SENT: gettext_lazy("sent"),
    State.BLOCKED: gettext_lazy("not sent: it was not allowed"),
    State.FAILED: gettext_lazy("did not arrive"),
    State.UNKNOWN: gettext_lazy("perhaps sent"),
}
# What customers call the roles of staff who may open a value.
ROLES = {"clerk": gettext_lazy("customer service"), "officer": gettext_lazy("data protection officer")}
LEFT = (State.SENT, State.UNKNOWN)  # what a mailbox may hold
SOLD = ("product", "plan", "started_on", "expires_on")  # what a service is beside its access data


# Until when: the rules of retention, in words


def rules():
    """Return {class of data: days} of the rules in force."""
    return dict(RetentionRule.objects.active().values_list("of", "days"))


def kept_until(customer, days):
    """Say until when the fields of a customer and what belongs to their services are kept; `days` is what `rules` returned."""
    unconfirmed = (customer.association, customer.email_state) == (Customer.Association.PROSPECT, Customer.EmailState.UNVERIFIED)
    if unconfirmed and Of.UNCONFIRMED in days:
        return _("for %(time)s, unless you confirm your address") % {"time": span(days[Of.UNCONFIRMED])}
    if Of.ENDED not in days:
        return _("as long as you are our customer, and after that as long as the law obliges us")
    if customer.association_ended_on:
        return day_in_words(customer.association_ended_on + timedelta(days=days[Of.ENDED]))
    return _("as long as you are our customer, and %(time)s after that") % {"time": span(days[Of.ENDED])}


def after(days):
    """Say for how long; where no rule says so, what it is kept with decides."""
    return _("for %(time)s") % {"time": span(days)} if days else _("as long as your data")


def span(days):
    """Return a number of days in the words that one would use."""
    years = days // 365
    if years and not days % 365:
        return ngettext("%(n)s year", "%(n)s years", years) % {"n": years}
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


def day_in_words(day):
    return date_format(day, _("j F Y"))


# The customer's own fields


class Held(NamedTuple):
    """One thing that is held: what, its value, why and until when."""

    name: str
    label: str
    value: str
    why: list
    until: str


def held(customer, days):
    """Return a Held for each personal field: with every purpose that uses it, those that rest on consent only where it is given."""
    allowed = set(customer.consent_states.filter(state__in=ALLOWS).values_list("purpose_id", flat=True))
    used = [purpose for purpose in Purpose.objects.all() if not purpose.needs_consent or purpose.pk in allowed]
    until, found = kept_until(customer, days), []
    for name in Customer.PERSONAL:
        why = [str(WHY[name])] if name in WHY else []
        why += [f"{purpose.title} ({purpose.clause})" for purpose in used if name in purpose.fields]
        found.append(Held(name, capfirst(Customer._meta.get_field(name).verbose_name), getattr(customer, name), why, until))
    return found


def earlier_values(customer):
    """Return each value that a later one replaced, oldest first: field, value, until when it held."""
    return [
        {"field": name, "value": getattr(old, name), "until": new.history_date}
        for old, new in pairwise(customer.history.order_by("history_id"))
        for name in Customer.PERSONAL
        if getattr(old, name) and getattr(old, name) != getattr(new, name)
    ]


# All the rest, row by row


class Column(NamedTuple):
    """One value of a row: its key in the file, its label on the page, how it is read, and what its codes are called."""

    key: str
    label: str
    read: Callable
    words: Any = None


def columns(model, *names):
    """Return columns that are fields of a model, called as the model calls them."""
    found = []
    for name in names:
        field = model._meta.get_field(name)
        found.append(Column(name, field.verbose_name, attrgetter(name), dict(getattr(field, "base_field", field).flatchoices)))
    return found


def theirs(name):
    """Return how a customer's rows are found by the name of a relation, oldest first."""
    return lambda customer: getattr(customer, name).order_by("pk")


class Part(NamedTuple):
    """One kind of rows: its key in the file, its title on the page, how the rows are found, and what is told of each."""

    key: str
    title: str
    rows: Callable
    columns: list


def services(customer):
    """Return the services; of their access data only whether there is any, never decrypted."""
    kept = When(Q(access_username__isnull=False) | Q(access_secret__isnull=False), then=Value(True))
    rows = customer.services.defer("access_username", "access_secret")
    return rows.annotate(access_data_kept=Case(kept, default=Value(False), output_field=BooleanField()))


def earlier_services(customer):
    """Return what each service was before a later change, and until when; of access data nothing is read."""
    rows, found = Service.history.filter(customer=customer).defer("access_username", "access_secret").order_by("id", "history_id"), []
    for old, new in pairwise(rows):
        if old.id == new.id and any(getattr(old, name) != getattr(new, name) for name in SOLD):
            old.until = new.history_date
            found.append(old)
    return found


def disclosures(customer):
    return Disclosure.objects.shown_to(customer).select_related("third_party")


def permissions(customer):
    return PermissionEvent.objects.filter(customer=customer).select_related("offer__third_party").order_by("pk")


def mails(customer):
    """Return the mails that were made for the customer, newest first; of what they said, the subject alone is kept."""
    return customer.messages.select_related("purpose", "campaign", "notice").defer("notice__address", "notice__values")


def contacts(customer):
    return AdvertisingContacts.objects.filter(customer=customer).order_by("channel")


def views(customer):
    return Reveal.objects.told(customer)


def subject(message):
    """Return what a mail was about."""
    if message.campaign:
        return message.campaign.text.subject
    return str(capfirst(message.notice.get_kind_display()) if message.notice else message.purpose.title)


def noted_until(message):
    """Return the day until which it is noted that a mail was sent."""
    return timezone.localdate(message.created_at + timedelta(days=message.purpose.retention_days))


def file_name(attachment):
    return attachment.file_name if attachment.digest else ""


FROM_PURPOSE = Column("purpose", gettext_lazy("purpose"), attrgetter("purpose.title"))
TO_WHOM = Column("to", gettext_lazy("third party"), attrgetter("third_party.name"))
VERSION = Column("policy_version", gettext_lazy("policy version"), lambda row: row.policy_version and row.policy_version.number)
FIELDS = dict(Disclosure._meta.get_field("fields").base_field.flatchoices)

PARTS = [
    Part(
        "services",
        gettext_lazy("Your services"),
        services,
        [
            *columns(Service, *SOLD),
            Column("access_data_kept", gettext_lazy("access data kept"), attrgetter("access_data_kept")),
        ],
    ),
    Part(
        "earlier_services",
        gettext_lazy("What your services were before"),
        earlier_services,
        [*columns(Service, *SOLD), Column("until", gettext_lazy("until"), attrgetter("until"))],
    ),
    Part(
        "consents",
        gettext_lazy("What you agreed to, and what not"),
        lambda customer: customer.consent_states.select_related("purpose", "policy_version").order_by("purpose_id", "channel"),
        [FROM_PURPOSE, *columns(ConsentState, "channel", "state", "at"), VERSION],
    ),
    Part(
        "consent_history",
        gettext_lazy("What you said, and when"),
        lambda customer: customer.consent_events.select_related("purpose", "policy_version").order_by("at", "pk"),
        [FROM_PURPOSE, *columns(ConsentEvent, "channel", "event", "at", "source"), VERSION],
    ),
    Part(
        "acknowledgements",
        gettext_lazy("Policy versions that you took note of"),
        lambda customer: customer.acknowledgements.select_related("policy_version").order_by("at"),
        [VERSION, *columns(Acknowledgement, "at", "source")],
    ),
    Part(
        "requests",
        gettext_lazy("My requests"),
        theirs("rights_requests"),
        columns(
            RightsRequest, "kind", "state", "source", "received_at", "words", "reply_by", "done_by", "identity_how",
            "extended_by", "extension_reason", "closed_at", "ground", "refusal_reason", "outcome",
        ),
    ),
    Part(
        "corrections",
        gettext_lazy("Corrections"),
        theirs("corrections"),
        columns(Correction, "field", "against", "proposed", "state", "proposed_at", "due_on", "question", "decided_at", "reason"),
    ),
    Part(
        "questions",
        gettext_lazy("What we asked you"),
        theirs("information_requests"),
        columns(InformationRequest, "wanted", "other", "ticket", "asked_at", "expires_at", "answer", "answered_at", "withdrawn_at"),
    ),
    Part(
        "mails_from_you",
        gettext_lazy("Mails from you"),
        theirs("support_requests"),
        columns(SupportRequest, "received_at", "state", "mail", "answer", "closed_at"),
    ),
    Part(
        "email_changes",
        gettext_lazy("Changes of your e-mail address"),
        theirs("email_changes"),
        columns(EmailChange, "proposed", "former", "state", "asked_at", "confirmed_at", "approved_at", "applied_at", "objected_at"),
    ),
    Part(
        "disclosures",
        gettext_lazy("Who got my data"),
        disclosures,
        [TO_WHOM, *columns(Disclosure, "at", "fields", "period_from", "period_until", "ground", "clause")],
    ),
    Part(
        "permissions",
        gettext_lazy("What third parties were allowed"),
        permissions,
        [
            Column("to", gettext_lazy("third party"), attrgetter("offer.third_party.name")),
            Column("purpose", gettext_lazy("purpose"), attrgetter("offer.purpose")),
            Column("fields", gettext_lazy("fields"), attrgetter("offer.fields"), FIELDS),
            *columns(PermissionEvent, "event", "at", "source"),
        ],
    ),
    Part(
        "mails",
        gettext_lazy("Mails to you"),
        mails,
        [
            Column("subject", gettext_lazy("subject"), subject),
            FROM_PURPOSE,
            Column("state", gettext_lazy("what became of it"), attrgetter("state"), BECAME),
            *columns(Message, "created_at", "sent_at", "bounced_at"),
            Column("until", gettext_lazy("noted until"), noted_until),
        ],
    ),
    Part(
        "notices",
        gettext_lazy("What you had to be told"),
        theirs("notices"),
        columns(Notice, "kind", "at", "address"),
    ),
    Part(
        "contacts_by_sms_and_phone",
        gettext_lazy("Contacts by SMS and phone"),
        lambda customer: customer.approaches.exclude(made_at=None).select_related("purpose").order_by("pk"),
        [FROM_PURPOSE, *columns(Approach, "channel", "made_at", "clause")],
    ),
    Part(
        "advertised_at",
        gettext_lazy("When you last got advertising"),
        contacts,
        columns(AdvertisingContacts, "channel", "times"),
    ),
    Part(
        "views",
        gettext_lazy("Who saw what"),
        views,
        [
            Column("field", gettext_lazy("field"), attrgetter("field")),
            Column("reason", gettext_lazy("reason"), attrgetter("reason")),
            Column("at", gettext_lazy("at"), attrgetter("at")),
            Column("roles", gettext_lazy("roles"), attrgetter("roles"), ROLES),
        ],
    ),
    Part(
        "holds",
        gettext_lazy("Suspensions of your e-mail address"),
        theirs("holds"),
        columns(EmailHold, "placed_at", "reason", "released_at"),
    ),
    Part(
        "signs_of_misuse",
        gettext_lazy("Signs that somebody else might use your address, or that it does not work"),
        theirs("anomalies"),
        columns(Anomaly, "kind", "at"),
    ),
    Part("conversations", gettext_lazy("Conversations with you"), theirs("contacts"), columns(Contact, "at", "channel", "note")),
    Part("evidence", gettext_lazy("Where it can be shown what you said"), theirs("evidence"), columns(Evidence, "added_at", "text")),
    Part(
        "attachments",
        gettext_lazy("Files that you or we added"),
        lambda customer: customer.attachments.defer("content").order_by("pk"),
        [Column("file", gettext_lazy("file"), file_name), *columns(Attachment, "kind", "size", "added_at")],
    ),
    Part("erasures", gettext_lazy("Erasures of your data"), theirs("erasures"), columns(Erasure, "step", "asked_at")),
    Part("sessions", gettext_lazy("Where you were signed in"), theirs("sessions"), columns(Session, "began_at", "seen_at", "ended_at")),
    Part(
        "sign_ups",
        gettext_lazy("What was asked for on our site in your name"),
        theirs("signups"),
        columns(SignUp, "received_at", "purposes", "policy_number", "confirmed_at"),
    ),
    Part("links", gettext_lazy("Links that were sent to you"), theirs("links"), columns(Link, "use", "issued_at", "expires_at", "used_at")),
]  # fmt: skip
# What is tied to a customer and told nowhere, with the reason.
UNTOLD = {
    "customers.legalhold": "a duty to keep may come of an inquiry that is sealed; each page says that there may be one",
    "disclosures.recipienttask": "work that follows a handing-over, which may be sealed; the register tells of what was handed over",
}


class Copy(NamedTuple):
    """All that is held about a customer at one moment."""

    customer: Customer
    at: datetime
    held: list
    earlier: list
    rows: dict


def gather(customer):
    """Put together all that is held: as many queries for many rows as for one."""
    return Copy(
        customer, timezone.now(), held(customer, rules()), earlier_values(customer), {part.key: list(part.rows(customer)) for part in PARTS}
    )


def as_data(copy):
    """Return it as plain values, under the keys of docs/MY_DATA.md."""
    customer = copy.customer
    return {
        "format": FORMAT,
        "made_at": copy.at,
        "customer": {
            **{name: getattr(customer, name) for name in ("ref", *Customer.PERSONAL, "email_state", "association")},
            "language": customer.locale,
            "association_ended_on": customer.association_ended_on,
            "restricted_since": customer.restricted_at,
            "password_set": bool(customer.password),
        },
        "held": [row._asdict() for row in copy.held],
        "earlier_values": copy.earlier,
        **{part.key: [{column.key: column.read(row) for column in part.columns} for row in copy.rows[part.key]] for part in PARTS},
    }


def as_parts(copy):
    """Return it as a page shows it: (title, rows) with (label, words) for each value that there is."""
    labels = {name: Customer._meta.get_field(name).verbose_name for name in Customer.PERSONAL}
    earlier = [[(labels[row["field"]], row["value"]), (_("until"), in_words(row["until"]))] for row in copy.earlier]
    parts = [(part.title, [shown(row, part.columns) for row in copy.rows[part.key]]) for part in PARTS]
    return [(_("Earlier values"), earlier), *parts]


def shown(row, columns):
    values = [(column, column.read(row)) for column in columns]
    return [(column.label, in_words(value, column.words)) for column, value in values if value not in (None, "", [], 0)]


def in_words(value, words=None):
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value), _("H:i, j F Y"))
    if isinstance(value, date):
        return day_in_words(value)
    if isinstance(value, list):
        return ", ".join(in_words(each, words) for each in value)
    return str((words or {}).get(value, value))


def archive(copy):
    """Return the bytes of a ZIP: all of it for programs, all of it as a page that stands alone, and the files as they were added."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as files:
        files.writestr("my-data.json", json.dumps(as_data(copy), cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))
        style = Path(finders.find("office.css")).read_text("utf-8")
        files.writestr("my-data.html", render_to_string("customers/copy_file.html", {**page(copy), "style": style}))
        for attachment in copy.customer.attachments.filter(content__isnull=False).order_by("pk").iterator(chunk_size=1):
            files.writestr(f"files/{attachment.file_name}", attachment.read())
    return buffer.getvalue()


def page(copy):
    return {"copy": copy, "parts": as_parts(copy)}


# The overview


class More(NamedTuple):
    """Something else that is kept: what, how many, until when, and the page that shows it where there is one."""

    what: str
    count: int
    until: str
    page: str = ""


def more(customer, days):
    """Return a More for each kind of record beside the customer's own fields and services."""
    proof, in_copy = _("as long as it has to be proved"), _("as long as your data")
    return [
        More(_("What you agreed to, and what not"), customer.consent_states.count(), proof, "consent:my_preferences"),
        More(_("My requests"), customer.rights_requests.count(), after(days.get(Of.REQUEST_WORDS)), "customers:requests"),
        More(_("Corrections"), customer.corrections.count(), in_copy, "customers:corrections"),
        More(_("What we asked you"), customer.information_requests.count(), after(days.get(Of.ANSWERS))),
        More(_("Mails from you"), customer.support_requests.count(), after(days.get(Of.SUPPORT_MAILS))),
        More(_("Who got my data"), disclosures(customer).count(), proof, "disclosures:mine"),
        More(_("Mails to you"), customer.messages.filter(state__in=LEFT).count(), _("each as its purpose says"), "customers:mails"),
        More(_("Who saw what"), len(views(customer)), in_copy, "customers:views"),
        More(_("Where you were signed in"), customer.sessions.count(), after(days.get(Of.SESSIONS)), "customers:access"),
        More(_("Changes of your e-mail address"), customer.email_changes.count(), in_copy, "customers:email"),
        More(_("Conversations with you"), customer.contacts.count(), after(days.get(Of.CONTACT_NOTES))),
        More(_("Where it can be shown what you said"), customer.evidence.count(), proof),
        More(_("Files that you or we added"), customer.attachments.count(), after(days.get(Of.ATTACHMENTS))),
        More(_("Signs that somebody else might use your address, or that it does not work"), customer.anomalies.count(), in_copy),
    ]
