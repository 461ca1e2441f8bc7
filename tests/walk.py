"""Every address of the office with rows behind it, who may go there, what may be posted there, and what it changed."""

import re
from datetime import date
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

from django.contrib import admin
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.urls import URLResolver, get_resolver, reverse

from audit import sealing, trail
from audit.models import Entry
from consent import outreach, preferences, receipts
from consent.models import Acknowledgement, ConsentEvent, PolicyVersion, Purpose
from customers import my, retention
from customers.erasure import erase
from customers.models import (
    AccessRequest,
    Attachment,
    Correction,
    Customer,
    EmailChange,
    Erasure,
    Holiday,
    LegalHold,
    Link,
    Notice,
    Reveal,
    RightsRequest,
    Session,
)
from disclosures import handover
from disclosures.models import DisclosureRequest, PermissionOffer, RecipientTask, ThirdParty
from mailings import incoming, letters, links
from mailings.models import Campaign, Message
from privacy_office.admin import OfficeAdmin
from privacy_office.fields import digest
from privacy_office.models import Staff
from privacy_office.roles import ROLES
from tests import scans
from tests.make import (
    ask_credential,
    ask_information,
    ask_reveal,
    consent,
    make_approved,
    make_breach,
    make_campaign,
    make_commitment,
    make_customer,
    make_data_request,
    make_email_change,
    make_factor,
    make_hold,
    make_offer,
    make_policy,
    make_request,
    make_seal,
    make_service,
    make_sign_up,
    make_staff,
    make_third_party,
    propose,
    prove,
    withdraw,
)

PLAIN = {
    "full_name": "Trần Thị Ánh Tuyết",
    "email": "anh.tuyet@example.org",
    "phone": "+84903123456",
    "address": "9 Ngõ Bí Mật, Huế",
}
CREDENTIALS = {"access_username": "tuyet-root", "access_secret": "hoa-mai-vang"}
SECRETS = (*PLAIN.values(), *CREDENTIALS.values(), "Tuyết", "born in Vinh", "tuyet.cu@example.org", "tuyet.moi@example.org", "+84903777777")
MODELS = [model for model in admin.site._registry if issubclass(type(admin.site._registry[model]), OfficeAdmin)]
LINKS = {}  # what opens one link of each use, once there is an office


# Who


def make_visitor(role):
    """Return who comes: None for anybody, a staff member with that role, or one without any."""
    if role == "anybody":
        return None
    if role == "customer":
        return Customer.objects.get(ref="REF-BINH")
    if role in ROLES:
        return make_staff(role)
    visitor, _ = Staff.objects.get_or_create(username="no-role", is_staff=True)
    make_factor(visitor)
    return visitor


VISITORS = ["anybody", "customer", "no role", *ROLES]


def sign_in(client, member):
    """Have a client be signed in as a staff member, who did so with all that it takes, or as a customer."""
    if isinstance(member, Customer):
        if my.COOKIE not in client.cookies or not Session.find(client.cookies[my.COOKIE].value):
            client.cookies[my.COOKIE] = Session.begin(member, how="test", source={})[1]
    elif client.session.get(HASH_SESSION_KEY) != member.get_session_auth_hash():
        client.force_login(member)
        prove(client)


