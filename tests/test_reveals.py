"""Revealing one masked value: who, for what and how long; the entry comes first, and without it nothing is shown."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models.query import QuerySet
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from audit.unrecorded import Unrecorded
from customers.models import Contact, Customer, Reveal
from customers.models.reveals import ALARM_ABOVE, ALARM_WITHIN, ASKED_LASTS, REVEAL_LASTS
from privacy_office.fields import UndecryptableValue
from privacy_office.models import Staff, StaffNotice
from tests.make import ask_credential, ask_reveal, code, make_customer, make_hold, make_service, make_staff, prove

pytestmark = pytest.mark.usefixtures("english")

PLAIN = {
    "full_name": "Trần Thị Ánh Tuyết",
    "email": "anh.tuyet@example.org",
    "phone": "+84903123456",
    "address": "9 Ngõ Bí Mật, Huế",
}
CREDENTIALS = {"access_username": "tuyet-root", "access_secret": "hoa-mai-vang"}
TICKET = {"reason": "caller", "case_kind": "ticket", "case_reference": "SUP-12"}
EN = {"accept-language": "en"}
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
db = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


@pytest.fixture
def ann():
    return make_customer("ANN", **PLAIN)


@pytest.fixture
def service(ann):
    return make_service(ann, **CREDENTIALS)


def actions(**of):
    return list(Entry.objects.filter(action__startswith="reveal.", **of).order_by("pk").values_list("action", flat=True))


def state(reveal):
    """Return a reveal as the database has it."""
    return models.QuerySet(Reveal).filter(pk=reveal.pk).values().get()


def refuse_entries(action):
    """Have the database refuse the entry of one action, as a full disk or a lost right would."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.action = '{action}' THEN RAISE EXCEPTION 'refused'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse_entry BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse_entry()
        """)


def spoil(row, column):
    """Make a stored value one that no key opens: whoever decrypts it gets an exception."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET {column} = 'gAAAAA' WHERE id = %s", [row.pk])


def move_back(reveal, by):
    """Have everything of a reveal happened earlier."""
    row = Reveal.objects.get(pk=reveal.pk)
    times = {name: getattr(row, name) - by for name in ("asked_at", "opened_at", "expires_at") if getattr(row, name)}
    QuerySet(Reveal).filter(pk=reveal.pk).update(**times)


def show(reveal):
    return reverse("admin:customers_reveal_show", args=[reveal.pk])


def act(row, name="reveal"):
    return reverse(f"admin:customers_{row._meta.model_name}_act", args=[row.pk, name])


def change(row):
    return reverse(f"admin:customers_{row._meta.model_name}_change", args=[row.pk])


# Who, what for, and for which case


@db
@pytest.mark.parametrize("field", Customer.PERSONAL)
def test_personal_data_opens_at_once_and_is_seen_with_an_entry_for_each_step(ann, field):
    clerk = make_staff("clerk")
    reveal = Reveal.ask(ann, field, by=clerk, **TICKET)
    assert reveal.view(by=clerk) == PLAIN[field]
    assert actions() == ["reveal.ask", "reveal.open", "reveal.view"]
    for entry in Entry.objects.filter(action__startswith="reveal."):
        assert (entry.actor, entry.subject, entry.clause) == (f"staff:{clerk.pk}", ann.public_id, "§6.2")
        assert (entry.object, entry.detail) == (f"customers.reveal:{reveal.pk}", {"field": field, **TICKET})
    reveal.view(by=clerk)
    assert actions(action="reveal.view") == ["reveal.view"] * 2, "each showing"
    assert [(h.history_change_reason, h.history_user) for h in reveal.history.all()] == [("reveal.open", clerk), ("reveal.ask", clerk)]


@db
def test_the_note_of_a_conversation_and_the_text_of_evidence_are_revealed_like_personal_data(ann):
    clerk = make_staff("clerk")
    make_hold(ann, by=clerk).release(by=make_staff("officer"), channel="phone", note="born in Vinh")
    evidence = ann.evidence.create(text="call of 9 o'clock")
    assert Reveal.ask(Contact.objects.get(), "note", by=clerk, **TICKET).view(by=clerk) == "born in Vinh"
    assert Reveal.ask(evidence, "text", by=clerk, **TICKET).view(by=clerk) == "call of 9 o'clock"


