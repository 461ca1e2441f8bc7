"""What customers see of what is held about them, and take along: all of it, their own alone, and nothing that a seal withholds."""

import json
from datetime import date, timedelta
from html import unescape
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from simple_history.models import HistoricalChanges

from audit.models import Entry
from consent import outreach
from consent.models import Acknowledgement, AdvertisingContacts, PolicyVersion, Purpose
from customers import downloads, my
from customers.erasure import erase, path_to_customer
from customers.models import Anomaly, Attachment, Customer, Erasure, Link, Notice, RetentionRule, Service, Session, SupportRequest
from customers.views import holdings
from disclosures import handover
from disclosures.models import Disclosure
from mailings.models import Message
from tests import scans
from tests.make import (
    ask_credential,
    ask_information,
    ask_reveal,
    consent,
    make_approved,
    make_campaign,
    make_customer,
    make_email_change,
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
    withdraw,
)
from tests.post import link, sent
from tests.walk import CREDENTIALS, ENDS, PLAIN, Links, make_office, tables, walk

pytestmark = pytest.mark.django_db
PAGES = ("/my/", "/my/mails/", "/my/views/", "/my/download/")


@pytest.fixture
def ann():
    return make_customer("ANN", **PLAIN)


def signed_in(customer):
    client = Client()
    client.cookies[my.COOKIE] = Session.begin(customer, how="test", source={})[1]
    return client


def download_address(customer, **how):
    return reverse("customers:link_download", args=[Link.issue(customer, Link.Use.DOWNLOAD, **how)[1]])


def take(customer, form="file"):
    """Return what a customer gets who presses a button of the link."""
    answer = Client().post(download_address(customer), {"as": form})
    assert answer.status_code == 200
    return answer