def make_office():
    """Make one row of everything there is; return the customer whose values are `SECRETS`."""
    make_policy(1)
    ann = make_customer("REF-ANN", **PLAIN)
    service = make_service(ann, **CREDENTIALS)
    withdraw(ann, by=make_staff("clerk"), evidence="ticket 5: born in Vinh")
    consent(ann)
    ask_credential(service)
    ask_reveal(ann, by=make_staff("clerk", "other"))
    ask_reveal(Attachment.keep(ann, scans.png(), by=None), "content", by=make_staff("clerk", "other"))
    ann.correct(by=make_staff("clerk"), reason="ticket 1", full_name="Trần Thị Tuyết Ánh")
    binh = make_customer("REF-BINH")
    make_hold(binh, by=make_staff("clerk"), reason="odd requests").release(
        by=make_staff("officer"), channel="phone", note="born in Vinh, knows the plan"
    )
    make_hold(binh, by=make_staff("clerk"))
    chi = make_customer("REF-CHI")
    withdraw(chi)
    outreach.ask(ann, Purpose.objects.get(code="service_support"), "phone", by=make_staff("clerk"))
    make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    make_campaign(by=make_staff("marketer"))
    Notice.tell(ann, Notice.Kind.SIGN_IN, address="tuyet.cu@example.org")
    request = make_request(ann, "copy", words="born in Vinh")
    make_request(binh, "erasure", source="email")
    Holiday(day=date(2026, 6, 3), name="Storm").announce(by=make_staff("officer"))
    change = EmailChange.ask(ann, "tuyet.moi@example.org", by=ann)
    about = {Link.Use.SIGN_UP: make_sign_up(ann), Link.Use.IDENTITY: request}
    about |= dict.fromkeys([Link.Use.CONFIRM_ADDRESS, Link.Use.APPROVE_ADDRESS], change)
    propose(ann, value="+84903777777", scan=scans.png())
    propose(binh, "address", "7 Ngõ Bí Mật, Huế", by=make_staff("clerk", "other")).refuse(by=make_staff("officer"), reason="no proof")
    propose(binh, scan=scans.png())
    propose(binh, "full_name", "Bình An", by=make_staff("clerk", "other")).ask_for_more(by=make_staff("officer"), question="a paper")
    about[Link.Use.INFORMATION] = ask_information(ann)
    make_sign_up(ann, asked=False)
    incoming.take(b"From: anh.tuyet@example.org\r\nSubject: Hi\r\n\r\nborn in Vinh")
    LINKS.update((use, Link.issue(ann, use, about=about.get(use, ""))[1]) for use in Link.Use)
    LINKS[Link.Use.OBJECT] = Link.issue(chi, Link.Use.OBJECT, about=make_email_change(chi))[1]
    LINKS[Link.Use.DOWNLOAD] = Link.issue(chi, Link.Use.DOWNLOAD)[1]  # shows all of somebody who is none of `SECRETS`
    AccessRequest.ask(PLAIN["email"], digest("network", "127.0.0.1"))
    make_policy(2)
    make_policy(3, published=False)
    Acknowledgement.record(ann, PolicyVersion.objects.get(number=2), by=ann, source="customer_page")
    make_disclosures(ann, binh)
    erase(make_customer("REF-DUNG"), by=None, reason="request 3")
    LegalHold.place(ann, by=make_staff("clerk"), reason="case 12")
    Erasure.ask(binh, by=make_staff("clerk"), reason="request 4")
    retention.apply()
    sealing.seal()
    trail.verify_and_keep(by=None)
    return ann


def make_disclosures(ann, binh):
    """Make one row of all that leaves the house: a payment handed over and corrected since, an authority's request sealed and packed."""
    officer, processor, registrar = make_staff("officer"), make_third_party("payment_processor"), make_third_party("other")
    make_commitment(processor)
    payment = make_approved(ann, third_party=processor, ground="payment_service", document=None, fields=["full_name", "phone"])
    handover.fetch(handover.prepare(payment, by=officer)[1], by=officer)
    ann.correct(by=make_staff("clerk"), reason="ticket 2", phone=PLAIN["phone"].replace("456", "457"))
    ann.correct(by=make_staff("clerk"), reason="ticket 3", phone=PLAIN["phone"])
    RecipientTask.objects.find()
    make_offer(registrar).give(binh, by=binh, source="page")
    make_data_request(ann, urgent=True)
    packed = make_approved(ann)
    make_seal(packed)
    LINKS["package"] = handover.prepare(packed, by=officer)[1]
    make_breach()


# Where