@db
@pytest.mark.parametrize("role", ["marketer", "approver", "auditor", "administrator"])
def test_other_roles_reveal_nothing(ann, role):
    with pytest.raises(PermissionDenied):
        ask_reveal(ann, by=make_staff(role))
    assert not Reveal.objects.exists() and not actions()


@db
def test_no_one_reveals_without_a_role_that_may_not_even_a_superuser(ann, service):
    root = make_staff("administrator", "root")
    root.is_superuser = True
    root.save()
    root.user_permissions.set(Permission.objects.all())
    with pytest.raises(PermissionDenied):
        ask_reveal(ann, by=root)
    reveal = ask_credential(service)
    with pytest.raises(PermissionDenied):
        reveal.approve(by=root)


@db
def test_rights_are_checked_at_each_opening_and_showing(ann, service):
    clerk = make_staff("clerk")
    reveal = ask_reveal(ann, by=clerk)
    access = ask_credential(service, by=clerk)
    access.approve(by=make_staff("officer"))
    clerk.groups.clear()
    with pytest.raises(PermissionDenied):
        reveal.view(by=clerk)
    with pytest.raises(PermissionDenied):
        access.open(by=clerk)
    clerk = make_staff("clerk")
    clerk.is_active = False
    with pytest.raises(PermissionDenied):
        reveal.view(by=clerk)
    assert actions(action="reveal.view") == []


@db
def test_who_asked_alone_sees_it(ann):
    reveal = ask_reveal(ann, by=make_staff("clerk"))
    for other in (make_staff("clerk", "other"), make_staff("officer")):
        with pytest.raises(PermissionDenied):
            reveal.view(by=other)
    assert "reveal.view" not in actions()


@db
@pytest.mark.parametrize(
    "reference",
    ["", "SUP", "two words 1", "anh@example.org", "Tuyết-1", "1\n", "x" * 30 + "1", "+84903123456", "0903123456", "0903-123-456"],
)
def test_a_ticket_is_a_number_and_no_personal_data(ann, reference):
    with pytest.raises(ValidationError):
        ask_reveal(ann, case_reference=reference)
    assert not Reveal.objects.exists() and not actions()


@db
def test_a_hold_as_the_case_is_this_customers_and_open(ann):
    clerk, hold = make_staff("clerk"), make_hold(ann)
    other = make_hold(make_customer("BINH"))
    ask_reveal(ann, by=clerk, case_kind="hold", case_reference=str(hold.pk))
    for reference in (other.pk, 0, "9" * 30, f"0{hold.pk}"):
        with pytest.raises(ValidationError):
            ask_reveal(ann, by=clerk, case_kind="hold", case_reference=str(reference))
    hold.release(by=clerk, channel="phone", note="")
    with pytest.raises(ValidationError, match="released"):
        ask_reveal(ann, by=clerk, case_kind="hold", case_reference=str(hold.pk))
    assert Reveal.objects.count() == 1


@db
@pytest.mark.parametrize("wrong", [{"reason": "curiosity"}, {"reason": ""}, {"case_kind": "none"}])
def test_a_reason_and_a_case_of_another_kind_are_refused(ann, wrong):
    with pytest.raises(ValidationError):
        ask_reveal(ann, **wrong)
    assert not Reveal.objects.exists()


@db
def test_a_field_of_another_model_or_an_empty_one_is_refused(ann):
    for row, field in ((ann, "access_secret"), (ann, "email_index"), (ann, "note"), (make_customer("CHI", phone=None), "phone")):
        with pytest.raises(ValidationError):
            ask_reveal(row, field)
    assert not Reveal.objects.exists()


# How long


