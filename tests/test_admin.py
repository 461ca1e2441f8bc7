"""The staff's admin: what it shows, what it answers, and what nobody can do with it, whatever they post."""

import time
from datetime import date
from urllib.parse import urlencode

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy

from audit.models import Entry
from consent.models import ChannelRule, ConsentEvent, ConsentState, PolicyVersion, Purpose, Suppression
from customers.models import Contact, Customer, EmailHold, Evidence, Reveal, Service
from mailings import tasks
from mailings.models import Campaign, Message, RenewalNotice
from privacy_office.admin import Act, EstimatedPaginator, OfficeAdmin, ReadOnlyAdmin, TrackedAdmin, encrypted, sealed_search
from privacy_office.models import Staff
from privacy_office.roles import ROLES
from tests.make import (
    ask_reveal,
    consent,
    make_campaign,
    make_customer,
    make_hold,
    make_policy,
    make_service,
    make_staff,
    prove,
    withdraw,
)
from tests.walk import MODELS, PLAIN, SECRETS, changed, entries_since, make_office, newest_entry, page, payload, tables, urls

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]


@pytest.fixture
def everything_allowed(client):
    """Somebody with every permission there is: what is refused to them is refused to all."""
    chief = make_staff("officer", "chief")
    chief.user_permissions.set(Permission.objects.all())
    client.force_login(chief)
    prove(client)
    return client


@pytest.fixture
def office():
    return make_office()