def page(model, what="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


ENDS = re.compile("logout|sign-out|end-sessions")  # what ends a session
READABLE = [(r"<\w+:(\w+)>", r"<\1>"), (r"\(\?P<(\w+)>[^)]*\)", r"<\1>"), (r"\([^)]*\)", "<var>"), (r"[\^$]|\\Z", "")]


def routes(resolver=None, before=""):
    """Yield the route of every address in the urlconf, as /a/<parameter>/."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        else:
            for regex, plain in READABLE:
                route = re.sub(regex, plain, route)
            yield f"/{route}"


def rows(model):
    """Return the numbers of the oldest row of a model, and where rows differ of the newest."""
    numbers = model._default_manager.order_by("pk").values_list("pk", flat=True)
    differ = model in (Customer, Campaign, DisclosureRequest, Erasure, PolicyVersion, Reveal, RightsRequest)
    return {numbers.first(), numbers.last()} - {None} if differ else set(numbers[:1])


def values(route):
    """Return {parameter: values that mean something} for a route, without those that stand on a line of their own."""
    model = next((m for m in admin.site._registry if route.startswith(page(m))), None)
    found = {
        "object_id": rows(model) if model else {1},
        "content_type_id": {ContentType.objects.get_for_model(Customer).pk},
        "token": {letters.signer.sign(str(message.public_id)) for message in Message.objects.all()[:1]},
        "key": {"none"},
        "pk": rows(RightsRequest),
        "url": {"nowhere/"},
        "number": {1},
        "older": {1},
        "newer": {2},
        "package": {LINKS.get("package", "none")},
        "offer": rows(PermissionOffer),
        "field": {"address"},
    }
    if route.startswith("/my/corrections/"):
        found["number"] = set(Correction.objects.filter(state="asked").values_list("pk", flat=True))
    if route.startswith("/my/attachments/"):
        found["number"] = set(Attachment.objects.filter(customer__ref="REF-BINH").values_list("pk", flat=True))
    if route.startswith("/preferences/"):
        found["token"] = {preferences.token_of(Customer.objects.get(ref="REF-ANN"))}
    if route.startswith("/leave/"):
        found["token"] = {links.signer.sign_object(["https://elsewhere.example/", "vi"])}
    if "/receipts/" in route:
        found["number"] = {receipts.receipt_id(ConsentEvent.objects.filter(customer__ref="REF-ANN").select_related("customer").first())}
    if route.startswith("/link/"):
        found["token"] = {LINKS.get(Link.Use(route.split("/")[2].replace("-", "_")), "none")}
    if model and hasattr(model, "history"):
        found["version"] = {model.history.filter(id=number).first().pk for number in sorted(rows(model))[:1]}
    return found


def lines(route):
    """Yield a route once for each act and each app that it serves: roles differ by these."""
    model = next((m for m in admin.site._registry if route.startswith(page(m))), None)
    if "/do/<name>/" in route:
        yield from (route.replace("<name>", act.name) for act in admin.site._registry[model].acts)
    elif "<app_label>" in route:
        yield from (route.replace("<app_label>", label) for label in sorted({m._meta.app_label for m in admin.site._registry}))
    else:
        yield route.replace("<var>/history/<var>", "<object_id>/history/<version>")  # simple-history names neither


def walk():
    """Return {line of docs/ACCESS.md: its addresses, for the rows there are}; signing out comes last, as it ends the walk."""
    found = {}
    for route in routes():
        known = values(route)
        for line in lines(route):
            addresses = {line}
            for name in re.findall(r"<(\w+)>", line):
                assert name in known, f"tests/walk.py knows no value for <{name}> in {line}: add one to `values`"
                addresses = {address.replace(f"<{name}>", str(value)) for address in addresses for value in known[name]}
            found.setdefault(line, set()).update(addresses)
    return {line: sorted(found[line]) for line in sorted(found, key=lambda line: (bool(ENDS.search(line)), line))}


def urls():
    """Return every address of the admin but those that end the session, and some that are nobody's."""
    found = {"/admin/customers/customer/none/", "/admin/customers/customer/none/history/"}
    found |= {url for line, addresses in walk().items() if line.startswith("/admin/") for url in addresses}
    return sorted(url for url in found if "logout" not in url and "password_change" not in url)


class Links(HTMLParser):
    """The addresses that a page leads to."""

    def __init__(self, base, text):
        super().__init__()
        self.base, self.found = base, set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "action", "src") and value and not value.startswith(("mailto:", "data:", "http")):
                self.found.add(urldefrag(urljoin(self.base, value))[0])


