"""What staff do about disclosures on their pages, and what customers see of it on theirs."""

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone, translation

from audit.models import Entry
from customers.models import Link
from disclosures import handover
from disclosures.models import Disclosure, DisclosureRequest, Document, Package, PermissionEvent, Seal
from tests.make import (
    IDENTITY,
    PDF,
    assess,
    make_approved,
    make_breach,
    make_customer,
    make_data_request,
    make_offer,
    make_seal,
    make_staff,
    make_third_party,
    prove,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def english(settings):
    settings.LANGUAGE_CODE = "en"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    with translation.override("en"):
        yield


@pytest.fixture
def ann():
    return make_customer("ANN", full_name="Trần Thị Ánh", locale="en")


@pytest.fixture
def sign_in(client):
    def sign_in(role, username=None, proved=True):
        client.logout()
        client.force_login(make_staff(role, username))
        if proved:
            prove(client)
        return client

    return sign_in


@pytest.fixture
def mine(client, ann):
    """What the customer sees on their own page now."""
    client.post(reverse("customers:link_sign_in", args=[Link.issue(ann, Link.Use.SIGN_IN)[1]]))
    return lambda: client.get("/my/disclosures/").text


def do(row, act):
    return reverse(f"admin:disclosures_{row._meta.model_name}_act", args=[row.pk, act])


def page_of(row):
    return reverse(f"admin:disclosures_{row._meta.model_name}_change", args=[row.pk])


def intake(client, party, **values):
    today = timezone.localdate()
    said = {
        "third_party": party.pk, "on_ground": "legal_obligation", "document_number": "5/CV", "document_dated_on": today,
        "legal_article": "16", "urgent": "on", "received_at_0": today, "received_at_1": f"{timezone.localtime():%H:%M}",
        "fields_asked": ["phone", "email"],
        "refs": "ANN", "asked_from": "2026-01-01", "asked_until": today, "file": SimpleUploadedFile("x.pdf", PDF),
    }  # fmt: skip
    return client.post(reverse("admin:disclosures_disclosurerequest_add"), said | values)


def last_entry():
    return Entry.objects.order_by("id").last()


# Staff


def test_a_request_goes_from_intake_to_hand_over_by_two_people(ann, sign_in):
    party = make_third_party()
    client = sign_in("officer")
    assert intake(client, party).status_code == 302
    request = DisclosureRequest.objects.get()
    assert "1:59:" in client.get(page_of(request)).text or "2:59:" in client.get(page_of(request)).text
    client.post(do(request, "verify"), {"how": "call_back", "reference": "CALL-9"})
    scope = {"fields_kept": ["phone"], "refs": "ANN", "period_from": "2026-02-01", "period_until": "2026-03-01", "assessment": "enough"}
    client.post(do(request, "assess"), scope)
    request.refresh_from_db()
    assert (request.status, request.fields, request.narrowed) == ("assessed", ["phone"], True)
    answer = client.post(do(request, "approve"), {"scope": request.scope})
    assert "counts for nothing" in answer.text and last_entry().action == "disclosurerequest.approve.refused"
    client = sign_in("approver")
    client.post(do(request, "approve"), {"scope": request.scope})
    client = sign_in("officer")
    package = client.post(do(request, "hand-over")).url
    assert client.get(package).status_code == 200
    fetched = client.post(package)
    assert fetched.content.startswith(b"age-encryption.org/v1") and fetched["Content-Disposition"].endswith('.age"')
    again = client.post(package)
    assert again.status_code == 410 and "fetched already" in again.text
    assert "Handed over" in client.get(page_of(request)).text and Disclosure.objects.count() == 1


def test_a_sale_is_refused_at_intake_and_the_attempt_is_on_the_trail(ann, sign_in):
    client = sign_in("officer")
    for ground in ("other", "sale"):
        answer = intake(client, make_third_party(), on_ground=ground)
        assert "never sold" in answer.text
        assert last_entry().action == "disclosurerequest.add.refused" and "never sold" in last_entry().detail["reason"]
    assert not DisclosureRequest.objects.exists() and not Document.objects.exists()


@pytest.mark.parametrize("lacks", ["document_number", "legal_article", "document_dated_on", "file"])
def test_an_authoritys_request_without_its_law_is_refused_with_an_entry(ann, sign_in, lacks):
    answer = intake(sign_in("officer"), make_third_party(), **{lacks: ""})
    assert "errornote" in answer.text and not DisclosureRequest.objects.exists()
    assert last_entry().action == "disclosurerequest.add.refused"


def test_a_refusal_of_the_gate_stands_on_the_request_with_its_reason(ann, sign_in):
    request = make_approved(ann, third_party=make_third_party(checked_by=None))
    client = sign_in("officer")
    answer = client.post(do(request, "hand-over"), follow=True)
    assert "Nobody else has checked" in answer.text and not Package.objects.exists()


@pytest.mark.parametrize(("act", "role"), [("approve", "approver"), ("hand-over", "officer")])
def test_the_second_factor_is_asked_for_again(ann, sign_in, act, role):
    request = make_approved(ann) if act == "hand-over" else assess(make_data_request(ann))
    client = sign_in(role, proved=False)
    prove(client, ago=600)
    assert "id_code" in client.get(do(request, act)).text
    client.post(do(request, act), {"scope": request.scope})
    request.refresh_from_db()
    assert request.status == ("approved" if act == "hand-over" else "assessed") and not Package.objects.exists()


def test_a_package_is_not_to_be_had_by_number_nor_by_others(ann, sign_in):
    request = make_approved(ann)
    _decision, token = handover.prepare(request, by=make_staff("officer"))
    url = reverse("admin:disclosures_disclosurerequest_package", args=[token])
    for role in ("auditor", "approver", "clerk", "marketer"):
        assert sign_in(role).post(url).status_code == 403
    client = sign_in("officer", "olga")
    assert client.post(url).status_code == 410 and last_entry().detail["reason"] == "link_of_another"
    client = sign_in("officer")
    assert client.post(reverse("admin:disclosures_disclosurerequest_package", args=["1"])).status_code == 404
    assert last_entry().detail["reason"] == "link_unknown"
    assert "age-encryption" not in client.get(page_of(Package.objects.get())).text
    assert client.get(url).status_code == 200 and Package.objects.get().fetched_at is None


def test_a_document_is_read_by_who_may_and_leaves_an_entry(ann, sign_in):
    document = make_data_request(ann).document
    assert sign_in("auditor").post(do(document, "read")).status_code == 403
    assert sign_in("officer").post(do(document, "read")).content == PDF
    assert last_entry().action == "document.read"


def test_third_parties_commitments_offers_and_seals_are_filled_in(ann, sign_in):
    client = sign_in("officer")
    today = timezone.localdate()
    client.post(
        reverse("admin:disclosures_thirdparty_add"),
        {"name": "Cổng thanh toán", "kind": "payment_processor", "contact": "x", "age_key": str(IDENTITY.to_public()), "active": "on"},
    )
    assert "no public key" in client.post(reverse("admin:disclosures_thirdparty_add"), {"age_key": "age1x"}).text
    party = make_third_party("other")
    commitment = {"third_party": party.pk, "valid_from": today, "valid_until": today + timedelta(days=9)}
    client.post(reverse("admin:disclosures_commitment_add"), commitment | {"file": SimpleUploadedFile("c.pdf", PDF)})
    client.post(do(party.commitments.get(), "end"))
    offer = {"third_party": party.pk, "purpose_vi": "Tên miền", "purpose_en": "Domains", "fields": ["email"], "active": "on"}
    client.post(reverse("admin:disclosures_permissionoffer_add"), offer)
    client.post(do(party.offers.get(), "give"), {"ref": "ANN", "source": "paper"})
    assert PermissionEvent.objects.get().source == "paper"
    seal = {
        "request": make_data_request(ann).pk,
        "until": today + timedelta(days=9),
        "statement_number": "6/CV",
        "statement_dated_on": today,
    }
    client.post(reverse("admin:disclosures_seal_add"), seal | {"file": SimpleUploadedFile("s.pdf", PDF)})
    assert Seal.objects.count() == 1 and party.commitments.get().ended_at
    client = sign_in("approver")
    entered = type(party).objects.get(name="Cổng thanh toán")
    client.post(do(entered, "check-key"))
    entered.refresh_from_db()
    assert entered.key_checked_by == make_staff("approver")


def test_the_clock_is_on_the_first_page_and_on_the_list(ann, sign_in):
    make_data_request(ann, urgent=True)
    make_breach()
    client = sign_in("officer")
    for url in ("/admin/", reverse("admin:disclosures_disclosurerequest_changelist")):
        assert re.search(r'data-due="\d+" role="timer">2:5\d:\d\d<', client.get(url).text)
    assert 'role="timer"' not in sign_in("marketer").get("/admin/").text


def test_the_register_is_exported_by_post_with_an_entry(ann, sign_in):
    today = timezone.localdate()
    url = reverse("admin:disclosures_disclosure_export")
    client = sign_in("officer")
    assert client.get(url).status_code == 200 and not Entry.objects.filter(action="register.export")
    assert client.post(url, {"since": today, "until": today})["Content-Type"].startswith("text/csv")
    assert last_entry().action == "register.export"
    assert {sign_in(role).get(url).status_code for role in ("approver", "auditor", "clerk")} == {403}


def test_a_year_in_numbers_has_a_chart_and_a_table(ann, sign_in):
    make_data_request(ann)
    client = sign_in("auditor")
    page = client.get(reverse("admin:disclosures_disclosurerequest_report")).text
    assert "<svg" in page and "style=" not in page.partition("<svg")[2] and "ANN" not in page
    assert re.search(r'(?s)<th scope="row">Legal obligation</th><td><svg.{,200}</td><td class="number">1</td>', page)
    assert (
        f"{timezone.localdate().year},ground,legal obligation,1"
        in client.get(reverse("admin:disclosures_disclosurerequest_report_csv")).text
    )


def test_a_breach_is_written_down_counted_printed_and_reported(ann, sign_in):
    client = sign_in("officer")
    now = timezone.localtime()
    moment = {"began_at": now - timedelta(hours=2), "discovered_at": now}
    said = {f"{name}_{n}": part for name, at in moment.items() for n, part in enumerate((at.date(), f"{at:%H:%M}"))}
    said |= {
        "what": "A copy lay open",
        "place": "file server",
        "kinds": ["email"],
        "scope": "everyone",
        "people": 99,
        "ended_at_0": "",
        "ended_at_1": "",
    }
    said |= {"consequences": "spam", "measures": "closed", "minutes": "written"}
    client.post(reverse("admin:disclosures_breach_add"), said)
    breach = type(make_breach()).objects.order_by("id").first()
    assert breach.people == 1
    page = client.get(reverse("admin:disclosures_breach_form_08", args=[breach.pk])).text
    assert "A copy lay open" in page and "file server" in page
    client.post(do(breach, "report"), {"number": "9/BC"})
    client.post(do(breach, "tell"))
    breach.refresh_from_db()
    assert breach.reported_at and breach.told_at and ann.notices.count() == 1


# The customer


def test_a_customer_sees_who_got_what_and_why(ann, mine):
    request = make_approved(ann)
    handover.fetch(handover.prepare(request, by=make_staff("officer"))[1], by=make_staff("officer"))
    page = mine()
    assert request.third_party.name in page and "full name, phone" in page and "legal obligation" in page
    assert make_staff("officer").username not in page.partition("<main")[2]


def test_a_sealed_disclosure_is_on_no_page_of_the_customer_in_no_word_and_no_count(ann, mine):
    bare = re.sub(r'value="\w+"', "", mine())
    request = make_approved(ann)
    make_seal(request)
    handover.fetch(handover.prepare(request, by=make_staff("officer"))[1], by=make_staff("officer"))
    assert re.sub(r'value="\w+"', "", mine()) == bare
    Seal.objects.lift(at=timezone.now() + timedelta(days=30))
    assert ann.notices.count() == 1
    assert Disclosure.objects.shown_to(ann, timezone.now() + timedelta(days=30)).count() == 1


def test_a_customer_permits_and_permits_no_longer_and_nothing_is_chosen_beforehand(ann, mine, client):
    offer = make_offer(make_third_party("other"))
    assert "You have not permitted this." in mine() and not PermissionEvent.objects.exists()
    url = reverse("disclosures:permit", args=[offer.pk])
    client.get(url)
    assert not PermissionEvent.objects.exists()
    client.post(url, {"say": "yes"})
    assert "You permit this" in mine()
    client.post(url, {"say": "no"})
    assert "You withdrew this" in mine()
    assert list(PermissionEvent.objects.order_by("id").values_list("event", "by")) == [("given", ann.actor), ("withdrawn", ann.actor)]