@db
def test_it_is_seen_for_ten_minutes(ann):
    clerk, now = make_staff("clerk"), timezone.now()
    reveal = ask_reveal(ann, by=clerk, at=now)
    assert reveal.expires_at == now + timedelta(minutes=10) == now + REVEAL_LASTS
    assert reveal.view(by=clerk, at=now + REVEAL_LASTS - SECOND) == PLAIN["phone"]
    with pytest.raises(ValidationError):
        reveal.view(by=clerk, at=now + REVEAL_LASTS)
    assert list(Reveal.objects.live(now)) == [reveal] and not Reveal.objects.live(now + REVEAL_LASTS)


@db
def test_a_request_lapses_after_an_hour_approved_or_not(service):
    clerk, officer, now = make_staff("clerk"), make_staff("officer"), timezone.now()
    late, slow = (ask_credential(service, by=clerk, at=now) for _ in range(2))
    slow.approve(by=officer, at=now + ASKED_LASTS - SECOND)
    with pytest.raises(ValidationError):
        late.approve(by=officer, at=now + ASKED_LASTS)
    with pytest.raises(ValidationError):
        slow.open(by=clerk, at=now + ASKED_LASTS)
    assert {r.state_at(now + ASKED_LASTS) for r in (late, slow)} == {"lapsed"}
    assert Reveal.objects.waiting(now + ASKED_LASTS - SECOND).count() == 2 and not Reveal.objects.waiting(now + ASKED_LASTS)
    slow.open(by=clerk, at=now + ASKED_LASTS - SECOND)


# Credentials


@db
@pytest.mark.parametrize("field", CREDENTIALS)
def test_a_credential_is_asked_by_one_approved_by_another_and_opened_by_the_first(service, field):
    clerk, officer = make_staff("clerk"), make_staff("officer")
    reveal = ask_credential(service, field, by=clerk)
    with pytest.raises(ValidationError):
        reveal.open(by=clerk)
    with pytest.raises(ValidationError):
        reveal.view(by=clerk)
    reveal.approve(by=officer)
    with pytest.raises(ValidationError):
        reveal.view(by=clerk)
    with pytest.raises(PermissionDenied):
        reveal.open(by=officer)
    reveal.open(by=clerk)
    assert reveal.view(by=clerk) == CREDENTIALS[field]
    assert actions() == ["reveal.ask", "reveal.approve", "reveal.open", "reveal.view"]
    for again in (lambda: reveal.approve(by=officer), lambda: reveal.open(by=clerk)):
        with pytest.raises(ValidationError):
            again()


@db
def test_nobody_approves_their_own_not_even_with_every_role(service):
    chief = make_staff("officer", "chief")
    make_staff("clerk", "chief")
    reveal = ask_credential(service, by=chief)
    with pytest.raises(ValidationError, match="another person"):
        reveal.approve(by=chief)
    assert Reveal.objects.get().approved_by is None


@db
def test_personal_data_is_not_approved(ann):
    with pytest.raises(ValidationError):
        ask_reveal(ann).approve(by=make_staff("officer"))


@db
def test_a_credential_is_not_opened_when_the_hold_it_was_asked_for_is_released(ann, service):
    clerk, officer, hold = make_staff("clerk"), make_staff("officer"), make_hold(ann)
    reveal = ask_credential(service, by=clerk, case_kind="hold", case_reference=str(hold.pk))
    reveal.approve(by=officer)
    hold.release(by=officer, channel="phone", note="")
    with pytest.raises(ValidationError, match="released"):
        reveal.open(by=clerk)


