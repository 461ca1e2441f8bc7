"""Records and receipts: what ISO/IEC TS 27560 asks for is there, it says what was said, and it names nobody."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from django.conf import settings

from consent import receipts
from consent.models import Channel, ConsentEvent, Event, Purpose, Source
from customers.erasure import erase
from tests.make import consent, make_customer, make_policy, make_staff, state_of, withdraw

SCHEMA = json.loads((Path(__file__).resolve().parent.parent / "docs" / "consent_receipt.schema.json").read_text())
START = datetime(2026, 11, 1, 9, tzinfo=UTC)
# What a record holds by the standard, and where it stands here.
HEADER = ["schema_version", "record_id", "pii_principal_id"]
PROCESSING = [
    "privacy_notice", "language", "purposes", "lawful_basis", "pii_information", "pii_controllers", "storage_locations",
    "retention_period", "jurisdiction", "recipient_third_parties", "withdrawal_method", "privacy_rights",
]  # fmt: skip
EVENT = ["event_time", "validity_duration", "entity_id", "event_type", "event_state"]


def valid(document):
    """Return a document as JSON gives it back, after the schema found nothing wrong with it."""
    document = json.loads(json.dumps(document))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(document)
    return document


def record_of(customer, purpose="promotions", channel="email"):
    return valid(receipts.record(customer, Purpose.objects.get(code=purpose), Channel(channel)))


def test_the_schema_asks_for_every_field_of_the_standard():
    parts = SCHEMA["$defs"]
    for part, names in {"record": [*HEADER, "processing", "party", "events"], "processing": PROCESSING, "event": EVENT}.items():
        assert set(names) <= set(parts[part]["required"]), part
    assert {"receipt_id", "record_id", "made_at", "processing", "party", "event"} <= set(parts["receipt"]["required"])
    assert parts["event"]["properties"]["event_type"]["enum"] == ["implicit", "expressed", "explicit"]
    assert set(parts["event"]["properties"]["event_state"]["enum"]) == set(Event.values)
    assert all(part.get("additionalProperties") is False for part in parts.values() if part.get("type") == "object")


@pytest.mark.django_db
def test_a_record_tells_the_whole_history_with_the_text_shown_each_time():
    first, ann = make_policy(1), make_customer("ann")
    consent(ann, at=START)
    withdraw(ann, at=START + timedelta(days=1), source=Source.ONE_CLICK)
    second = make_policy(2)
    clerk = make_staff("clerk")
    said = {(Purpose.objects.get(code="promotions"), Channel.EMAIL): True}
    ConsentEvent.objects.say(
        ann, said, by=clerk, source=Source.PHONE_CALL, policy=second, language="en", evidence="call 7", at=START + timedelta(days=2)
    )
    record = record_of(ann)
    assert [(e["event_state"], e["event_type"], e["source"], e["entity_id"]) for e in record["events"]] == [
        ("given", "explicit", "preference_page", f"customer:{ann.public_id}"),
        ("withdrawn", "expressed", "one_click", f"customer:{ann.public_id}"),
        ("given", "expressed", "phone_call", f"staff:{clerk.pk}"),
    ]
    assert [e["text_shown"] for e in record["events"]] == [
        {"version": 1, "language": "vi", "digest": first.shown_digest("vi")}, None,
        {"version": 2, "language": "en", "digest": second.shown_digest("en")},
    ]  # fmt: skip
    assert record["processing"]["privacy_notice"]["version"] == 2
    assert record["processing"]["language"] == "en"
    assert [e["validity_duration"] is None for e in record["events"]] == [False, True, False]


@pytest.mark.django_db
def test_nothing_said_is_a_record_too():
    record = record_of(make_customer("chi"))
    assert (record["events"], record["processing"]["privacy_notice"]) == ([], None)


@pytest.mark.django_db
@pytest.mark.parametrize("purpose", ["service_renewal", "product_news", "promotions", "other_information", "surveys"])
def test_a_record_says_what_for_by_what_and_until_when(purpose):
    make_policy()
    ann = make_customer("ann")
    consent(ann, purpose)
    processing = record_of(ann, purpose)["processing"]
    assert processing["lawful_basis"] == "consent"
    assert {each["attribute"] for each in processing["pii_information"]} == {"full_name", "email"}
    assert all(processing["purposes"][0]["meaning"].values()) and all(processing["frequency"]["words"].values())
    assert processing["retention_period"]["messages"] == "P730D"


@pytest.mark.django_db
def test_a_receipt_has_a_number_of_its_own_leads_to_its_record_and_stays_as_it_was():
    make_policy()
    ann, binh = make_customer("ann"), make_customer("binh")
    events = [consent(ann), consent(ann, "surveys"), consent(binh), withdraw(ann)]
    made = [valid(receipts.receipt(event)) for event in events]
    assert len({receipt["receipt_id"] for receipt in made}) == 4
    assert [receipt["record_id"] == made[0]["record_id"] for receipt in made] == [True, False, False, True]
    assert made[0]["record_id"] == record_of(ann)["record_id"]
    assert [e["receipt_id"] for e in record_of(ann)["events"]] == [made[0]["receipt_id"], made[3]["receipt_id"]]
    event = ConsentEvent.objects.get(pk=events[0].pk)
    assert datetime.fromisoformat(made[0]["made_at"]) == event.recorded_at
    before = receipts.receipt(event)
    purpose = Purpose.objects.get(code="promotions")
    purpose.title_en = "Something else"
    purpose._change_reason = "test"
    purpose.save()
    make_policy(2, severity="major", changes=["promotions"])
    assert receipts.receipt(ConsentEvent.objects.get(pk=event.pk)) == before


@pytest.mark.django_db
def test_a_receipt_is_found_by_its_number_for_its_own_customer_alone():
    ann, binh = make_customer("ann"), make_customer("binh")
    said = withdraw(ann)
    number = receipts.receipt_id(said)
    assert receipts.find(ann, number) == said
    assert receipts.find(binh, number) is None


@pytest.mark.django_db
def test_neither_names_anybody_and_both_outlive_an_erasure():
    make_policy()
    ann = make_customer("REF-ANN")
    said = consent(ann)
    state_of(ann).withdraw(by=make_staff("clerk"), source=Source.PHONE_CALL, evidence="said by Tuyết on the phone")
    for _ in range(2):
        told = json.dumps([record_of(ann), valid(receipts.receipt(said))], ensure_ascii=False)
        for company in settings.COMPANY.values():
            told = told.replace(company, "")
        assert not re.search(r"REF-ANN|ref-ann|Nguyễn|Tuyết|\+84|Phố", told)
        if ann.erased_at is None:
            erase(ann, by=make_staff("officer"), reason="asked")
            ann.refresh_from_db()
