"""The preference page, and every way to refuse: at once, confirmed once, and to be looked up by the customer with its receipt."""

import json
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from audit.models import Entry
from consent import gate, preferences, receipts, rights
from consent.models import Channel, ConsentEvent, ConsentState, Event, Purpose, Source, Suppression
from customers import retention
from customers.erasure import erase
from customers.models import Attachment, Customer, Notice, Session
from mailings import letters
from mailings.models import Message
from tests import scans
from tests.make import consent, current_policy, make_campaign, make_customer, make_hold, make_policy, make_staff, prove, state_of, withdraw
from tests.post import sent, text
from tests.test_receipts import valid
from tests.walk import page

pytestmark = pytest.mark.django_db
RESTS_ON_CONSENT = ["service_renewal", "product_news", "promotions", "other_information", "surveys"]


@pytest.fixture
def ann():
    make_policy()
    return make_customer("ANN", locale="en")


@pytest.fixture
def mine(client, ann):
    """The page of ann's token, without cookies, and as strict about forms as a browser's."""
    client.handler.enforce_csrf_checks = True
    return f"/preferences/{preferences.token_of(ann)}/"


def ticked(answer):
    return {box.name for _purpose, boxes in answer.context["groups"] for box in boxes if box.ticked}


def save(client, address, *names, shown=(), policy=1, **more):
    return client.post(address, {"ticked": names, "shown": shown, "policy": policy, "do": "save", **more})


def allowed(customer, purpose="promotions", channel="email", at=None):
    return gate.decide([customer.pk], purpose, channel, at)[customer.pk].allowed


def test_nothing_is_ticked_for_who_said_nothing(client, mine):
    answer = client.get(mine)
    assert ticked(answer) == set()
    assert " checked" not in answer.text
    names = [box.name for _purpose, boxes in answer.context["groups"] for box in boxes]
    assert len(names) == len(set(names)) == 4 * 3 + 1
    assert {name.partition(":")[0] for name in names} == set(RESTS_ON_CONSENT)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_each_purpose_says_what_it_means_and_how_often_in_both_languages(client, mine, language):
    answer = client.get(mine, {"language": language})
    for purpose in Purpose.objects.filter(legal_basis="consent"):
        for words in ("title", "meaning", "frequency"):
            said = getattr(purpose, f"{words}_{language}")
            assert said and said in answer.text
    assert f'<html lang="{language}">' in answer.text
    assert "script" not in answer.text


def test_looking_changes_nothing_and_tells_nobody_where_it_was(client, ann, mine):
    consent(ann)
    before = ConsentEvent.objects.count(), Entry.objects.count(), Notice.objects.count()
    for _ in range(2):
        answer = client.get(mine)
        assert client.head(mine).status_code == 200
    assert (ConsentEvent.objects.count(), Entry.objects.count(), Notice.objects.count()) == before
    assert (answer["Referrer-Policy"], answer.cookies) == ("no-referrer", {})
    assert "no-store" in answer["Cache-Control"]
    for value in (ann.full_name, ann.email, ann.phone, ann.ref):
        assert value not in answer.text


def test_a_tick_is_a_consent_on_the_text_that_was_shown(client, ann, mine):
    answer = save(client, mine, "promotions:email")
    event = ConsentEvent.objects.get()
    policy = current_policy()
    assert (event.event, event.source, event.by) == ("given", "preference_page", f"customer:{ann.public_id}")
    assert (event.policy_version, event.shown_digest) == (policy, policy.shown_digest("en"))
    assert allowed(ann)
    assert ticked(answer) == {"promotions:email"}
    save(client, f"{mine}?language=vi", "promotions:email", "surveys:email", shown=["promotions:email"])
    assert ConsentEvent.objects.get(purpose__code="surveys").shown_digest == policy.shown_digest("vi")
    assert not Notice.objects.exists()


def test_each_choice_stands_alone(client, ann, mine):
    save(client, mine, "promotions:email", "promotions:sms", "surveys:email")
    save(client, mine, "promotions:email", "surveys:email", shown=["promotions:email", "promotions:sms", "surveys:email"])
    assert {(s.purpose.code, s.channel, s.state) for s in ConsentState.objects.select_related("purpose")} == {
        ("promotions", "email", "given"), ("promotions", "sms", "withdrawn"), ("surveys", "email", "given"),
    }  # fmt: skip