def unzipped(answer):
    """Return {name: bytes} of the archive."""
    with ZipFile(BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def taken(customer):
    return json.loads(unzipped(take(customer))["my-data.json"])


def launch(**letter):
    make_campaign(approved_by=make_staff("approver"), **letter).launch(by=make_staff("approver"))


def hand_over(customer, sealed):
    request = make_approved(customer, fields=["full_name", "phone"])
    if sealed:
        make_seal(request)
    handover.fetch(handover.prepare(request, by=make_staff("officer"))[1], by=make_staff("officer"))
    return request


def change(service, **fields):
    """Change a service as an import does."""
    for name, value in fields.items():
        setattr(service, name, value)
    Service.objects.amend([service], {service.pk: set(fields)}, by=None, source="import")


def make_much(customer, rows):
    """Make so many rows of everything that the office may hold of a customer."""
    clerk, officer, offer = make_staff("clerk"), make_staff("officer"), make_offer(make_third_party("other"))
    for channel in ("email", "sms", "phone"):
        consent(customer, channel=channel)
    for number in range(rows):
        change(make_service(customer), expires_on=date(2027, 12, 31))
        make_sign_up(customer)
        make_request(customer, "copy", words=str(number))
        withdraw(customer, channel="sms", evidence=f"phiếu {number}")
        consent(customer, channel="sms")
        Acknowledgement.record(customer, make_policy(PolicyVersion.objects.count() + 1), by=customer, source="customer_page")
        ask_reveal(customer)
        Attachment.keep(customer, scans.png(), by=None)
        hand_over(customer, sealed=number % 2)
        for verb in (offer.give, offer.withdraw):
            verb(customer, by=customer, source="page")
        propose(customer, value=f"+84909999{number:03}", by=clerk).refuse(by=officer, reason="no proof")
        ask_information(customer).give({"order": "HD-12"}, by=customer)
        SupportRequest.receive(customer, f"Hỏi\n\n{number}")
        customer.correct(by=clerk, reason="ticket 1", address=f"{number} Phố Mới")
        make_email_change(customer, f"{customer.ref.lower()}.{number}@example.org")
        support = Purpose.objects.get(code="service_support")
        outreach.make(outreach.ask(customer, support, "phone", by=clerk), by=clerk)
        Anomaly.note(customer, "failed_link")
        Session.begin(customer, how="test", source={}), Link.issue(customer, Link.Use.VERIFY)
        make_hold(customer).release(by=clerk, channel="phone", note=str(number))
        Erasure.ask(customer, by=clerk, reason="request 4").call_off(by=officer, reason="request 5")
        customer.refresh_from_db()
        launch()
    AdvertisingContacts.objects.create(customer=customer, channel="email", times=[timezone.now()] * rows)
    Message.objects.queue_notices()
    customer.messages.update(state=Message.State.SENT)


# All of it


def test_every_table_with_something_of_a_customer_is_told_or_named_with_the_reason_why_not():
    """A new table fails here until `PARTS` tells of it, or `UNTOLD` says why it does not."""
    own = [m for m in apps.get_models() if m._meta.managed and not issubclass(m, HistoricalChanges) and path_to_customer(m)]
    direct = {m._meta.label_lower for m in own if any(f.related_model is Customer for f in m._meta.concrete_fields)}
    customer = make_customer()
    told = {part.key: getattr(part.rows(customer), "model", None) for part in holdings.PARTS}
    labels = {model._meta.label_lower for model in told.values() if model} | {"customers.reveal"}  # told without the model's own rows
    assert direct == labels | set(holdings.UNTOLD)
    assert not labels & set(holdings.UNTOLD)


def test_the_copy_of_somebody_with_everything_has_a_row_of_everything(ann):
    make_much(ann, 1)
    data = holdings.as_data(holdings.gather(ann))
    assert [part.key for part in holdings.PARTS if not data[part.key]] == []
    with translation.override("en"):
        rows = dict(holdings.as_parts(holdings.gather(ann)))
    assert [title for title, found in rows.items() if not found] == []


def test_every_key_of_the_file_stands_in_its_description(ann):
    text = (holdings.Path(__file__).parent.parent / "docs" / "MY_DATA.md").read_text()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    data = holdings.as_data(holdings.gather(ann))
    assert list(rows) == list(data)
    for part in holdings.PARTS:
        assert not [c.key for c in part.columns if f"`{c.key}`" not in rows[part.key]], part.key
    assert not [key for key in data["customer"] if f"`{key}`" not in rows["customer"]]


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_overview_says_of_each_value_why_it_is_held_and_until_when(ann, language):
    client = signed_in(ann)
    client.post("/language/", {"language": language, "next": "/my/"})
    text = unescape(client.get("/my/").text)
    assert f'lang="{language}"' in text
    for value in PLAIN.values():
        assert value in text
    with translation.override(language):
        days = holdings.rules()
        rows = holdings.held(ann, days)
        assert all(row.why and row.until for row in rows)
        email = next(row for row in rows if row.name == "email")
        assert any("§2.1" in why for why in email.why) and not any("§2.4" in why for why in email.why), "promotions need a yes"
        assert all(why in text for why in email.why)
    consent(ann)
    with translation.override(language):
        assert any("§2.4" in why for why in holdings.held(ann, days)[1].why)


@pytest.mark.parametrize(
    ("changes", "active", "says"),
    [
        ({}, [], "as long as you are our customer, and after that as long as the law obliges us"),
        ({}, ["ended"], "as long as you are our customer, and 10 years after that"),
        ({"association": "ended", "association_ended_on": date(2026, 3, 2)}, ["ended"], "28 February 2036"),
        ({"association": "prospect", "email_state": "unverified"}, ["unconfirmed"], "for 90 days, unless you confirm your address"),
        ({"association": "prospect"}, ["unconfirmed"], "as long as you are our customer, and after that as long as the law obliges us"),
    ],
)
def test_until_when_something_is_kept_follows_the_rules_in_force(changes, active, says):
    customer = make_customer(**changes)
    for rule in RetentionRule.objects.filter(of__in=["ended", "unconfirmed"]):
        rule.active = rule.of in active
        rule.save()
    with translation.override("en"):
        assert holdings.kept_until(customer, holdings.rules()) == says


def test_services_show_their_end_and_of_their_access_data_only_that_it_is_kept(ann):
    make_service(ann, product="Tên miền", expires_on=date(2027, 5, 6), **CREDENTIALS)
    make_service(ann, product="Thư", access_username=None, access_secret=None)
    ask_credential(ann.services.last())
    text = signed_in(ann).get("/my/").text
    assert "06/05/2027" in text and text.count("mã hóa") == 1
    files = unzipped(take(ann))
    everything = text + "".join(data.decode() for data in files.values()) + take(ann, "page").text
    assert not [value for value in CREDENTIALS.values() if value in everything]
    assert [s["access_data_kept"] for s in json.loads(files["my-data.json"])["services"]].count(True) == 1


def test_what_a_correction_replaced_is_told_too(ann):
    ann.correct(by=make_staff("clerk"), reason="ticket 1", phone="+84903000111")
    assert [(row["field"], row["value"]) for row in taken(ann)["earlier_values"]] == [("phone", PLAIN["phone"])]


def test_what_a_service_was_before_it_changed_is_told_without_its_access_data(ann):
    one, other = make_service(ann, plan="VPS-1"), make_service(ann, plan="VPS-9")
    before = one.expires_on
    change(one, plan="VPS-2", expires_on=before + timedelta(days=365), access_secret="another")
    change(other, access_secret="another")
    (told,) = taken(ann)["earlier_services"]
    assert (told["plan"], told["expires_on"]) == ("VPS-1", before.isoformat()) and told.keys() == {*holdings.SOLD, "until"}


def test_restrictions_and_holds_are_said_plainly(ann):
    client = signed_in(ann)
    client.post("/language/", {"language": "en"})
    assert "suspended" not in client.get("/my/").text
    ann.restrict(by=make_staff("clerk"), reason="letter 8")
    make_hold(ann)
    text = client.get("/my/").text
    assert "suspended until we have spoken with you" in text and "At your request we only keep your data" in text


def test_mails_show_their_subject_purpose_and_date_and_those_that_were_kept_back_only_in_the_copy(ann, sink):
    consent(ann)
    launch(subject="Giảm giá mùa hè", body="Kính gửi {full_name}, mã bí mật XUAN26. {company}")
    sent()
    launch(subject="Giảm giá mùa thu")
    withdraw(ann)
    sent()
    text = signed_in(ann).get("/my/mails/").text
    assert "Giảm giá mùa hè" in text and "(§2.4)" in text and "mùa thu" not in text
    data = taken(ann)
    assert all("XUAN26" not in told for told in (text, json.dumps(data, ensure_ascii=False)))
    assert {m["subject"]: m["state"] for m in data["mails"]}["Giảm giá mùa hè"] == "sent"


def test_the_page_tells_who_saw_what_by_role_and_never_by_name(ann):
    clerk = make_staff("clerk", "le.thi.mai")
    ask_reveal(ann, by=clerk, case_reference="SUP-4711")
    ask_reveal(ann, "address", by=clerk, reason="authority")
    text = signed_in(ann).get("/my/views/").text
    told = json.dumps(taken(ann), ensure_ascii=False)
    assert "chăm sóc khách hàng" in text and text.count("<li>") == 1
    assert [(view["field"], view["roles"]) for view in taken(ann)["views"]] == [("điện thoại", ["clerk"])]
    assert not [word for word in ("le.thi.mai", "SUP-4711") if word in text or word in told]


def test_files_are_taken_along_as_they_were_added(ann):
    picture = scans.png()
    kept = Attachment.keep(ann, picture, by=None)
    files = unzipped(take(ann))
    assert files[f"files/{kept.file_name}"] == picture
    assert json.loads(files["my-data.json"])["attachments"][0]["file"] == kept.file_name


@pytest.mark.parametrize("form", ["file", "page"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_page_and_file_say_the_same_and_no_codes(ann, form, language):
    ann.correct(by=make_staff("clerk"), reason="letter", locale=language)
    make_request(ann, "copy", words="tất cả, <b>xin</b>")
    withdraw(ann, evidence="phiếu 12")
    answer = take(ann, form)
    text = answer.text if form == "page" else unzipped(answer)["my-data.html"].decode()
    assert f'lang="{language}"' in text and "tất cả, &lt;b&gt;xin&lt;/b&gt;" in text and "phiếu 12" in text
    assert "email_state" not in text and "support_ticket" not in text and "preference_page" not in text
    if form == "file":
        assert "<link" not in text and "<script" not in text and "<style>" in text, "it stands alone"


# Seals


@pytest.mark.parametrize("sealed", [True, False])
def test_a_sealed_disclosure_is_in_no_page_no_file_and_no_count(ann, sealed):
    def seen():
        """Return what a customer sees of it, without moments and links."""
        with translation.override("en"):
            copy = holdings.gather(ann)
            counts = [(row.what, row.count) for row in holdings.more(ann, holdings.rules())]
            return counts, {part: len(rows) for part, rows in copy.rows.items() if part not in ("links", "sessions")}

    before = seen()
    request = hand_over(ann, sealed)
    assert Disclosure.objects.filter(customer=ann).exists()
    told = (take(ann, "page").text, json.dumps(taken(ann)), *(signed_in(ann).get(url).text for url in PAGES))
    ann.sessions.all().delete()
    assert (seen() == before) == sealed
    assert any(request.third_party.name in text or str(request.third_party_id) == text for text in told) == (not sealed)


# Their own alone


def test_another_customers_session_or_number_shows_nothing(ann):
    make_much(ann, 1)
    make_request(ann, "copy", words="của Ánh Tuyết")
    make_service(ann, product="Chỉ của Ánh")
    binh = make_customer("BINH")
    client = signed_in(binh)
    texts = [client.get(url).text for url in PAGES]
    texts += [client.get(f"{url}?customer={ann.pk}&ref={ann.ref}&pk={ann.pk}").text for url in PAGES]
    texts.append(client.get(f"/my/requests/{ann.rights_requests.first().pk}/").text)
    texts.append(take(binh, "page").text)
    texts += [data.decode() for data in unzipped(take(binh)).values()]
    assert not [secret for secret in (*PLAIN.values(), "của Ánh Tuyết", "Chỉ của Ánh") for text in texts if secret in text]
    assert {key for key, rows in holdings.gather(binh).rows.items() if rows} == {"sessions", "links"}
    assert {row.count for row in holdings.more(binh, holdings.rules())} == {0, 1}


def test_a_link_opens_the_data_of_whom_it_was_sent_to_whoever_is_signed_in(ann):
    binh = make_customer("BINH")
    client = signed_in(binh)
    text = client.post(download_address(ann), {"as": "page"}).text
    assert ann.email in text and binh.email not in text


@pytest.mark.parametrize("url", PAGES)
def test_without_a_session_there_is_no_page(client, url):
    for method in (client.get, client.post):
        answer = method(url)
        assert answer.status_code in (302, 405) and answer.get("Location", "/my/sign-in/") == "/my/sign-in/"


def test_who_is_erased_has_no_page_and_no_link_any_more(ann):
    client, address = signed_in(ann), download_address(ann)
    erase(ann, by=None, reason="request 3")
    assert {client.get(url).status_code for url in PAGES} == {302}
    assert Client().post(address).status_code == 410
    with pytest.raises(ValidationError):
        downloads.ask(ann, by=ann, source={})


# The link


def test_the_copy_is_asked_for_on_a_page_comes_by_mail_and_is_taken_once(ann, sink):
    assert signed_in(ann).post("/my/download/").url == "/my/download/"
    sent()
    (mail,) = sink.mails
    address, browser = link(mail), Client()
    assert mail.recipient == ann.email
    assert browser.get(address).status_code == 200
    answer = browser.post(address)
    assert answer["Content-Type"] == "application/zip" and "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer" and answer["Content-Disposition"] == 'attachment; filename="my-data.zip"'
    assert browser.post(address).status_code == 410
    actions = Entry.objects.filter(subject=ann.public_id, action__contains="download").order_by("id").values_list("action", "actor")
    assert list(actions) == [("customer.ask_download", ann.actor), ("customer.download", ann.actor)]


def test_a_link_lasts_a_day(ann):
    assert Client().get(download_address(ann, at=timezone.now() - timedelta(hours=23))).status_code == 200
    assert Client().get(download_address(ann, at=timezone.now() - timedelta(hours=24))).status_code == 410


def test_a_sixth_link_within_a_day_is_not_sent_and_the_page_says_so(ann):
    client, now = signed_in(ann), timezone.now()
    for hours in (25, 20, 15, 10, 5):
        notice = downloads.ask(ann, by=ann, source={}, at=now)
        Notice.objects.filter(pk=notice.pk).update(at=now - timedelta(hours=hours))
    client.post("/my/download/")
    assert ann.notices.count() == 6, "the first was yesterday"
    client.post("/language/", {"language": "en"})
    assert "come back tomorrow" in client.post("/my/download/", follow=True).text
    assert ann.notices.count() == 6


def test_a_suspended_address_gets_no_link_and_opens_none(ann):
    client, address = signed_in(ann), download_address(ann)
    make_hold(ann)
    client.post("/my/download/")
    assert not ann.notices.filter(kind="download").exists()
    assert '<form method="post">' not in client.get("/my/download/").text
    assert Client().post(address).status_code == 410


def test_without_an_address_there_is_no_link():
    with pytest.raises(ValidationError):
        downloads.ask(make_customer(email=None), by=None, source={})


def test_a_restricted_customer_gets_the_copy(ann, sink):
    ann.restrict(by=make_staff("clerk"), reason="letter 8")
    downloads.ask(ann, by=ann, source={})
    sent()
    assert Client().post(link(sink.mails[0])).status_code == 200


def test_nothing_of_a_copy_is_kept(ann):
    address = download_address(ann)
    before = tables()
    Client().post(address)
    changed = {name for name, digest in tables().items() if digest != before[name]}
    assert changed == {"customers_link", "audit_entry"}


# What it costs


@pytest.mark.parametrize("url", [*PAGES, "file", "page"])
def test_every_list_takes_as_many_queries_for_many_rows_as_for_one(url):
    counts = set()
    for rows in (1, 4):
        customer = make_customer()
        make_much(customer, rows)
        client, address = signed_in(customer), download_address(customer)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(url) if url.startswith("/") else client.post(address, {"as": url})
        assert answer.status_code == 200
        counts.add(len(queries))
    assert len(counts) == 1


# Around the pages


def test_the_first_page_leads_to_every_other_and_out(ann):
    text = signed_in(ann).get("/my/").text
    for name in ("mails", "views", "download", "access", "requests", "email", "sign_out"):
        assert f'"{reverse(f"customers:{name}")}"' in text
    for name in ("consent:my_preferences", "disclosures:mine", "consent:my_policy"):
        assert f'"{reverse(name)}"' in text
    assert reverse("customers:end_sessions") in signed_in(ann).get("/my/access/").text


def test_the_language_is_chosen_by_a_button_and_stays(ann):
    client = signed_in(ann)
    text = client.get("/my/").text
    assert '<html lang="vi">' in text and 'lang="en">English</button>' in text
    client.post("/language/", {"language": "en", "next": "/my/"})
    assert all('<html lang="en">' in client.get(url).text for url in PAGES)
    ann.refresh_from_db()
    assert ann.locale == "vi", "which language we write in is another question"


def test_looking_changes_nothing(ann):
    client = signed_in(ann)
    before = tables()
    for url in PAGES:
        for method in (client.get, client.head):
            assert method(url).status_code == 200
    changed = {name for name, digest in tables().items() if digest != before[name]}
    assert changed == {"audit_entry"}, "an entry that it was looked at, and nothing else"


@pytest.mark.walk
@pytest.mark.usefixtures("quick")
def test_whatever_a_customer_looks_at_nothing_changes_but_that_it_was_looked_at():
    """Every address outside the staff's own, and what their pages lead to."""
    make_office()
    client = signed_in(Customer.objects.get(ref="REF-BINH"))
    waiting = {url for line, urls in walk().items() if not line.startswith("/admin/") and not ENDS.search(line) for url in urls}
    seen, before = set(), tables()
    while waiting - seen:
        url = min(waiting - seen)
        seen.add(url)
        answer = client.get(url)
        if url.startswith("/my/") and answer["Content-Type"].startswith("text/html"):
            waiting |= {link for link in Links(url, answer.text).found if not link.startswith("/static/") and not ENDS.search(link)}
    changed = {name for name, digest in tables().items() if digest != before[name]}
    assert changed == {"audit_entry"}
    assert {reverse("customers:requests"), reverse("customers:views"), reverse("disclosures:mine")} <= seen