def make_unreadable(customer, column):
    """Spoil one stored value, as a lost key or a moved token does."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE customers_customer SET {column} = 'gAAAAA' WHERE id = %s", [customer.pk])
        cursor.execute(
            f"UPDATE customers_historicalcustomer SET {column} = 'gAAAAA' WHERE history_id = "
            "(SELECT max(history_id) FROM customers_historicalcustomer WHERE id = %s)",
            [customer.pk],
        )


def stored(customer, column):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM customers_customer WHERE id = %s", [customer.pk])
        return cursor.fetchone()[0]


TRAIL = {"audit_entry", "django_admin_log"}
LEDGER = {"consent_approach", "consent_consentevent", "consent_consentstate", "consent_suppression", "customers_evidence"}
# What each role's own acts may write; whoever has a right on one of these has it in roles.py.
WITH_HISTORY = ("customer", "emailhold", "contact", "reveal", "legalhold", "erasure")
CUSTOMERS = {f"customers_{name}" for noun in WITH_HISTORY for name in (noun, f"historical{noun}")}
# Requests of right and changes of address are acts of those who serve customers: with what they tell, and the signs that they leave.
CUSTOMERS |= {f"customers_{name}" for name in ("rightsrequest", "historicalrightsrequest", "emailchange", "anomaly", "notice")}
# So are corrections, questions and mails from customers; a question that is withdrawn closes its links.
CUSTOMERS |= {
    f"customers_{before}{noun}" for before in ("", "historical") for noun in ("correction", "informationrequest", "supportrequest")
}
CUSTOMERS |= {"customers_link"}
CAMPAIGNS = {"mailings_campaign", "mailings_historicalcampaign", "mailings_dryrun"}
RULES = {f"{app}_{name}" for app, nouns in (("consent", ("purpose", "channelrule", "policyversion")),
                                         ("mailings", ("renewalnotice", "companyhost", "relayrule")),
                                         ("customers", ("holdrule", "deadlinerule", "holiday", "retentionrule")))
         for noun in nouns for name in (noun, f"historical{noun}")}  # fmt: skip
NOUNS = ("thirdparty", "commitment", "permissionoffer", "disclosurerequest", "seal", "termrule", "recipienttask", "breach")
DISCLOSURES = {f"disclosures_{name}" for noun in NOUNS for name in (noun, f"historical{noun}")}
MAY_WRITE = {
    "clerk": TRAIL | LEDGER | CUSTOMERS,
    "marketer": TRAIL | CAMPAIGNS,
    "approver": TRAIL | CAMPAIGNS | {"mailings_message"},
    "officer": TRAIL | LEDGER | CUSTOMERS | CAMPAIGNS | RULES | DISCLOSURES | {"disclosures_package"}
    | {"mailings_message", "consent_policyversion_changes", "consent_historicalpolicyversion_changes"},
    "auditor": {"audit_entry"},
    "administrator": TRAIL | {f"privacy_office_{name}" for name in ("staff", "staff_groups", "staffnotice")} | {"mfa_authenticator"},
}  # fmt: skip


@pytest.mark.walk
@pytest.mark.parametrize(
    "role", ["officer", "marketer", "approver", "administrator"]
)  # the clerk and the auditor see no more than the officer
def test_no_page_changes_anything_by_being_looked_at_or_fails_or_holds_a_plain_text(sign_in, office, role):
    client, before, latest = sign_in(role), tables(), newest_entry()
    for url in urls():
        answer = client.get(url)
        assert answer.status_code in (200, 302, 403, 404, 405), url
        assert not [secret for secret in SECRETS if secret in answer.text], url
        if role in ("marketer", "approver", "administrator"):
            assert "/customers/" not in answer.text, url
            # who approves a disclosure has to see whose data would leave, by reference
            assert "REF-" not in answer.text or (role == "approver" and "/disclosures/disclosurerequest/" in url), url
    assert changed(before) <= {"audit_entry"} and entries_since(latest) <= {"admin.refused"}


@pytest.mark.walk
@pytest.mark.parametrize("role", ROLES)
def test_nobody_changes_by_any_post_what_the_role_may_only_view(sign_in, office, role):
    client, anything, before, latest = sign_in(role), urlencode(payload(), doseq=True), tables(), newest_entry()
    answers = {url: client.post(url, anything, "application/x-www-form-urlencoded").status_code for url in urls()}
    assert len(answers) > 60
    assert not {url for url, status in answers.items() if status >= 500}
    assert changed(before) <= MAY_WRITE[role]
    if role == "auditor":
        assert entries_since(latest) == {"admin.refused"}
    else:
        assert changed(before) > {"audit_entry"}, "the walk has to reach something, or it proves nothing"


# History


def test_staff_who_may_only_view_cannot_overwrite_by_the_history_page(sign_in):
    client, purpose = sign_in("auditor"), Purpose.objects.get(code="promotions")
    version = page(Purpose, "simple_history", purpose.pk, purpose.history.first().pk)
    fields = {"title_vi": "EVIL", "title_en": "EVIL", "channels": ["email"], "retention_days": 1}
    assert client.get(page(Purpose, "history", purpose.pk)).status_code == 200
    assert client.post(version, fields).status_code == 403
    assert client.get(version).status_code == 403
    purpose.refresh_from_db()
    assert purpose.title_vi != "EVIL"


def test_nobody_at_all_writes_by_the_history_page(everything_allowed):
    purpose = Purpose.objects.get(code="promotions")
    version = page(Purpose, "simple_history", purpose.pk, purpose.history.first().pk)
    assert (
        everything_allowed.post(version, {"title_vi": "EVIL", "title_en": "x", "channels": ["email"], "retention_days": 1}).status_code
        == 403
    )


def test_history_tells_that_personal_data_changed_and_never_from_what_to_what(sign_in):
    clerk = make_staff("clerk")
    ann = make_customer("ANN", **PLAIN)
    ann.correct(by=clerk, reason="ticket 7", full_name="Lê Thị Hồng", phone=None)
    ann.restrict(by=clerk, reason="letter 8")
    text = sign_in("auditor").get(page(Customer, "history", ann.pk)).text
    assert "••• → •••" in text and "••• → —" in text
    assert "ticket 7" in text and "letter 8" in text and "clerk" in text
    for secret in (*PLAIN.values(), "Hồng", "Ánh"):
        assert secret not in text


def test_history_shows_what_changed_where_it_is_no_secret(sign_in):
    client, purpose = sign_in("officer"), Purpose.objects.get(code="promotions")
    form = {"title_vi": "Ưu đãi", "title_en": purpose.title_en, "channels": ["email"], "retention_days": 365}
    assert client.post(page(Purpose, "change", purpose.pk), form).status_code == 302
    text = client.get(page(Purpose, "history", purpose.pk)).text
    assert "730 → 365" in text and "Khuyến mãi → Ưu đãi" in text and "purpose.change" in text


def test_history_of_a_policy_version_names_the_purposes_it_changes(sign_in):
    policy = make_policy(3, published=False)
    policy.draft(by=make_staff("officer"), changes=[Purpose.objects.get(code="surveys")], severity="major")
    assert "surveys" in sign_in("auditor").get(page(PolicyVersion, "history", policy.pk)).text


# Masking


@pytest.mark.parametrize("model", [m for m in MODELS if encrypted(m)], ids=lambda m: m.__name__)
def test_no_form_and_no_column_of_the_admin_carries_an_encrypted_field(model, rf):
    model_admin, request = admin.site._registry[model], rf.get("/")
    request.user = make_staff("officer")
    request.user.has_perm = lambda *args: True
    names = {field.name for field in encrypted(model)}
    assert names
    assert not names & set(model_admin.get_list_display(request))
    assert not names & set(OfficeAdmin.get_form(TrackedAdmin(model, admin.site), request, None, fields=None).base_fields)
    bare = type("Bare", (TrackedAdmin,), {"list_display": ["pk", *names], "fields": [*names]})(model, admin.site)
    assert not names & set(bare.get_list_display(request))
    assert not names & {name for _title, options in bare.get_fieldsets(request) for name in options["fields"]}
    assert not names & set(bare.get_form(request).base_fields)


def test_an_empty_field_is_told_from_a_masked_one(sign_in):
    ann = make_customer("ANN", address=None)
    text = sign_in("clerk").get(page(Customer, "change", ann.pk)).text
    assert text.count("•••") == 3


def test_a_value_that_cannot_be_decrypted_is_said_so_and_never_written_back(sign_in):
    ann, client = make_customer("ANN", **PLAIN), sign_in("clerk")
    make_unreadable(ann, "phone")
    for url in (page(Customer), page(Customer, "change", ann.pk), page(Customer, "history", ann.pk)):
        assert client.get(url).status_code == 200
    assert "cannot be decrypted" in client.get(page(Customer, "change", ann.pk), headers={"accept-language": "en"}).text
    answer = client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "letter 9"}, headers={"accept-language": "en"})
    assert answer.status_code == 200 and "cannot be decrypted" in answer.text and "letter 9" in answer.text
    assert stored(ann, "phone") == "gAAAAA" and stored(ann, "restricted_at") is None
    assert not Entry.objects.filter(action="customer.restrict").exists()


def test_history_says_of_a_value_that_it_cannot_be_decrypted(sign_in):
    ann = make_customer("ANN", **PLAIN)
    ann.restrict(by=make_staff("clerk"), reason="letter 9")
    make_unreadable(ann, "phone")
    answer = sign_in("auditor").get(page(Customer, "history", ann.pk), headers={"accept-language": "en"})
    assert "••• → cannot be decrypted" in answer.text


# Guesses


@pytest.mark.parametrize(
    "guess",
    [
        "ref__startswith=A", "ref__regex=^A", "ref=ANN", "public_id__gt=0", "association__regex=e", "association__in=active,ended",
        "email_index__isnull=False", "email__isnull=False", "name_index__contains=1", "consent_states__state=given",
        "erased_at__isnull=True", "history__history_user=1", "services__access_secret__isnull=0", "_to_field=email",
        "q=ANN", "q=ann@example.org",
    ],
)  # fmt: skip
def test_a_list_answers_no_question_but_those_of_its_filters(sign_in, guess):
    client = sign_in("clerk")
    make_customer("ANN")
    (name, _, value) = guess.partition("=")
    assert client.get(page(Customer), {name: value}).status_code == 400
    assert client.post(page(Customer) + f"?{guess}", {}).status_code == 400


def test_every_list_answers_its_own_filters_and_no_other_lookup(everything_allowed, office, rf):
    request = rf.get("/")
    for model in MODELS:
        model_admin = admin.site._registry[model]
        own = [name for name in model_admin.get_list_filter(request) if isinstance(name, str)]  # the others: tests/test_lists.py
        for name in own:
            field = model._meta.get_field(name)
            parameter = f"{name}__{field.target_field.name}__exact" if field.is_relation else f"{name}__exact"
            value = model._default_manager.values_list(name, flat=True).first()
            assert everything_allowed.get(page(model), {parameter: value}).status_code == 200
            assert everything_allowed.get(page(model), {f"{name}__gte": value}).status_code == 400
        for field in model._meta.concrete_fields:
            assert everything_allowed.get(page(model), {f"{field.name}__startswith": "1"}).status_code == 400
            for lookup in {"startswith", "regex", "gte", "lt", *field.get_lookups()} - (
                {"exact", "isnull"} if field.name in own else set()
            ):
                assert not model_admin.lookup_allowed(f"{field.name}__{lookup}", "1", request), (model, field, lookup)


def test_no_list_is_sorted_by_what_was_not_declared(sign_in):
    client = sign_in("clerk")
    for number in range(3):
        make_customer(f"C{number}", association=["active", "prospect", "active"][number])
    plain = [row.pk for row in client.get(page(Customer)).context["cl"].result_list]
    for order in ("1", "-1", "2", "-2", "3.-4", "99", "x"):
        assert [row.pk for row in client.get(page(Customer), {"o": order}).context["cl"].result_list] == plain


def search(client, model, text, **filters):
    """Search as the box does: by POST, and on to where it leads."""
    return client.post(f"{page(model)}?{urlencode(filters)}", {"q": text}, follow=True)


def refs(answer):
    return [row.ref for row in answer.context["cl"].result_list]


def test_search_finds_by_whole_values_alone(sign_in):
    client = sign_in("clerk")
    make_customer("ANN", **PLAIN)
    make_customer("BINH")
    for whole in ("ANN", "Anh.Tuyet@EXAMPLE.org", "0903 123 456", "84903123456", "3456", "tuyet", "Thị Trần"):
        assert refs(search(client, Customer, whole)) == ["ANN"], whole
    for part in (
        "AN",
        "tuyet@example",
        "@example.org",
        "0903",
        "tuy",
        "%",
        "_",
        "'",
        "\\",
        "A*",
        " ".join(["x"] * 200),
        "gAAAAA",
        "x" * 9999,
    ):
        assert refs(search(client, Customer, part)) == [], part
    for nothing in ("", " ", "\0"):
        assert len(refs(search(client, Customer, nothing))) == 2


def test_a_search_stands_in_no_address_and_no_link(sign_in):
    client = sign_in("clerk")
    for number in range(60):
        make_customer(f"C{number}", full_name="Lê Thị Hồng", association="prospect")
    answer = search(client, Customer, "Hong le", association__exact="prospect")
    ((address, status),) = answer.redirect_chain
    assert status == 302 and "60 " in answer.text and 'href="?"' in answer.text and 'value="Hong le"' in answer.text
    links = [part.partition('"')[0] for name in ("href=", "action=", "src=") for part in answer.text.split(f'{name}"')[1:]]
    rows = [link for link in links if "/customers/customer/" in link and "/change/" in link]
    assert len(rows) == 25 and all("gAAAAA" in link for link in rows), "rows keep the search"
    assert len([link for link in links if "gAAAAA" in link]) > 40, "and so do pages and filters"
    for place in (address, *links, str(client.cookies)):
        assert "hong" not in place.lower()
    last_page = client.get(address + "&p=3")
    assert len(refs(last_page)) == 10 and 'value="Hong le"' in last_page.text
    again = client.post(address + "&p=2", {"q": "C7"})
    assert "association__exact=prospect" in again.url and "p=2" not in again.url
    assert refs(client.get(again.url)) == ["C7"]


def test_a_search_changes_nothing(sign_in):
    client, _ann, before = sign_in("clerk"), make_customer("ANN"), tables()
    assert refs(search(client, Customer, "ANN")) == ["ANN"]
    assert not changed(before)


def spoilt(by, ann):
    """Yield what is no search that `by` sealed within the hour."""
    whole = sealed_search(ann.ref, by)
    yield from (whole[:-9] + "A" * 9, whole[:40], "gAAAAA", "gAAAAA\u0663")
    yield sealed_search(ann.ref, by, at=time.time() - 3602)
    yield sealed_search(ann.ref, make_staff("officer"))
    yield stored(ann, "email")
    yield Customer._meta.get_field("full_name").sealed(ann.ref)


def test_a_search_that_is_too_old_or_anothers_or_sealed_for_another_column_finds_nothing_and_says_so(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN", **PLAIN)
    clerk = make_staff("clerk")
    assert refs(client.get(page(Customer), {"q": sealed_search("ANN", clerk, at=time.time() - 3500)})) == ["ANN"]
    for token in spoilt(clerk, ann):
        answer = client.get(page(Customer), {"q": token}, headers={"accept-language": "en"})
        assert answer.status_code == 200 and refs(answer) == [], token
        assert "search again" in answer.text and "Show all" in answer.text
        assert not [plain for plain in PLAIN.values() if plain in answer.text] and 'value="ANN"' not in answer.text


def test_a_search_needs_the_token_of_its_form(client):
    client.handler.enforce_csrf_checks = True
    client.force_login(make_staff("clerk"))
    assert client.post(page(Customer), {"q": "ANN"}).status_code == 403


def test_the_customers_page_leads_to_the_customers_rows(sign_in, office):
    client = sign_in("officer")
    text = client.get(page(Customer, "change", office.pk)).text
    for model in (Service, ConsentEvent, Message):
        sealed = text.partition(f'href="{page(model)}?q=')[2].partition('"')[0]
        assert office.ref not in sealed
        rows = client.get(f"{page(model)}?q={sealed}").context["cl"].result_list
        assert rows and {row.customer for row in rows} == {office}


def test_entries_are_found_by_subject_object_actor_and_action_in_full(sign_in, office):
    client = sign_in("auditor")
    clerk = make_staff("clerk")
    for term, field in (
        (str(office.public_id), "subject"),
        (f"customers.customer:{office.pk}", "object"),
        (f"staff:{clerk.pk}", "actor"),
        ("customer.correct", "action"),
    ):
        rows = search(client, Entry, term).context["cl"].result_list
        assert rows and {str(getattr(row, field)) for row in rows} == {term}
    assert not search(client, Entry, "customer.corr").context["cl"].result_list


def test_autocomplete_and_popups_tell_nothing(everything_allowed, office):
    for field in ("customer", "email", "full_name"):
        query = {"app_label": "customers", "model_name": "service", "field_name": field, "term": "ANN"}
        answer = everything_allowed.get(reverse("admin:autocomplete"), query)
        assert answer.status_code in (403, 404), "it would search by what stands in the address"
    assert everything_allowed.get(page(Customer), {"_popup": "1", "_to_field": "email"}).status_code == 400


# Deleting


def test_nobody_deletes_anything(everything_allowed, office):
    before, latest = tables(), newest_entry()
    for model in MODELS:
        row = model._default_manager.first()
        assert everything_allowed.get(page(model, "delete", row.pk)).status_code == 403
        assert everything_allowed.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        everything_allowed.post(page(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes", "index": "0"})
    assert changed(before) == {"audit_entry"} and entries_since(latest) == {"admin.refused"}


def test_no_list_has_an_action():
    assert all(model_admin.actions is None for model_admin in admin.site._registry.values())


def test_every_admin_is_one_of_the_office(rf):
    for model, model_admin in admin.site._registry.items():
        assert isinstance(model_admin, OfficeAdmin), model
        assert hasattr(model, "history") == isinstance(model_admin, TrackedAdmin), model
    for model in (Entry, ConsentEvent, ConsentState, Suppression, Message, Customer, Service, EmailHold, Contact, Evidence, Reveal):
        assert isinstance(admin.site._registry[model], ReadOnlyAdmin)


# One transaction


def refuse_entry(action):
    """Have the database refuse the audit entry of one action, as a full disk or a lost right would, from its second time on."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.action = '{action}' AND EXISTS (SELECT 1 FROM audit_entry WHERE action = NEW.action) THEN
                    RAISE EXCEPTION 'refused';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse_entry BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse_entry()
        """)


def test_an_act_that_fails_half_way_leaves_none_of_its_rows(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    client.raise_request_exception = False
    refuse_entry("consent.refused")
    before = tables()
    refusal = {
        "purposes": list(Purpose.objects.filter(code__in=["promotions", "surveys"]).values_list("pk", flat=True)),
        "channels": ["email", "phone"], "source": "phone_call", "evidence": "call 3",
    }  # fmt: skip
    assert client.post(page(Customer, "act", ann.pk, "refuse"), refusal).status_code == 503
    assert not changed(before)


def rename_all_and_fail(model_admin, request, queryset):
    for purpose in queryset:
        purpose.title_vi = "half done"
        purpose.save()
    raise RuntimeError


def test_an_action_that_fails_leaves_none_of_its_rows(sign_in, monkeypatch):
    client = sign_in("officer")
    client.raise_request_exception = False
    monkeypatch.setattr(admin.site._registry[Purpose], "actions", [rename_all_and_fail])
    before = tables()
    chosen = {"action": "rename_all_and_fail", "_selected_action": list(Purpose.objects.values_list("pk", flat=True))}
    assert client.post(page(Purpose), chosen).status_code == 500
    assert not changed(before)


class HalfDone(Act):
    name, label, permission = "half-done", "Half done", "customers.change_customer"

    def act(self):
        self.row.restrict(by=self.by, reason="first")
        raise ValidationError("second")


def test_an_act_that_is_refused_half_way_leaves_none_of_its_rows(sign_in, monkeypatch):
    client, ann = sign_in("clerk"), make_customer("ANN")
    monkeypatch.setattr(admin.site._registry[Customer], "acts", [HalfDone])
    before = tables()
    answer = client.post(page(Customer, "act", ann.pk, "half-done"))
    assert answer.status_code == 200 and "second" in answer.text
    assert changed(before) == {"audit_entry"} and Entry.objects.first().action == "customer.half-done.refused"


# Refused attempts


def test_a_refused_act_leaves_an_entry_that_says_why_and_nothing_that_was_typed(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN", **PLAIN)
    make_hold(ann, by=make_staff("clerk"))
    form = {"channel": "phone", "note": "born in Vinh"}
    assert client.post(page(Customer, "act", ann.pk, "release-hold"), form, headers={"accept-language": "vi"}).status_code == 200
    entry = Entry.objects.first()
    assert (entry.action, entry.actor) == ("customer.release-hold.refused", f"staff:{make_staff('clerk').pk}")
    assert (entry.object, entry.subject) == (f"customers.customer:{ann.pk}", ann.public_id)
    assert entry.detail == {"reason": "A hold is released by another person than the one who placed it (§3.3)."}


def test_an_act_that_is_no_longer_offered_leaves_an_entry(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    ann.restrict(by=make_staff("officer"), reason="letter 1")
    assert client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "typed"}).status_code == 200
    entry = Entry.objects.first()
    assert entry.action == "customer.restrict.refused" and entry.detail == {"reason": "As things stand, this cannot be done."}


class Quote(Act):
    name, label, permission = "quote", "Quote", "customers.change_customer"
    said = forms.CharField()

    def act(self):
        typed = self.cleaned_data["said"]
        raise ValidationError({"ref": [ValidationError(gettext_lazy("Not %(value)s."), params={"value": typed}), typed]})


def test_the_entry_of_a_refusal_keeps_the_codes_words_and_not_what_was_set_into_them(sign_in, monkeypatch):
    client, ann = sign_in("clerk"), make_customer("ANN")
    monkeypatch.setattr(admin.site._registry[Customer], "acts", [Quote])
    answer = client.post(page(Customer, "act", ann.pk, "quote"), {"said": "born in Vinh"})
    assert "Not born in Vinh." in answer.text
    assert Entry.objects.first().detail == {"reason": "Not %(value)s."}


def test_a_form_that_its_verb_refused_leaves_an_entry(sign_in, monkeypatch):
    client, campaign = sign_in("marketer"), make_campaign()
    monkeypatch.setattr(admin.site._registry[Campaign].__class__, "has_change_permission", lambda *args: True)
    campaign.approve(by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    form = {"purpose": campaign.purpose_id, "subject": campaign.subject, "body": "typed"}
    assert client.post(page(Campaign, "change", campaign.pk), form).status_code == 200
    entry = Entry.objects.first()
    assert (entry.action, entry.object) == ("campaign.change.refused", f"mailings.campaign:{campaign.pk}")
    assert "typed" not in str(entry.detail)


@pytest.mark.parametrize("method", ["get", "post"])
def test_whoever_tries_what_the_role_may_not_leaves_an_entry(sign_in, method):
    client, ann = sign_in("auditor"), make_customer("ANN")
    refused = {
        page(Customer, "act", ann.pk, "restrict"): {"page": "admin:customers_customer_act", "act": "restrict"},
        page(Customer, "delete", ann.pk): {"page": "admin:customers_customer_delete"},
        page(Staff): {"page": "admin:privacy_office_staff_changelist"},
        page(Customer, "delete", "anh.tuyet@example.org"): {"page": "admin:customers_customer_delete"},
        page(Customer, "delete", "84903123456"): {"page": "admin:customers_customer_delete"},
        page(Customer, "delete", "9" * 30): {"page": "admin:customers_customer_delete"},
    }
    for url, detail in refused.items():
        latest = newest_entry()
        assert getattr(client, method)(url, {"reason": "typed"}).status_code == 403, url
        entry = Entry.objects.get(pk__gt=latest)
        known = f"/{ann.pk}/" in url
        assert (entry.action, entry.actor) == ("admin.refused", f"staff:{make_staff('auditor').pk}")
        assert (entry.object, entry.subject) == ((f"customers.customer:{ann.pk}", ann.public_id) if known else ("", None))
        assert entry.detail == {**detail, "method": method.upper()}


class Overreach(Act):
    name, label, permission = "overreach", "Overreach", "customers.change_customer"

    def act(self):
        self.row.restrict(by=self.by, reason="first")
        raise PermissionDenied


def test_the_entry_of_a_forbidden_act_outlives_the_transaction_that_is_rolled_back(sign_in, monkeypatch):
    client, ann = sign_in("clerk"), make_customer("ANN")
    monkeypatch.setattr(admin.site._registry[Customer], "acts", [Overreach])
    before, latest = tables(), newest_entry()
    assert client.post(page(Customer, "act", ann.pk, "overreach")).status_code == 403
    assert changed(before) == {"audit_entry"} and entries_since(latest) == {"admin.refused"}


def test_what_is_not_there_or_asks_to_sign_in_leaves_no_entry(sign_in, client):
    before = tables()
    assert client.get(page(Customer)).status_code == 302
    assert sign_in("clerk").get("/admin/customers/nothing/").status_code == 404
    assert changed(before) <= {"privacy_office_staff", "privacy_office_staff_groups", "mfa_authenticator"}


def test_a_form_whose_entry_cannot_be_written_changes_nothing(sign_in):
    client, purpose = sign_in("officer"), Purpose.objects.get(code="promotions")
    client.raise_request_exception = False
    form = {"title_vi": "Một", "title_en": "One", "channels": ["email"], "retention_days": 10}
    assert client.post(page(Purpose, "change", purpose.pk), form).status_code == 302
    refuse_entry("purpose.change")
    before = tables()
    assert client.post(page(Purpose, "change", purpose.pk), {**form, "retention_days": 11}).status_code == 503
    assert not changed(before)


# What is left behind


def test_recent_actions_messages_and_titles_name_rows_and_never_people(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN", **PLAIN)
    answer = client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "letter 9"}, follow=True)
    assert answer.status_code == 200 and [str(m) for m in answer.context["messages"]]
    officer = sign_in("officer")
    purpose = Purpose.objects.get(code="promotions")
    officer.post(page(Purpose, "change", purpose.pk), {"title_vi": "x", "title_en": "y", "channels": ["email"], "retention_days": 1})
    assert LogEntry.objects.get().object_repr == "promotions"
    for model in MODELS:
        if {"customer", "full_name"} & {field.name for field in model._meta.fields}:
            assert str(model()) is not None
    assert str(ann) == "ANN"


def test_every_write_through_the_admin_leaves_its_entry_and_its_history(sign_in):
    client, purpose = sign_in("officer"), Purpose.objects.get(code="promotions")
    words = {name: getattr(purpose, name) for name in ("title_vi", "meaning_vi", "meaning_en", "frequency_vi", "frequency_en")}
    form = {**words, "title_en": "Offers", "channels": ["email", "sms"], "retention_days": 730}
    assert client.post(page(Purpose, "change", purpose.pk), form).status_code == 302
    entry = Entry.objects.first()
    assert (entry.action, entry.object) == ("purpose.change", f"consent.purpose:{purpose.pk}")
    assert entry.detail == {"fields": ["channels", "title_en"]}
    latest = purpose.history.first()
    assert latest.history_change_reason == "purpose.change" and latest.history_user == make_staff("officer")


def test_saving_what_is_unchanged_leaves_no_row(sign_in):
    client, rule = sign_in("officer"), ChannelRule.objects.get(channel="sms")
    form = {"cap": rule.cap, "opens": rule.opens, "closes": rule.closes, "label": rule.label, "register": "on", "source": rule.source}
    before = tables()
    assert client.post(page(ChannelRule, "change", rule.pk), form).status_code == 302
    assert changed(before) <= {"django_admin_log"}


# Lists


@pytest.fixture
def fill():
    def fill(number):
        for _ in range(number):
            customer = make_customer()
            make_service(customer)
            make_hold(customer).release(by=make_staff("officer"), channel="phone", note="known")
            ask_reveal(customer)
            consent(customer)
            withdraw(customer)
            make_campaign()
            Message.objects.create(campaign=Campaign.objects.first(), customer=customer, purpose=Purpose.objects.first(), state="sent")

    make_policy(1)
    return fill


LISTS = [Customer, Service, EmailHold, Contact, Evidence, Reveal, ConsentState, ConsentEvent, Suppression, Campaign, Message, Entry]


def test_a_list_asks_as_many_questions_for_many_rows_as_for_one(everything_allowed, fill):
    counts = []
    for more in (1, 0, 3):  # content types and the like are asked for in the first round and remembered
        fill(more)
        counts.append({})
        for model in LISTS:
            with CaptureQueriesContext(connection) as queries:
                assert everything_allowed.get(page(model)).status_code == 200
            counts[-1][model.__name__] = len(queries)
    assert counts[1] == counts[2]
    assert max(counts[1].values()) < 20


def test_a_list_does_not_even_load_what_it_does_not_show(everything_allowed, office):
    for model in (Customer, Service, Contact, Evidence, Reveal, EmailHold, ConsentState, ConsentEvent, Message):
        with CaptureQueriesContext(connection) as queries:
            everything_allowed.get(page(model))
        asked = " ".join(query["sql"] for query in queries)
        assert f'FROM "{model._meta.db_table}"' in asked
        for secret in (Customer, Service, Contact, Evidence):
            for field in encrypted(secret):
                assert f'"{secret._meta.db_table}"."{field.name}"' not in asked, model


def test_the_customers_page_asks_a_fixed_number_of_questions(sign_in):
    client, ann, binh = sign_in("clerk"), make_customer("ANN"), make_customer("BINH")
    counts = []
    for number in (1, 8):
        for _ in range(number):
            make_service(ann)
            make_hold(ann).release(by=make_staff("officer"), channel="phone", note="known")
            Message.objects.create(campaign=make_campaign(), customer=ann, purpose=Purpose.objects.first(), state="sent")
        client.get(page(Customer, "change", ann.pk))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page(Customer, "change", ann.pk)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert client.get(page(Customer, "change", binh.pk)).status_code == 200


def test_a_large_table_is_counted_by_estimate_and_a_filtered_one_up_to_a_limit(monkeypatch):
    for number in range(4):
        make_customer(f"C{number}", association="prospect" if number else "active")
    monkeypatch.setattr(EstimatedPaginator, "MOST", 2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE customers_customer")
    assert EstimatedPaginator(Customer.objects.all(), 50).count == 4
    with CaptureQueriesContext(connection) as queries:
        assert EstimatedPaginator(Customer.objects.filter(association="prospect"), 50).count == 2
    assert "LIMIT 2" in queries[0]["sql"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_class SET reltuples = -1 WHERE relname = 'customers_customer'")
    assert EstimatedPaginator(Customer.objects.all(), 50).count == 2


# The acts


def test_a_clerk_restricts_and_lifts_with_a_reason(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    assert client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": ""}).status_code == 200
    ann.refresh_from_db()
    assert ann.restricted_at is None
    assert client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "letter 9"}).status_code == 302
    ann.refresh_from_db()
    assert ann.restricted_at and ann.history.first().history_user == make_staff("clerk")
    assert client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "again"}).status_code == 200, "not offered any more"
    assert client.post(page(Customer, "act", ann.pk, "lift-restriction"), {"reason": "letter 10"}).status_code == 302
    assert list(Entry.objects.filter(object=f"customers.customer:{ann.pk}").values_list("action", flat=True)[:3]) == [
        "customer.lift_restriction", "customer.restrict.refused", "customer.restrict",
    ]  # fmt: skip


def test_a_hold_is_released_by_another_and_a_refusal_of_it_keeps_what_was_typed(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    assert client.post(page(Customer, "act", ann.pk, "place-hold"), {"reason": "odd requests"}).status_code == 302
    answer = client.post(page(Customer, "act", ann.pk, "release-hold"), {"channel": "phone", "note": "knew the last invoice"})
    assert answer.status_code == 200 and "knew the last invoice" in answer.text and "§3.3" in answer.text
    assert EmailHold.objects.open().exists() and not Contact.objects.exists()
    officer = sign_in("officer")
    assert officer.post(page(Customer, "act", ann.pk, "release-hold"), {"channel": "phone", "note": "knew"}).status_code == 302
    assert not EmailHold.objects.open().exists()


def test_a_clerk_writes_down_a_refusal_by_phone(sign_in):
    client, ann = sign_in("clerk"), make_customer("ANN")
    consent(ann)
    promotions = Purpose.objects.get(code="promotions")
    form = {"purposes": [promotions.pk], "channels": ["email", "sms"], "source": "phone_call", "evidence": "call of 9 o'clock"}
    assert client.post(page(Customer, "act", ann.pk, "refuse"), form).status_code == 302
    assert dict(ConsentState.objects.values_list("channel", "state")) == {"email": "withdrawn", "sms": "refused"}
    event = ConsentEvent.objects.filter(event="withdrawn").get()
    assert event.source == "phone_call" and event.evidence.text == "call of 9 o'clock" and event.by.startswith("staff:")
    assert client.post(page(Customer, "act", ann.pk, "refuse"), {**form, "source": "import"}).status_code == 200, "not one of the two"


def test_an_association_is_ended_once(sign_in):
    client, ann = sign_in("officer"), make_customer("ANN")
    assert client.post(page(Customer, "act", ann.pk, "end-association"), {"on": "2026-10-01", "reason": "letter"}).status_code == 302
    ann.refresh_from_db()
    assert (ann.association, ann.association_ended_on) == ("ended", date(2026, 10, 1))
    assert client.post(page(Customer, "act", ann.pk, "end-association"), {"on": "2026-11-01", "reason": "letter"}).status_code == 200


def test_a_role_is_offered_its_own_acts_and_refused_the_others(sign_in):
    ann = make_customer("ANN")
    assert "do/restrict/" in sign_in("clerk").get(page(Customer, "change", ann.pk)).text
    auditor = sign_in("auditor")
    assert "/do/" not in auditor.get(page(Customer, "change", ann.pk)).text
    for act in admin.site._registry[Customer].acts:
        assert auditor.get(page(Customer, "act", ann.pk, act.name)).status_code == 403
        assert auditor.post(page(Customer, "act", ann.pk, act.name), {"reason": "x"}).status_code == 403
    assert auditor.post(page(Customer, "act", ann.pk, "unheard-of")).status_code == 404


def test_an_act_needs_the_token_of_its_form(client):
    ann = make_customer("ANN")
    client.handler.enforce_csrf_checks = True
    client.force_login(make_staff("clerk"))
    assert client.post(page(Customer, "act", ann.pk, "restrict"), {"reason": "x"}).status_code == 403


def test_the_customers_page_says_why_not(sign_in):
    ann = make_customer("ANN")
    make_hold(ann)
    text = sign_in("clerk").get(page(Customer, "change", ann.pk), headers={"accept-language": "en"}).text
    assert "address_on_hold" in text and "May we?" in text


# Purposes, rules, policy


def test_an_officer_changes_a_purposes_words_and_never_its_basis(sign_in):
    client, purpose = sign_in("officer"), Purpose.objects.get(code="promotions")
    form = {
        "title_vi": "x",
        "title_en": "y",
        "channels": ["email"],
        "retention_days": 5,
        "code": "evil",
        "legal_basis": "agreement",
        "kind": "service",
    }
    assert client.post(page(Purpose, "change", purpose.pk), form).status_code == 302
    purpose.refresh_from_db()
    assert (purpose.code, purpose.legal_basis, purpose.kind, purpose.channels) == ("promotions", "consent", "advertising", ["email"])
    assert client.get(page(Purpose, "add")).status_code == 403


@pytest.mark.parametrize("hours", [("08:00", ""), ("", "17:00"), ("17:00", "08:00")])
def test_hours_that_the_gate_could_not_read_are_refused(sign_in, hours):
    client, rule = sign_in("officer"), ChannelRule.objects.get(channel="phone")
    form = {"cap": 1, "opens": hours[0], "closes": hours[1], "label": "", "source": rule.source}
    assert client.post(page(ChannelRule, "change", rule.pk), form).status_code == 200
    before, rule = rule, ChannelRule.objects.get(channel="phone")
    assert (rule.opens, rule.closes) == (before.opens, before.closes)


def test_e_mail_advertising_keeps_its_label(sign_in):
    client, rule = sign_in("officer"), ChannelRule.objects.get(channel="email")
    assert client.post(page(ChannelRule, "change", rule.pk), {"cap": 3, "label": "", "source": "x"}).status_code == 200


def test_an_officer_drafts_and_publishes_a_policy_version_which_then_stands(sign_in):
    client = sign_in("officer")
    form = {"number": 5, "severity": "major", "changes": [Purpose.objects.get(code="surveys").pk], "text_vi": "Chính sách", "text_en": ""}
    assert client.post(page(PolicyVersion, "add"), form).status_code == 302
    policy = PolicyVersion.objects.get(number=5)
    assert [p.code for p in policy.changes.all()] == ["surveys"] and Entry.objects.filter(action="policy.draft").count() == 1
    assert client.post(page(PolicyVersion, "change", policy.pk), {**form, "text_en": "Policy"}).status_code == 302
    assert "do/publish/" not in client.get(page(PolicyVersion, "change", policy.pk)).text, "nobody publishes what they wrote"
    client.force_login(make_staff("officer", "publisher"))
    prove(client)
    assert client.post(page(PolicyVersion, "act", policy.pk, "publish")).status_code == 302
    policy.refresh_from_db()
    assert policy.published_at and policy.text_en == "Policy"
    assert client.post(page(PolicyVersion, "change", policy.pk), {**form, "text_en": "EVIL"}).status_code == 403
    assert "do/publish/" not in client.get(page(PolicyVersion, "change", policy.pk)).text


def test_what_a_publication_lacks_is_said_on_its_page(sign_in):
    policy = make_policy(4, severity="major", published=False)
    client = sign_in("officer")
    client.force_login(make_staff("officer", "publisher"))
    prove(client)
    answer = client.post(page(PolicyVersion, "act", policy.pk, "publish"), headers={"accept-language": "en"})
    assert answer.status_code == 200 and "names the purposes" in answer.text


def test_a_renewal_notice_with_an_unknown_placeholder_comes_back_as_typed(sign_in):
    notice = RenewalNotice.objects.first()
    form = {
        "days_before": notice.days_before,
        "subject_vi": "{secret_key}",
        "body_vi": "x",
        "subject_en": "x",
        "body_en": "typed",
        "active": "on",
    }
    answer = sign_in("officer").post(page(RenewalNotice, "change", notice.pk), form)
    assert answer.status_code == 200 and "{secret_key}" in answer.text and "typed" in answer.text


# Campaigns


def test_a_marketer_drafts_and_another_approves_launches_and_stops(sign_in, django_capture_on_commit_callbacks):
    make_policy(1)
    consent(make_customer("ANN"))
    client = sign_in("marketer")
    form = {"purpose": Purpose.objects.get(code="promotions").pk, "subject": "Khuyến mãi", "body": "Chào {full_name}"}
    assert client.post(page(Campaign, "add"), form).status_code == 302
    campaign = Campaign.objects.get()
    assert campaign.created_by == make_staff("marketer") and campaign.letter
    for act in ("approve", "launch", "stop"):
        assert client.post(page(Campaign, "act", campaign.pk, act), {"letter": campaign.version}).status_code == 403
    assert client.post(page(Campaign, "act", campaign.pk, "dry-run")).status_code == 302
    client = sign_in("approver")
    assert client.post(page(Campaign, "act", campaign.pk, "launch")).status_code == 200, "not approved yet"
    approve, english = page(Campaign, "act", campaign.pk, "approve"), {"accept-language": "en"}
    assert "dry run" in client.post(approve, {"letter": campaign.version}, headers=english).text, "not counted yet"
    tasks.count_dry_runs()
    assert "would get it: 1" in client.get(approve, headers=english).text
    assert client.post(page(Campaign, "act", campaign.pk, "approve"), {"letter": campaign.version}).status_code == 302
    with django_capture_on_commit_callbacks() as callbacks:
        assert client.post(page(Campaign, "act", campaign.pk, "launch")).status_code == 302
    woken = [call for call in callbacks if getattr(call, "func", None) is tasks.wake]
    assert len(woken) == 1, "workers are woken when the messages can be seen, not before"
    assert Message.objects.count() == 1
    assert client.post(page(Campaign, "act", campaign.pk, "stop")).status_code == 302
    campaign.refresh_from_db()
    assert campaign.status == "stopped"
    assert "campaign_stopped" in client.get(page(Campaign, "change", campaign.pk)).text


def test_nobody_approves_their_own_campaign_not_even_with_both_roles(sign_in):
    client = sign_in("marketer")
    make_staff("approver", "marketer")
    campaign = make_campaign(by=make_staff("marketer"))
    answer = client.post(page(Campaign, "act", campaign.pk, "approve"), {"letter": campaign.version})
    assert answer.status_code == 200 and "errorlist" in answer.text
    campaign.refresh_from_db()
    assert campaign.status == "draft"


def test_a_letter_changed_after_it_was_read_is_not_approved(sign_in):
    campaign = make_campaign()
    read = campaign.version
    campaign.language = "en"
    campaign.draft(by=make_staff("marketer"))
    campaign.ask_dry_run(by=make_staff("marketer")).count()
    assert sign_in("approver").post(page(Campaign, "act", campaign.pk, "approve"), {"letter": read}).status_code == 200
    campaign.refresh_from_db()
    assert campaign.status == "draft"


def test_a_refused_letter_comes_back_as_typed(sign_in):
    client = sign_in("marketer")
    purpose = Purpose.objects.get(code="promotions")
    for form in (
        {"purpose": purpose.pk, "subject": "Hi", "body": "typed {password}"},
        {"purpose": "", "subject": "Hi", "body": "typed"},
        {"purpose": Purpose.objects.get(code="service_support").pk, "subject": "Hi", "body": "typed"},
    ):
        answer = client.post(page(Campaign, "add"), form)
        assert answer.status_code == 200 and "typed" in answer.text and "errorlist" in answer.text
    assert not Campaign.objects.exists()


def test_what_a_verb_refuses_in_the_last_moment_comes_back_on_the_form(sign_in, monkeypatch):
    client, campaign = sign_in("marketer"), make_campaign()
    monkeypatch.setattr(admin.site._registry[Campaign].__class__, "has_change_permission", lambda *args: True)
    campaign.approve(by=make_staff("approver"))
    campaign.launch(by=make_staff("approver"))
    form = {"purpose": campaign.purpose_id, "subject": campaign.subject, "body": "typed meanwhile"}
    answer = client.post(page(Campaign, "change", campaign.pk), form)
    assert answer.status_code == 200 and "typed meanwhile" in answer.text and "errorlist" in answer.text
    campaign.refresh_from_db()
    assert campaign.body != "typed meanwhile"


def test_a_dry_run_counts_by_reason_and_names_nobody(sign_in):
    make_policy(1)
    consent(make_customer("ANN"))
    make_customer("BINH")
    campaign = make_campaign()
    client, before = sign_in("marketer"), tables()
    answer = client.get(page(Campaign, "change", campaign.pk))
    assert (answer.context["dry_run"].allowed, answer.context["dry_run"].refused) == (1, {"consent_unknown": 1})
    assert "ANN" not in answer.text and "BINH" not in answer.text
    assert not changed(before)
    assert sign_in("clerk").post(page(Campaign, "act", campaign.pk, "dry-run")).status_code == 403


def test_a_preview_is_to_an_invented_reader(sign_in):
    make_customer("ANN", **PLAIN)
    campaign = make_campaign(body="Chào {full_name}, <script>alert(1)</script>")
    text = sign_in("marketer").get(page(Campaign, "change", campaign.pk)).text
    assert "Nguyễn Văn Mẫu" in text and "[QC]" in text
    assert "<script>alert" not in text


# Staff


def test_an_administrator_hires_and_is_told_the_password_once(sign_in, client):
    administrator = sign_in("administrator")
    groups = [group.pk for group in make_staff("clerk").groups.all()]
    answer = administrator.post(
        page(Staff, "add"), {"username": "dung", "email": "", "groups": groups, "is_superuser": "on", "password": "evil"}
    )
    assert answer.status_code == 200
    dung = Staff.objects.get(username="dung")
    password = answer.context["told"]
    assert password in answer.text and dung.check_password(password) and dung.one_time_password
    assert dung.is_staff and not dung.is_superuser and [group.name for group in dung.groups.all()] == ["clerk"]
    entry = Entry.objects.get(action="staff.create", object=f"privacy_office.staff:{dung.pk}")
    assert entry.detail["roles"] == ["clerk"]
    assert password not in administrator.get(page(Staff, "change", dung.pk)).text
    assert password not in str(administrator.cookies) and password not in LogEntry.objects.get().get_change_message()
    client.logout()
    assert client.post(reverse("account_login"), {"login": "dung", "password": password}).status_code == 302
    assert client.get(page(Customer)).url == reverse("admin:password_change")


def test_roles_and_access_are_changed_with_an_entry(sign_in):
    dung = make_staff("clerk", "dung")
    marketer = make_staff("marketer").groups.get()
    form = {"email": "", "groups": [marketer.pk], "username": "evil"}
    assert sign_in("administrator").post(page(Staff, "change", dung.pk), form).status_code == 302
    dung.refresh_from_db()
    assert not dung.is_active and dung.username == "dung" and [group.name for group in dung.groups.all()] == ["marketer"]
    entry = Entry.objects.first()
    assert entry.action == "staff.change" and entry.detail == {"fields": ["groups", "is_active"], "roles": ["marketer"]}


def test_nobody_changes_their_own_account(sign_in):
    client, me = sign_in("administrator"), make_staff("administrator")
    officer = make_staff("officer").groups.get()
    assert client.post(page(Staff, "change", me.pk), {"groups": [officer.pk], "is_active": "on"}).status_code == 403
    assert client.post(page(Staff, "act", me.pk, "new-password")).status_code == 200
    assert [group.name for group in me.groups.all()] == ["administrator"] and not Staff.objects.get(pk=me.pk).one_time_password


def test_a_new_one_time_password_ends_the_old_one_and_its_sessions(sign_in, client):
    dung = make_staff("clerk", "dung")
    dung.set_password("an old and long one")
    dung.save()
    answer = sign_in("administrator").post(page(Staff, "act", dung.pk, "new-password"))
    dung.refresh_from_db()
    assert dung.check_password(answer.context["told"]) and dung.one_time_password
    assert "no-store" in answer["Cache-Control"]
    assert Entry.objects.filter(action="staff.new_password", object=f"privacy_office.staff:{dung.pk}").exists()


def test_roles_are_fixed_and_not_edited_as_groups(everything_allowed):
    for address in ("admin:auth_group_changelist", "admin:auth_user_changelist"):
        with pytest.raises(NoReverseMatch):
            reverse(address)