def test_saving_what_stands_there_leaves_nothing_new(client, mine):
    save(client, mine, "promotions:email")
    for _ in range(2):
        answer = save(client, mine, "promotions:email", shown=["promotions:email"])
        save(client, mine, "promotions:email")  # the first page, sent once more
    assert ConsentEvent.objects.count() == 1
    assert not answer.context["outcome"].given


def test_a_page_that_lay_open_brings_no_withdrawn_consent_back(client, ann, mine):
    save(client, mine, "promotions:email")
    withdraw(ann, source=Source.ONE_CLICK)
    answer = save(client, mine, "promotions:email", "surveys:email", shown=["promotions:email"])
    assert not allowed(ann)
    assert ticked(answer) == {"surveys:email"}


@pytest.mark.parametrize("policy", ["", "2", "x", 0])
def test_a_yes_needs_the_newest_published_version_before_ones_eyes(client, ann, mine, policy):
    answer = save(client, mine, "promotions:email", policy=policy)
    assert answer.context["outcome"].unread
    assert not ConsentEvent.objects.exists()


def test_without_a_published_policy_one_refuses_and_does_not_agree(client):
    chi = make_customer("chi")
    address = f"/preferences/{preferences.token_of(chi)}/"
    assert save(client, address, "promotions:email", policy="").context["outcome"].unread
    client.post(address, {"do": "refuse_all"})
    assert set(ConsentState.objects.values_list("state", flat=True)) == {"refused"}
    with pytest.raises(ValidationError):
        state_of(chi).give(by=chi, source=Source.PREFERENCE_PAGE, policy=make_policy(published=False))


def test_after_a_major_version_the_box_is_empty_until_it_is_ticked_anew(client, ann, mine):
    save(client, mine, "promotions:email", "surveys:email")
    make_policy(2, severity="major", changes=["promotions"])
    answer = client.get(mine)
    assert ticked(answer) == {"surveys:email"}
    assert not allowed(ann) and allowed(ann, "surveys") and allowed(ann, "service_support")
    save(client, mine, "surveys:email", shown=["surveys:email"], policy=2)
    assert state_of(ann).state == "given", "who saves without ticking says nothing about it"
    save(client, mine, "promotions:email", "surveys:email", shown=["surveys:email"], policy=2)
    assert allowed(ann)
    assert state_of(ann).state == "renewed"


def test_everything_is_refused_in_one_click_by_every_channel(client, ann, mine):
    save(client, mine, "promotions:email", "promotions:phone", "service_renewal:sms")
    for _ in range(2):
        answer = client.post(mine, {"do": "refuse_all"})
        assert answer.status_code == 200
        assert not ticked(answer)
    states = set(ConsentState.objects.values_list("purpose__code", "channel"))
    assert states == {(p.code, c) for p in Purpose.objects.filter(legal_basis="consent") for c in p.channels}
    assert set(ConsentState.objects.values_list("state", flat=True)) == {"refused", "withdrawn"}
    assert allowed(ann, "payment_confirmation")
    assert Notice.objects.filter(kind="refused").count() == 1


def test_on_hold_a_no_works_and_a_yes_waits(client, ann, mine):
    save(client, mine, "promotions:email")
    make_hold(ann)
    answer = save(client, mine, "surveys:email", shown=["promotions:email"])
    assert answer.context["outcome"].on_hold
    assert "+84" in answer.text
    assert state_of(ann).state == "withdrawn"
    assert state_of(ann, "surveys").state == "unknown"


@pytest.mark.parametrize("name", ["promotions:fax", "surveys:sms", "payment_confirmation:email", "x", "", "promotions:email:x"])
def test_what_is_no_choice_is_none(client, mine, name):
    save(client, mine, name, shown=[name, "gifts:email"])
    assert not ConsentEvent.objects.exists()


@pytest.mark.parametrize("spoil", ["x", "00.x", "%00", "a" * 3000, "{}x"])
def test_an_address_that_was_cut_or_forged_opens_nothing(client, ann, spoil):
    address = f"/preferences/{spoil.format(preferences.token_of(ann))}/"
    assert client.get(address).status_code == client.post(address, {"do": "refuse_all"}).status_code == 404
    assert not ConsentEvent.objects.exists()