@db
@pytest.mark.parametrize(
    "breach",
    [
        {"approved_by": models.F("by")},
        {"opened_at": timezone.now(), "expires_at": timezone.now() + MINUTE},
        {"expires_at": timezone.now()},
        {"field": "phone"},
        {"service": None},
        {"case_reference": "Ánh"},
    ],
    ids=lambda breach: " ".join(breach),
)
def test_the_database_refuses(service, breach):
    ask_credential(service)
    with pytest.raises(IntegrityError):
        models.QuerySet(Reveal).update(**breach)


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("verb", ["approve", "open"])
def test_of_two_at_the_same_time_one_approves_and_one_opens(verb):
    clerk, officer = make_staff("clerk"), make_staff("officer")
    reveal = ask_credential(make_service(make_customer("ANN")), by=clerk)
    if verb == "open":
        reveal.approve(by=officer)
    before = [Reveal.objects.get(pk=reveal.pk) for _ in range(4)]

    def attempt(row):
        try:
            getattr(row, verb)(by=clerk if verb == "open" else officer)
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(attempt, before)) == [False, False, False, True]
    assert actions(action=f"reveal.{verb}") == [f"reveal.{verb}"]


# The entry comes first


@db
@pytest.mark.parametrize("action", ["reveal.ask", "reveal.open"])
def test_without_its_entry_nothing_is_asked_or_opened(ann, action):
    refuse_entries(action)
    with pytest.raises(Unrecorded), transaction.atomic():
        ask_reveal(ann)
    assert not Reveal.objects.exists() and not Reveal.history.exists() and not actions()


@db
def test_nothing_is_decrypted_before_the_entry_is_written(ann):
    clerk = make_staff("clerk")
    reveal = ask_reveal(ann, by=clerk)
    spoil(ann, "phone")
    with pytest.raises(UndecryptableValue):
        reveal.view(by=clerk)
    assert actions()[-1] == "reveal.view", "it stands, whatever came of it"
    before = state(reveal)
    refuse_entries("reveal.view")
    with pytest.raises(Unrecorded):  # and not UndecryptableValue: it did not come to that
        reveal.view(by=clerk)
    assert state(reveal) == before and len(actions(action="reveal.view")) == 1


@pytest.mark.usefixtures("committed_db")
def test_the_entry_is_committed_before_anything_is_decrypted():
    clerk = make_staff("clerk")
    reveal = ask_reveal(make_customer("ANN"), by=clerk)
    with transaction.atomic(), pytest.raises(RuntimeError):
        reveal.view(by=clerk)
    assert "reveal.view" not in actions()
    reveal.view(by=clerk)
    with ThreadPoolExecutor(1) as thread:  # its connection sees what is committed

        def seen():
            try:
                return actions()
            finally:
                connection.close()

        assert thread.submit(seen).result()[-1] == "reveal.view"


@db
def test_only_the_one_value_is_loaded_and_decrypted(ann):
    clerk = make_staff("clerk")
    reveal = ask_reveal(ann, by=clerk)
    for other in ("full_name", "email", "address"):
        spoil(ann, other)
    with CaptureQueriesContext(connection) as queries:
        assert reveal.view(by=clerk) == PLAIN["phone"]
    assert '"phone"' in queries[-1]["sql"] and '"email"' not in queries[-1]["sql"]