# What


def payload():
    """Return what anybody may post anywhere: every field of every form, and what Django itself listens to; none of `SECRETS`."""
    customer, purpose = Customer.objects.first(), Purpose.objects.get(code="promotions")
    return {
        "email": "evil@example.org",
        "phone": "+84903999999",
        "address": "EVIL",
        "access_username": "EVIL",
        "access_secret": "EVIL",
        "ref": "EVIL",
        "full_name": "Evil",
        "association": "ended",
        "email_state": "verified",
        "locale": "en",
        "customer": customer.pk,
        "reason": "caller",
        "field": "access_secret",
        "case_kind": "ticket",
        "case_reference": "SUP-66",
        "code": "evil",
        "title_vi": "EVIL",
        "title_en": "EVIL",
        "meaning_vi": "EVIL",
        "meaning_en": "EVIL",
        "frequency_vi": "EVIL",
        "frequency_en": "EVIL",
        "register": "on",
        "policy": PolicyVersion.objects.published().first().pk,
        "policy_number": PolicyVersion.objects.published().first().number,
        "kind": "copy",
        "words": "EVIL",
        "channels": ["email", "sms"],
        "retention_days": 1,
        "cap": 99,
        "label": "EVIL",
        "source": "phone_call",
        "evidence": "a call",
        "channel": "phone",
        "ticked": "promotions:sms",
        "do": "save",
        "at": "2026-01-01T09:00",
        "off_register": "on",
        "number": 66,
        "severity": "minor",
        "changes": [purpose.pk],
        "text_vi": "EVIL",
        "text_en": "EVIL",
        "purpose": purpose.pk,
        "purposes": [purpose.pk],
        "subject": "EVIL",
        "body": "EVIL",
        "language": "en",
        "host": "evil.example",
        "starts_at_0": "2030-01-01",
        "starts_at_1": "09:00",
        "days_before": 66,
        "days": 66,
        "ground": "EVIL",
        "subject_vi": "EVIL",
        "body_vi": "EVIL",
        "subject_en": "EVIL",
        "body_en": "EVIL",
        "active": "on",
        "username": "evil",
        "is_staff": "on",
        "is_superuser": "on",
        "on": "2026-01-01",
        "note": "EVIL",
        "state": "sent",
        "status": "approved",
        "letter": Campaign.objects.first().version,
        "actor": "evil",
        "action": "delete_selected",
        "_selected_action": [customer.pk],
        "select_across": "1",
        "index": "0",
        "post": "yes",
        "value": "evil",
        "question": "EVIL",
        "ticket": "EVIL-66",
        "wanted": ["order"],
        "order": "EVIL",
        "_save": "1",
        "how": "call_back",
        "reference": "CALL-66",
        "third_party": ThirdParty.objects.first().pk,
        "name": "EVIL",
        "contact": "EVIL",
        "valid_from": "2026-01-01",
        "valid_until": "2030-01-01",
        "purpose_vi": "EVIL",
        "purpose_en": "EVIL",
        "fields": ["email"],
        "on_ground": "legal_obligation",
        "refs": customer.ref,
        "hours": 99,
        "outcome": "told",
        "since": "2026-01-01",
        "until": "2030-01-01",
        "request": DisclosureRequest.objects.last().pk,
        "say": "yes",
    }


PASSING = {"django_session", "django_migrations", "audit_unsealed"}  # the last one follows the entries


def tables():
    """Return a digest of every table's rows, but sessions and what lasts as long as a session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall() if name not in PASSING]
        union = " UNION ALL ".join(f"SELECT '{name}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t" for name in names)
        cursor.execute(union)
        return dict(cursor.fetchall())


def changed(before):
    after = tables()
    return {name for name in after if after[name] != before[name]}


def newest_entry():
    return Entry.objects.values_list("pk", flat=True).first() or 0


def entries_since(number):
    """Return the actions of the entries written after one."""
    return set(Entry.objects.filter(pk__gt=number).values_list("action", flat=True))