def test_of_who_was_erased_there_is_no_page(client, ann, mine):
    erase(ann, by=make_staff("officer"), reason="asked")
    assert client.get(mine).status_code == 404


def test_another_channel_is_offered_where_there_is_a_number(client):
    make_policy()
    chi = make_customer("chi", phone=None)
    answer = client.get(f"/preferences/{preferences.token_of(chi)}/")
    assert {box.channel for _purpose, boxes in answer.context["groups"] for box in boxes} == {Channel.EMAIL}


def test_the_page_shows_what_was_said_and_its_receipts_to_their_owner_alone(client, ann, mine):
    binh = make_customer("binh")
    save(client, mine, "promotions:email")
    withdraw(binh)
    (event, url), *others = client.get(mine).context["history"]
    assert not others and event.customer == ann
    shown = client.get(url)
    assert "Policy version 1 (en)" in shown.text and current_policy().shown_digest("en") in shown.text
    told = valid(json.loads(client.get(url.rstrip("/") + ".json").text))
    assert told["receipt_id"] in shown.text and told["record_id"] in shown.text
    (record,) = json.loads(client.get(f"{mine}records.json").text)
    assert valid(record)["record_id"] == told["record_id"]
    theirs = receipts.receipt_id(ConsentEvent.objects.select_related("customer").get(customer=binh))
    assert client.get(f"{mine}receipts/{theirs}/").status_code == 404


def test_who_is_signed_in_has_the_same_page_and_no_form_from_elsewhere_works(client, ann):
    _session, client.cookies["my"] = Session.begin(ann, how="link", source={"address": "127.0.0.1", "port": "1"})
    assert save(client, "/my/preferences/", "promotions:email").context["outcome"].given
    (_event, url), *_ = client.get("/my/preferences/").context["history"]
    assert url.startswith("/my/preferences/receipts/")
    assert client.get(url).status_code == client.get(url.rstrip("/") + ".json").status_code == 200
    assert len(json.loads(client.get("/my/preferences/records.json").text)) == 1
    client.handler.enforce_csrf_checks = True
    assert client.post("/my/preferences/", {"do": "refuse_all"}).status_code == 403
    assert allowed(ann)


# Every way to refuse


def sign_in(client, customer):
    _session, client.cookies["my"] = Session.begin(customer, how="link", source={"address": "127.0.0.1", "port": "1"})


def by_one_click(client, customer):
    token = letters.signer.sign(str(Message.objects.exclude(campaign=None).get(customer=customer).public_id))
    client.post(f"/unsubscribe/{token}/", {"List-Unsubscribe": "One-Click"})


def by_the_page(client, customer):
    save(client, f"/preferences/{preferences.token_of(customer)}/", shown=["promotions:email"])


def by_refusing_all(client, customer):
    client.post(f"/preferences/{preferences.token_of(customer)}/", {"do": "refuse_all"})


def by_reply(client, customer):
    preferences.refuse_by_reply(customer, mail="mail 3", purpose=Purpose.objects.get(code="promotions"))


def by_a_mail_of_their_own(client, customer):
    preferences.refuse_by_reply(customer, mail="mail 4")


def by_a_request(client, customer, kind="objection"):
    sign_in(client, customer)
    assert client.post("/my/requests/", {"kind": kind}).status_code == 302


def by_a_request_to_withdraw(client, customer):
    by_a_request(client, customer, "withdrawal")


def by_a_request_on_the_phone(client, customer):
    rights.receive(customer, "objection", by=make_staff("clerk"), source="phone")


def by_staff(client, customer, source="phone_call"):
    client.force_login(make_staff("clerk"))
    prove(client)
    said = {"purposes": [Purpose.objects.get(code="promotions").pk], "channels": ["email"], "source": source, "evidence": "call 4"}
    assert client.post(page(Customer, "act", customer.pk, "refuse"), said).status_code == 302


def by_ticket(client, customer):
    by_staff(client, customer, "support_ticket")


def by_a_page_when_signed_in(client, customer):
    sign_in(client, customer)
    save(client, "/my/preferences/", shown=["promotions:email"])