@db
def test_a_page_whose_entry_cannot_be_written_shows_nothing(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    client.raise_request_exception = False
    before = state(reveal)
    refuse_entries("reveal.view")
    answer = client.get(show(reveal))
    assert answer.status_code == 503 and PLAIN["phone"] not in answer.text
    assert state(reveal) == before


# The alarm


def reveal_often(row, number, by, at):
    return [ask_reveal(row, by=by, at=at + SECOND * count) for count in range(number)]


@db
def test_more_than_twenty_in_five_minutes_alarm_every_officer_once(ann):
    clerk, now = make_staff("clerk"), timezone.now()
    officers = {make_staff("officer"), make_staff("officer", "second")}
    assert ALARM_ABOVE == 20 and timedelta(minutes=5) == ALARM_WITHIN
    reveal_often(ann, 20, clerk, now)
    assert "reveal.alarm" not in actions() and not StaffNotice.objects.exists()
    (one_more,) = reveal_often(ann, 1, clerk, now + MINUTE)
    entry = Entry.objects.get(action="reveal.alarm")
    assert (entry.actor, entry.object, entry.subject) == (f"staff:{clerk.pk}", f"customers.reveal:{one_more.pk}", None)
    assert entry.detail == {"opened": 21, "within_seconds": 300}
    assert {(n.member, n.kind) for n in StaffNotice.objects.all()} == {(officer, "reveal_rate") for officer in officers}
    assert one_more.alarmed and Reveal.objects.filter(alarmed=True).count() == 1
    reveal_often(ann, 10, clerk, now + 2 * MINUTE)
    assert actions(action="reveal.alarm") == ["reveal.alarm"], "once in five minutes"
    reveal_often(ann, 15, clerk, now + 5 * MINUTE)
    assert actions(action="reveal.alarm") == ["reveal.alarm"]
    reveal_often(ann, 1, clerk, now + 6 * MINUTE + SECOND)
    assert actions(action="reveal.alarm") == ["reveal.alarm"] * 2, "it goes on"


@db
def test_slow_work_and_the_work_of_others_alarm_nobody(ann):
    now = timezone.now()
    for number in range(25):
        ask_reveal(ann, by=make_staff("clerk"), at=now + number * MINUTE / 3)
    reveal_often(ann, 20, make_staff("clerk", "other"), now)
    reveal_often(ann, 20, make_staff("officer"), now)
    assert "reveal.alarm" not in actions() and not StaffNotice.objects.exists()


@pytest.mark.usefixtures("committed_db")
def test_the_twenty_first_alarms_also_when_all_are_opened_at_the_same_time():
    clerk, ann = make_staff("clerk"), make_customer("ANN")
    make_staff("officer")

    def attempt(_number):
        try:
            ask_reveal(ann, by=Staff.objects.get(pk=clerk.pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(7) as threads:
        list(threads.map(attempt, range(21)))
    assert actions(action="reveal.alarm") == ["reveal.alarm"] and StaffNotice.objects.count() == 1


# What the customer may know


@db
def test_a_customer_is_told_as_what_somebody_saw_which_field_when_and_why_and_never_who(ann, service):
    clerk, now = make_staff("clerk", "mai.nguyen"), timezone.now()
    ask_reveal(ann, by=clerk, at=now - MINUTE)
    ask_reveal(make_customer("BINH"), by=clerk)
    ask_credential(service, by=clerk)
    ask_reveal(ann, "email", by=clerk, at=now, reason="authority")
    make_staff("officer", "mai.nguyen")
    ask_reveal(ann, "address", by=clerk, at=now, reason="correction")
    told = Reveal.objects.told(ann)
    assert [(t.roles, t.at) for t in told] == [(["clerk", "officer"], now), (["clerk"], now - MINUTE)], "roles as they were"
    assert [Reveal.Field.ADDRESS.label, Reveal.Field.PHONE.label] == [t.field for t in told]
    assert [Reveal.Reason.CORRECTION.label, Reveal.Reason.CALLER.label] == [t.reason for t in told]
    assert "mai.nguyen" not in str(told)


# The admin


@db
def test_the_second_factor_is_asked_for_again_where_a_credential_is_opened(sign_in, service):
    client, reveal = sign_in("clerk"), ask_credential(service)
    reveal.approve(by=make_staff("officer"))
    prove(client, ago=600)
    answer = client.post(act(reveal, "open"))
    assert answer.status_code == 200 and "code" in answer.context["form"].errors
    reveal.refresh_from_db()
    assert not reveal.opened_at
    assert client.post(act(reveal, "open"), {"code": code()}).url == show(reveal)


@db
def test_a_clerk_goes_from_a_masked_value_to_the_value_by_one_form(sign_in, ann):
    client = sign_in("clerk")
    ask = f"{act(ann)}?field=phone"
    assert f'href="{ask}"' in client.get(change(ann)).text
    form = client.get(ask).context["form"]
    assert form["field"].value() == "phone" and form["case_kind"].value() == "ticket"
    answer = client.post(ask, {"field": "phone", **TICKET})
    reveal = Reveal.objects.get()
    assert answer.status_code == 302 and answer.url == show(reveal)
    answer = client.get(answer.url, headers=EN)
    assert f'<p class="revealed">{PLAIN["phone"]}</p>' in answer.text
    assert actions() == ["reveal.ask", "reveal.open", "reveal.view"]
    assert f'href="{show(reveal)}"' in client.get(change(ann)).text, "while it is live, the way back is short"
    form = client.get(f"{act(ann)}?field=email").context["form"]
    assert (form["reason"].value(), form["case_reference"].value()) == ("caller", "SUP-12"), "the case is still the same"


@db
def test_what_is_shown_leaves_the_screen_and_is_kept_nowhere(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    answer = client.get(show(reveal))
    seconds, _, url = answer["Refresh"].partition("; url=")
    assert 590 <= int(seconds) <= 600 and url == change(ann)
    assert "no-store" in answer["Cache-Control"] and answer["Referrer-Policy"] == "no-referrer"
    value = PLAIN["phone"]
    assert answer.text.count(value) == 1 and value not in answer.text.partition("</title>")[0]
    assert value not in str(answer.headers) + str(client.cookies)
    assert "<form" not in answer.text, "under no-referrer a browser does not say where a POST comes from"


@db
def test_the_value_is_on_no_other_page(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    pages = [change(ann), act(ann), change(reveal), reverse("admin:customers_reveal_changelist"), reverse("admin:index")]
    pages += [reverse("admin:customers_customer_changelist"), reverse("admin:customers_customer_history", args=[ann.pk])]
    assert client.get(show(reveal)).status_code == 200
    for url in pages:
        answer = client.get(url)
        assert answer.status_code == 200 and PLAIN["phone"] not in answer.text, url


@db
def test_another_member_does_not_see_my_reveal_by_its_number(sign_in, ann):
    reveal = ask_reveal(ann)
    for role, name in (("clerk", "other"), ("officer", "chief"), ("auditor", None), ("marketer", None), ("administrator", None)):
        client = sign_in(role, name)
        answer = client.get(show(reveal))
        assert answer.status_code == 403 and PLAIN["phone"] not in answer.text
        entry = Entry.objects.first()
        assert (entry.action, entry.object) == ("admin.refused", f"customers.reveal:{reveal.pk}")
    assert "reveal.view" not in actions()


@db
def test_not_even_who_has_every_other_permission_reveals(sign_in, ann, client):
    chief = make_staff("auditor", "chief")
    chief.is_superuser = True
    chief.save()
    chief.user_permissions.set(Permission.objects.all())
    client.force_login(chief)
    assert client.post(act(ann), {"field": "phone", **TICKET}).status_code == 403
    assert not Reveal.objects.exists()


@db
def test_expired_says_so_and_offers_to_ask_again(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    move_back(reveal, REVEAL_LASTS)
    answer = client.get(show(reveal), headers=EN)
    assert answer.status_code == 200 and PLAIN["phone"] not in answer.text and "Refresh" not in answer
    assert "is over" in answer.text and f'href="{act(ann)}?field=phone"' in answer.text
    assert "reveal.view" not in actions()
    assert show(reveal) not in client.get(change(ann)).text


@db
def test_a_value_that_cannot_be_decrypted_is_said_so(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    spoil(ann, "phone")
    answer = client.get(show(reveal), headers=EN)
    assert answer.status_code == 200 and "cannot be decrypted" in answer.text and actions()[-1] == "reveal.view"


@db
def test_looking_is_by_get_alone(sign_in, ann):
    client, reveal = sign_in("clerk"), ask_reveal(ann)
    assert client.post(show(reveal)).status_code == client.head(show(reveal)).status_code == 405
    assert client.get(reverse("admin:customers_reveal_show", args=[reveal.pk + 1])).status_code == 404
    assert "reveal.view" not in actions()


@db
def test_without_a_case_what_was_typed_comes_back(sign_in, ann):
    client = sign_in("clerk")
    answer = client.post(act(ann), {"field": "address", "reason": "reach", "case_kind": "ticket", "case_reference": ""}, headers=EN)
    form = answer.context["form"]
    assert answer.status_code == 200 and "Which ticket" in answer.text
    assert (form["field"].value(), form["reason"].value()) == ("address", "reach")
    answer = client.post(act(ann), {"field": "phone", "reason": "reach", "case_kind": "ticket", "case_reference": "called today"})
    assert answer.status_code == 200 and "called today" in answer.text and "errorlist" in answer.text
    assert not Reveal.objects.exists()
    assert "called" not in str(list(Entry.objects.values_list("detail", flat=True)))


@db
def test_an_open_hold_is_a_case_without_its_number_being_typed(sign_in, ann):
    client = sign_in("clerk")
    form = {"field": "phone", "reason": "abuse", "case_kind": "hold"}
    assert client.post(act(ann), form).status_code == 200, "there is none"
    hold = make_hold(ann)
    assert client.post(act(ann), form).status_code == 302
    assert Reveal.objects.get().case_reference == str(hold.pk)


@db
def test_access_data_goes_from_one_clerk_over_another_back_to_the_first(sign_in, service):
    client = sign_in("clerk")
    answer = client.post(f"{act(service)}?field=access_secret", {"field": "access_secret", **TICKET})
    assert answer.status_code == 302 and answer.url == change(service)
    reveal = Reveal.objects.get()
    assert not reveal.opened_at and "do/open" not in client.get(change(service)).text
    assert client.post(act(reveal, "open")).status_code == 200, "not approved"
    assert client.post(act(reveal, "approve")).status_code == 200, "their own"
    answer = client.get(show(reveal), headers=EN)
    assert answer.status_code == 200 and "waits for a second person" in answer.text.lower()
    client = sign_in("clerk", "other")
    assert f'href="{act(reveal, "approve")}"' in client.get(change(service)).text
    text = client.get(act(reveal, "approve")).text
    assert "clerk" in text and "SUP-12" in text and CREDENTIALS["access_secret"] not in text
    assert client.post(act(reveal, "approve")).status_code == 302
    assert client.post(act(reveal, "open")).status_code == 200, "another's"
    client = sign_in("clerk")
    for page in (change(service), change(service.customer), change(reveal)):
        assert f'href="{act(reveal, "open")}"' in client.get(page).text
    answer = client.post(act(reveal, "open"))
    assert answer.status_code == 302 and answer.url == show(reveal)
    answer = client.get(answer.url)
    assert CREDENTIALS["access_secret"] in answer.text and answer["Refresh"].endswith(change(service))
    assert actions(action__in=["reveal.ask", "reveal.approve", "reveal.open", "reveal.view"]) == [
        "reveal.ask", "reveal.approve", "reveal.open", "reveal.view",
    ]  # fmt: skip
    assert {"reveal.open.refused", "reveal.approve.refused"} <= set(actions())


@db
def test_officers_and_auditors_see_all_reveals_and_clerks_what_concerns_them(sign_in, ann, service):
    mine, anothers = ask_reveal(ann), ask_reveal(ann, by=make_staff("clerk", "other"))
    waiting = ask_credential(service, by=make_staff("clerk", "other"))
    lapsed = ask_credential(service, by=make_staff("clerk", "other"), at=timezone.now() - ASKED_LASTS)
    url = reverse("admin:customers_reveal_changelist")

    def seen(client):
        return set(client.get(url).context["cl"].result_list)

    for role in ("officer", "auditor"):
        assert seen(sign_in(role)) == {mine, anothers, waiting, lapsed}
    client = sign_in("clerk")
    assert seen(client) == {mine, waiting}
    assert client.get(change(anothers)).status_code == 302, "as if it were not there"
    assert sign_in("marketer").get(url).status_code == 403


@db
def test_who_may_not_reveal_is_offered_no_link(sign_in, ann):
    reveal = ask_reveal(ann)
    for page in (change(ann), change(reveal), reverse("admin:customers_reveal_changelist")):
        text = sign_in("auditor").get(page).text
        assert "/do/" not in text and "/show/" not in text
    for page in (change(ann), change(reveal)):
        assert "/show/" not in sign_in("officer").get(page).text, "another's"
        assert show(reveal) in sign_in("clerk").get(page).text