WAYS = {
    "one_click": by_one_click, "preference_page": by_the_page, "everything": by_refusing_all, "reply": by_reply,
    "phone_call": by_staff, "support_ticket": by_ticket, "signed_in": by_a_page_when_signed_in,
    "own_mail": by_a_mail_of_their_own, "objection": by_a_request, "withdrawal": by_a_request_to_withdraw,
    "objection_on_the_phone": by_a_request_on_the_phone,
}  # fmt: skip
SOURCES = {
    **dict.fromkeys(["everything", "signed_in", "objection", "withdrawal"], "preference_page"),
    "own_mail": "reply",
    "objection_on_the_phone": "phone_call",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_withdrawal_holds_for_the_next_decision_is_confirmed_once_and_can_be_looked_up_with_its_receipt(client, ann, sink, way):
    consent(ann)
    make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    assert allowed(ann)
    for _ in range(3):
        WAYS[way](client, ann)
        assert not allowed(ann)
    event = ConsentEvent.objects.get(event="withdrawn")
    assert event.source == SOURCES.get(way, way)
    sent()
    confirmed = [mail for mail in sink.mails if "received your refusal" in text(mail)]
    assert len(confirmed) == 1, "one confirmation"
    requests = ann.rights_requests.count()
    assert len(sink.mails) == 1 + requests, "no advertising; each request is answered besides (Decree 356/2025/NĐ-CP Art. 5)"
    assert "Promotions (e-mail)" in text(confirmed[0]) and ann.full_name in text(confirmed[0])
    assert f"{timezone.localtime(event.at):%H:%M}" in text(confirmed[0])
    assert "List-Unsubscribe" not in confirmed[0].message and "[QC]" not in confirmed[0].message["Subject"]
    history = client.get(f"/preferences/{preferences.token_of(ann)}/").context["history"]
    url = next(url for said, url in history if said == event)
    assert valid(json.loads(client.get(url.rstrip("/") + ".json").text))["event"]["event_state"] == "withdrawn"


def test_a_confirmation_reaches_who_is_on_hold_restricted_or_bouncing(client, ann, sink):
    consent(ann)
    make_hold(ann)
    ann.restrict(by=None, reason="asked")
    ann.set_email_state(Customer.EmailState.BOUNCING, by=None, reason="bounced")
    by_reply(client, ann)
    sent()
    assert len(sink.mails) == 1


def test_no_confirmation_without_the_refusal_and_no_refusal_without_its_confirmation(ann):
    consent(ann)
    before = Notice.objects.count()
    withdraw(ann)
    withdraw(ann)
    assert Notice.objects.count() == before + 1
    consent(ann)
    withdraw(ann)
    assert Notice.objects.count() == before + 2


def test_an_imported_no_is_not_confirmed(ann):
    ConsentEvent.objects.record([
        ConsentEvent(customer=ann, purpose=Purpose.objects.get(code="promotions"), channel="email", event=Event.REFUSED,
                     at=timezone.now(), source=Source.IMPORT, by="system"),
    ], by=None)  # fmt: skip
    assert not Notice.objects.exists()


def test_staff_write_down_when_it_was_said_and_a_later_yes_of_the_customer_stays(client, ann):
    consent(ann, at=timezone.now() - timedelta(hours=1))
    said = timezone.localtime() - timedelta(hours=2)
    client.force_login(make_staff("clerk"))
    prove(client)
    form = {"purposes": [Purpose.objects.get(code="promotions").pk], "channels": ["email"], "source": "phone_call", "evidence": "call 4"}
    address = page(Customer, "act", ann.pk, "refuse")
    assert client.post(address, {**form, "at": f"{said:%Y-%m-%dT%H:%M}"}).status_code == 302
    event = ConsentEvent.objects.get(event="withdrawn")
    assert event.at == said.replace(second=0, microsecond=0)
    assert allowed(ann)
    future = timezone.localtime() + timedelta(hours=1)
    assert client.post(address, {**form, "at": f"{future:%Y-%m-%dT%H:%M}"}).status_code == 200
    assert client.post(address, {**form, "evidence": ""}).status_code == 200
    assert ConsentEvent.objects.count() == 2


def test_staff_write_down_a_consent_with_source_version_and_evidence(client, ann):
    officer = make_staff("officer")
    client.force_login(officer)
    prove(client)
    form = {
        "purposes": [Purpose.objects.get(code="surveys").pk], "channels": ["email", "sms"], "source": "paper",
        "policy": current_policy().pk, "at": f"{timezone.localtime() + timedelta(minutes=1):%Y-%m-%dT%H:%M}",
        "evidence": "form 12, shelf 3",
    }  # fmt: skip
    address = page(Customer, "act", ann.pk, "consent")
    assert client.post(address, form).status_code == 200, "it lies in the future"
    assert client.post(address, {**form, "at": "2026-01-01T09:00"}).status_code == 200, "the version was not there yet"
    assert client.post(address, {**form, "at": "", "source": "import"}).status_code == 200
    assert not ConsentEvent.objects.exists()
    assert client.post(address, {**form, "at": ""}).status_code == 302
    event = ConsentEvent.objects.get()
    assert event.evidence.attachment is None
    assert (event.event, event.channel, event.source, event.by) == ("given", "email", "paper", f"staff:{officer.pk}")
    assert (event.evidence.text, event.shown_digest) == ("form 12, shelf 3", current_policy().shown_digest("en"))


def test_a_consent_on_an_older_version_than_was_in_force_is_not_written_down(client, ann):
    old = current_policy()
    new = make_policy(2)
    client.force_login(make_staff("clerk"))
    prove(client)
    form = {"purposes": [Purpose.objects.get(code="promotions").pk], "channels": ["email"], "source": "phone_call", "evidence": "call 4"}
    address = page(Customer, "act", ann.pk, "consent")
    assert "newer version" in client.post(address, {**form, "policy": old.pk}, headers={"accept-language": "en"}).text
    assert not ConsentEvent.objects.exists()
    assert client.post(address, {**form, "policy": new.pk}).status_code == 302
    assert allowed(ann)


@pytest.mark.parametrize("act", ["consent", "refuse"])
def test_a_scan_of_what_was_signed_is_kept_encrypted_as_long_as_the_customers_data(client, ann, act):
    client.force_login(make_staff("clerk"))
    prove(client)
    form = {
        "purposes": [Purpose.objects.get(code="promotions").pk], "channels": ["email", "sms"], "source": "paper", "evidence": "form 12",
        **({"policy": current_policy().pk} if act == "consent" else {}),
    }  # fmt: skip
    address = page(Customer, "act", ann.pk, act)
    assert 'enctype="multipart/form-data"' in client.get(address).text
    for wrong in (b"<html>", scans.png() + b"PK\x05\x06" + bytes(18), b"%PDF-1.4 /JavaScript"):
        assert client.post(address, {**form, "file": SimpleUploadedFile("paper.png", wrong, "image/png")}).status_code == 200
    assert not ConsentEvent.objects.exists() and not Attachment.objects.exists()
    assert client.post(address, {**form, "file": SimpleUploadedFile("ann.png", scans.png(), "text/html")}).status_code == 302
    scan = Attachment.objects.get()
    assert {event.evidence.attachment for event in ConsentEvent.objects.all()} == {scan}
    assert scan.read() == scans.png() and scan.customer == ann
    retention.apply(at=timezone.now() + timedelta(days=400))
    scan.refresh_from_db()
    assert scan.read() == scans.png(), "proof of a consent is kept"
    erase(ann, by=make_staff("officer"), reason="asked")
    scan.refresh_from_db()
    assert (scan.content, scan.digest) == (None, None)


def test_the_letter_leads_to_the_page(ann, sink):
    consent(ann)
    make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    sent()
    (mail,) = sink.mails
    address = preferences.address(ann)
    assert address in text(mail) and address in mail.message.get_body(("html",)).get_content()


def test_a_no_outlives_erasure_and_another_import(ann):
    consent(ann)
    withdraw(ann)
    mail = ann.email
    erase(ann, by=make_staff("officer"), reason="asked")
    again = make_customer("AGAIN", email=mail)
    ConsentEvent.objects.record([
        ConsentEvent(customer=again, purpose=Purpose.objects.get(code="promotions"), channel="email", event=Event.GIVEN,
                     at=timezone.now() - timedelta(days=30), source=Source.IMPORT, policy_version=current_policy(), by="system"),
    ], by=None)  # fmt: skip
    assert gate.decide([again.pk], "promotions", "email")[again.pk].reason == "suppressed"
    assert Suppression.objects.filter(lifted_at=None).count() == 1
    consent(again)
    assert allowed(again), "a yes of their own, later, counts"
