"""How staff come in and stay: a password of their own, a second factor, one answer to every failure, and an end to every session."""

import itertools
import re
import time
from datetime import timedelta
from io import StringIO

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from audit.models import Entry
from mailings.models import Campaign
from privacy_office import seeds
from privacy_office.cache import JSONSerializer
from privacy_office.fields import UndecryptableValue
from privacy_office.models import Staff, StaffNotice
from tests.make import SECRET, code, make_campaign, make_policy, make_staff, prove

pytestmark = pytest.mark.django_db

PASSWORD, NEW = "seven geese over the delta", "nine horses under the banyan"
STAFF = "/admin/privacy_office/staff/"
addresses, numbers = itertools.cycle(range(1, 250)), itertools.count(1)


@pytest.fixture(autouse=True)
def quick(settings):
    """Spare the slow hashes, and have the counts of failures end with the test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": f"test{next(numbers)}"}}


def browser():
    """Return a browser on a network of its own."""
    return Client(REMOTE_ADDR=f"10.1.2.{next(addresses)}", REMOTE_PORT="40123", HTTP_ACCEPT_LANGUAGE="en")


@pytest.fixture
def door():
    return browser()


@pytest.fixture
def clara():
    """A clerk with a password and an authenticator app."""
    clara = make_staff("clerk", "clara")
    clara.set_password(PASSWORD)
    clara.save()
    return clara


def give_password(client, name="clara", password=PASSWORD, **extra):
    return client.post(reverse("account_login"), {"login": name, "password": password}, **extra)


def give_code(client, typed):
    return client.post(reverse("mfa_authenticate"), {"code": typed})


def sign_in(client, step=0):
    give_password(client)
    answer = give_code(client, code(step=step))
    assert answer.status_code == 302 and answer.url == "/admin/"
    return client


def is_in(client):
    return client.get("/admin/").status_code == 200


def told(member):
    return list(StaffNotice.objects.filter(member=member).order_by("pk").values_list("kind", flat=True))


def entry(action):
    return Entry.objects.filter(action=f"staff.{action}").first()


def errors(answer):
    return re.findall(r'class="error" role="alert">([^<]*)<', answer.text)


# Coming in


def test_while_redis_is_away_nobody_signs_in_and_is_told_so_and_then_it_works_again(door, clara, settings):
    """Unbounded guessing must not be what an outage brings."""
    here = settings.CACHES
    settings.CACHES = {"default": {**here["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    answer = give_password(door)
    assert answer.status_code == 503 and answer["Retry-After"] == "300"
    assert "try again in a few minutes" in answer.text and "_auth_user_id" not in door.session
    settings.CACHES = here
    sign_in(door)


def test_the_first_sign_in_leads_by_a_new_password_and_an_app_to_the_office(door):
    said = StringIO()
    call_command("create_staff", "dung", "--role", "clerk", stdout=said)
    password = said.getvalue().split()[-1]
    assert give_password(door, "dung", password).url == "/admin/"
    for anything in ("/admin/", "/admin/customers/customer/", reverse("mfa_index"), reverse("mfa_activate_totp"), "/"):
        assert door.get(anything).url == reverse("admin:password_change")
    form = {"old_password": password, "new_password1": password, "new_password2": password}
    assert "must differ" in door.post(reverse("admin:password_change"), form).text
    assert door.post(reverse("admin:password_change"), form | {"new_password1": NEW, "new_password2": NEW}).url == "/admin/"
    for anything in ("/admin/", "/admin/customers/customer/", reverse("mfa_index"), reverse("mfa_add_webauthn"), "/"):
        assert door.get(anything).url == reverse("mfa_activate_totp")
    page = door.get(reverse("mfa_activate_totp"))
    assert "no-store" in page["Cache-Control"] and "data:image/svg+xml;base64," in page.text
    secret = re.search(r'class="key">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")
    assert len(secret) == 32 and secret not in str(dict(door.session)), "not even on its way is a seed stored in clear"
    assert errors(door.post(reverse("mfa_activate_totp"), {"code": "000000"})) == ["This code is not right, or was used before."]
    typed = code(secret)
    codes = door.post(reverse("mfa_activate_totp"), {"code": typed})
    assert "no-store" in codes["Cache-Control"]
    codes = re.findall(r"<code>(\d{8})</code>", codes.text)
    assert len(codes) == 10 and is_in(door)
    dung = Staff.objects.get(username="dung")
    assert told(dung) == ["sign_in", "factor_changed"]
    actions = Entry.objects.filter(object=f"privacy_office.staff:{dung.pk}").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "staff.create", "staff.sign_in", "staff.password_changed", "staff.factor.enrolled", "staff.recovery_codes.generated",
    ]  # fmt: skip
    again = browser()
    give_password(again, "dung", NEW)
    assert give_code(again, typed).status_code == 200, "the code of the enrolment was used up by it"
    assert give_code(again, codes[0]).url == "/admin/" and is_in(again)


def test_a_password_alone_opens_nothing(door, clara):
    assert give_password(door).url == reverse("mfa_authenticate")
    assert not is_in(door) and door.get(reverse("mfa_index")).status_code != 200
    assert "000000" not in str(door.session.items())
    assert errors(give_code(door, "000000")) and not is_in(door)
    assert give_code(door, code()).url == "/admin/" and is_in(door)


def test_the_way_back_leads_where_one_wanted_to_go_and_never_elsewhere(door, clara):
    answer = door.get("/admin/customers/customer/", follow=True)
    assert answer.redirect_chain[-1][0] == "/staff/sign-in/?next=%2Fadmin%2Fcustomers%2Fcustomer%2F"
    door.post(reverse("account_login"), {"login": "clara", "password": PASSWORD, "next": "/admin/customers/customer/"})
    assert give_code(door, code()).url == "/admin/customers/customer/"
    other = browser()
    other.post(reverse("account_login"), {"login": "clara", "password": PASSWORD, "next": "https://evil.example/"})
    assert give_code(other, code(step=1)).url == "/admin/"


def test_a_code_is_taken_once_for_as_long_as_it_is_right(door, clara):
    typed = code(step=1)
    give_password(door)
    assert give_code(door, typed).status_code == 302
    other = browser()
    give_password(other)
    assert errors(give_code(other, typed)) == ["This code is not right, or was used before."]
    cache = caches["default"]
    assert cache._cache.get_client().ttl(cache.make_key(f"totp:{clara.pk}:{typed}")) > 60, "allauth itself forgets it after 30 seconds"


def test_a_recovery_code_is_taken_once_and_leaves_an_entry(door, clara):
    prove(sign_in(door))
    codes = re.findall(r"<code>(\d{8})</code>", door.post(reverse("mfa_generate_recovery_codes")).text)
    other = browser()
    give_password(other)
    assert give_code(other, codes[3]).url == "/admin/"
    assert entry("recovery_code.used").detail["left"] == 9 and entry("sign_in").detail["factor"] == "recovery_codes"
    third = browser()
    give_password(third)
    assert give_code(third, codes[3]).status_code == 200


def deactivate(member):
    member.is_active = False


@pytest.mark.parametrize("change", [Staff.end_sessions, deactivate, lambda member: member.set_password(NEW)])
def test_an_account_that_changed_while_we_waited_for_the_code_lets_nobody_in(door, clara, change):
    give_password(door)
    change(clara)
    clara.save()
    assert give_code(door, code()).url == reverse("account_login")
    assert not is_in(door) and entry("sign_in.refused").detail["reason"] == "account"


# One answer to every failure


def test_nobody_learns_whether_an_account_exists(clara):
    gone = make_staff("clerk", "gone")
    gone.set_password(PASSWORD)
    gone.is_active = False
    gone.save()
    make_staff("clerk", "unusable")
    answers = [
        give_password(browser(), *typed)
        for typed in (("clara", "wrong"), ("nobody", "wrong"), ("gone", PASSWORD), ("gone", "wrong"), ("unusable", "!"))
    ]
    pages = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(pages) == 1 and errors(answers[0]) == ["The name or the password is not right."]


def test_ten_failures_lock_an_account_against_the_right_password_too(clara):
    for _ in range(10):
        assert errors(give_password(browser(), password="wrong")) == ["The name or the password is not right."]
    locked = give_password(browser(), headers={"host": "127.0.0.1"})
    assert errors(locked) == ["Too many failed attempts. Please wait 15 minutes."]
    assert errors(give_password(browser(), "CLARA"))[0].startswith("Too many")
    assert entry("sign_in.refused").detail["reason"] == "locked"
    for _ in range(10):
        give_password(browser(), "nobody", "wrong")
    assert errors(give_password(browser(), "nobody", "wrong")) == errors(locked), "a name that is nobody's is locked alike"
    cache = caches["default"]._cache.get_client()
    lasting = [cache.ttl(key) for key in cache.scan_iter(caches["default"].make_key("allauth:rl:*login_failed:10/*"))]
    assert max(lasting) > 890


def test_right_passwords_are_no_failures(clara):
    for _ in range(12):
        assert give_password(browser()).status_code == 302


def test_ten_wrong_codes_lock_the_right_one_out(clara):
    for attempt in range(10):
        client = browser()
        give_password(client)
        assert errors(give_code(client, f"{attempt:06}")) == ["This code is not right, or was used before."]
    assert errors(give_code(client, code()))[0].startswith("Too many") and not is_in(client)
    detail = entry("sign_in.refused").detail
    assert detail["reason"] == "locked" and entry("sign_in.refused").object == f"privacy_office.staff:{clara.pk}"


def test_an_address_has_its_limits_too(door, clara, settings):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "login_failed": "3/15m/ip,10/15m/key"}
    for name in ("a", "b", "c"):
        give_password(door, name, "wrong")
    assert errors(give_password(door))[0].startswith("Too many") and give_password(browser()).status_code == 302
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "login": "5/5m/ip"}
    other = browser()
    answers = [give_password(other, "nobody", "wrong").status_code for _ in range(6)]
    assert answers[-1] == 429 and answers[:5] == [200] * 5


def test_a_refusal_keeps_the_number_of_a_member_and_nothing_that_was_typed(clara):
    give_password(browser(), "clara", "hunter2hunter2")
    refused = entry("sign_in.refused")
    assert (refused.actor, refused.object) == ("system", f"privacy_office.staff:{clara.pk}")
    give_password(browser(), "my password, typed in the wrong box", "x")
    assert entry("sign_in.refused").object == "" and entry("sign_in.refused").pk > refused.pk
    assert not [e for e in Entry.objects.all() if "hunter" in str(e.detail) or "typed" in str(e.detail)]


@pytest.mark.parametrize("answer", ["", "x", "[]", "1", "{}", '{"response": 1}', '{"rawId": "a", "response": {"userHandle": "OTk5"}}'])
def test_a_passkey_that_is_none_opens_nothing_and_breaks_nothing(door, clara, answer):
    door.get(reverse("mfa_login_webauthn"), headers={"accept": "application/json"})
    refused = door.post(reverse("mfa_login_webauthn"), {"credential": answer}, follow=True)
    assert refused.redirect_chain[-1][0] == reverse("account_login") and not is_in(door)
    assert not Entry.objects.filter(action="staff.sign_in").exists()
    give_password(door)
    assert door.post(reverse("mfa_authenticate"), {"credential": answer}).status_code == 200 and not is_in(door)
    give_code(door, code())
    assert door.post(reverse("mfa_add_webauthn"), {"credential": answer, "passwordless": "on"}).status_code == 200
    assert Authenticator.objects.filter(user=clara).count() == 1


# What is not there


@pytest.mark.parametrize(
    "address",
    ["signup/", "sign-up/", "password/reset/", "password/change/", "password/set/", "email/", "inactive/", "reauthenticate/", "login/code/",
     "2fa/", "security/authenticator/deactivate/", "security/recovery-codes/download/", "sign-in/signup/", "3rdparty/", ""],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["/staff/", "/accounts/", "/"])
def test_of_allauth_nothing_else_is_there(door, prefix, address):
    ours = {"/": "the customers' first page", "/sign-up/": "where the company's own site hands over addresses (docs/SIGN_UP.md)"}
    assert prefix + address in ours or door.get(prefix + address).status_code == 404


@pytest.mark.parametrize("name", ["account_signup", "account_reset_password", "account_email", "mfa_deactivate_totp"])
def test_of_allauth_nothing_else_has_a_name(name):
    with pytest.raises(NoReverseMatch):
        reverse(name)


def test_the_admins_own_sign_in_opens_for_nobody(door, clara):
    officer = make_staff("officer", "olga")
    officer.set_password(PASSWORD)
    officer.save()
    form = {"username": "olga", "password": PASSWORD, "next": "/admin/"}
    assert door.post("/admin/login/?next=/admin/", form).url == "/staff/sign-in/?next=/admin/"
    assert not is_in(door)
    sign_in(door).post("/admin/login/", form)
    assert door.get("/admin/").context["user"] == clara, "a session with both factors was no way into another account with one"


def test_the_app_is_replaced_and_never_removed(door, clara):
    prove(sign_in(door))
    page = door.get(reverse("mfa_activate_totp"))
    secret = re.search(r'class="key">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")
    assert door.post(reverse("mfa_activate_totp"), {"code": code(step=1)}).status_code == 200, "a code of the old app is none of the new"
    assert Authenticator.objects.get(user=clara, type="totp").data["secret"]
    door.post(reverse("mfa_activate_totp"), {"code": code(secret)})
    (app,) = Authenticator.objects.filter(user=clara, type="totp")
    assert seeds.opened(app.data["secret"], clara) == secret and is_in(door)
    assert entry("factor.enrolled").detail["replaced"] is True and "factor_changed" in told(clara)
    assert not get_adapter().can_delete_authenticator(app)
    assert get_adapter().can_delete_authenticator(Authenticator(type="webauthn"))


# What lies in the database


def test_seeds_lie_sealed_and_for_one_member_alone(door, clara):
    prove(sign_in(door))
    door.post(reverse("mfa_generate_recovery_codes"))
    rows = Authenticator.objects.filter(user=clara)
    assert {row.type for row in rows} == {"totp", "recovery_codes"}
    for row in rows:
        token = row.data["secret" if row.type == "totp" else "seed"]
        assert token.startswith("gAAAAA") and SECRET not in str(row.data)
        assert seeds.opened(token, clara)
        with pytest.raises(UndecryptableValue):
            seeds.opened(token, make_staff("officer", "olga"))


def test_a_seed_moved_to_another_account_opens_nothing(door, clara):
    olga = make_staff("officer", "olga")
    mine = Authenticator.objects.get(user=olga)
    Authenticator.objects.filter(user=clara).update(data=mine.data)
    give_password(door)
    assert errors(give_code(door, code())) and not is_in(door)


def test_the_cache_holds_no_pickles(settings):
    assert isinstance(caches["default"]._cache._serializer, JSONSerializer)
    caches["default"].set("x", [1.5, True, "á"], 5)
    assert caches["default"].get("x") == [1.5, True, "á"]
    assert caches["default"]._cache.get_client().get(caches["default"].make_key("x")).startswith(b"[")


# Staying in


def test_a_session_ends_twelve_hours_after_its_sign_in_however_busy(door, clara):
    sign_in(door)
    for ago, alive in ((12 * 3600 - 60, True), (12 * 3600, False)):
        session = door.session
        session["began"] = time.time() - ago
        session.save()
        assert is_in(door) is alive
    assert entry("sign_out").detail["reason"] == "time is up" and not door.session.keys()


def test_a_session_ends_after_half_an_hour_without_a_click(door, clara):
    sign_in(door)
    lasts = Session.objects.get(pk=door.session.session_key)
    assert timedelta(minutes=29) < lasts.expire_date - timezone.now() <= timedelta(minutes=30)
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=1))
    assert is_in(door) and Session.objects.get(pk=door.session.session_key).expire_date > timezone.now() + timedelta(minutes=29)
    Session.objects.update(expire_date=timezone.now())
    assert not is_in(door)


def test_what_one_may_is_read_at_every_request(door, clara):
    sign_in(door)
    assert door.get("/admin/customers/customer/").status_code == 200
    clara.groups.clear()
    assert door.get("/admin/customers/customer/").status_code == 403
    make_staff("clerk", "clara")
    assert door.get("/admin/customers/customer/").status_code == 200
    clara.is_active = False
    clara.save()
    assert door.get("/admin/customers/customer/").status_code == 302


def test_a_changed_password_ends_the_other_sessions_and_is_told(door, clara):
    sign_in(door)
    other = sign_in(browser(), step=1)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert other.post(reverse("admin:password_change"), form).url == "/admin/"
    assert is_in(other) and not is_in(door)
    assert told(clara)[-1] == "password_changed" and entry("password_changed").actor == f"staff:{clara.pk}"


def test_guesses_at_the_old_password_are_limited(door, clara):
    sign_in(door)
    answers = [door.post(reverse("admin:password_change"), {"old_password": "x"}).status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]


def test_a_member_signs_out_everywhere_else(door, clara):
    sign_in(door)
    other = sign_in(browser(), step=1)
    assert other.get(reverse("end_sessions")).status_code == 405
    assert other.post(reverse("end_sessions")).url == reverse("mfa_index")
    assert is_in(other) and not is_in(door)
    assert entry("end_sessions").actor == f"staff:{clara.pk}" and told(clara)[-1] == "sessions_ended"


def test_a_session_that_a_password_alone_opened_ends_when_an_app_is_set_up(clara):
    Authenticator.objects.all().delete()
    thief, owner = browser(), browser()
    give_password(thief)
    give_password(owner)
    secret = re.search(r'class="key">([A-Z2-7 ]+)<', owner.get(reverse("mfa_activate_totp")).text)[1].replace(" ", "")
    owner.post(reverse("mfa_activate_totp"), {"code": code(secret)})
    assert is_in(owner) and not is_in(thief)


def test_signing_out_is_recorded_and_never_by_get(door, clara):
    sign_in(door)
    assert door.get("/admin/logout/").status_code == 405 and is_in(door)
    assert door.post("/admin/logout/").url == reverse("account_login")
    assert not is_in(door) and entry("sign_out").actor == f"staff:{clara.pk}"
    number = entry("sign_out").pk
    give_password(door)
    door.post(reverse("account_logout"))
    assert give_code(door, code()).url == reverse("account_login") and entry("sign_out").pk == number


# What is kept of it, and told


def test_an_entry_says_from_where(clara):
    client = Client(REMOTE_ADDR="2001:db8::7", REMOTE_PORT="51000")
    sign_in(client)
    detail = entry("sign_in").detail
    assert (detail["address"], detail["port"], detail["factor"]) == ("2001:db8::7", 51000, "totp")
    assert Entry.objects.get(action="staff.sign_in").object == f"privacy_office.staff:{clara.pk}"


@pytest.mark.parametrize(("behind_proxy", "seen"), [(True, ("203.0.113.9", 50001)), (False, ("127.0.0.1", 40000))])
def test_a_proxys_headers_are_believed_where_there_is_one(clara, settings, behind_proxy, seen):
    settings.BEHIND_PROXY, settings.ALLAUTH_TRUSTED_PROXY_COUNT = behind_proxy, int(behind_proxy)
    client = Client(
        REMOTE_ADDR="127.0.0.1", REMOTE_PORT="40000", HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.9", HTTP_X_CLIENT_PORT="50001"
    )
    sign_in(client)
    assert (entry("sign_in").detail["address"], entry("sign_in").detail["port"]) == seen


@pytest.mark.parametrize("port", ["", "x", "-1", "99999999", "１２"])
def test_an_odd_port_is_none(clara, settings, port):
    settings.BEHIND_PROXY, settings.ALLAUTH_TRUSTED_PROXY_COUNT = True, 1
    sign_in(Client(HTTP_X_FORWARDED_FOR="203.0.113.9", HTTP_X_CLIENT_PORT=port))
    assert entry("sign_in").detail["port"] is None


def test_a_sign_in_from_a_new_place_or_browser_is_told_once(clara):
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

    def signs_in(address, agent, step):
        clara.refresh_from_db()
        before = len(told(clara))
        client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent)
        caches["default"].delete_many([f"totp:{clara.pk}:{code(step=s)}" for s in (-1, 0, 1)])
        caches["default"].delete_many([f"allauth.mfa.totp.used?user={clara.pk}&code={code(step=s)}" for s in (-1, 0, 1)])
        sign_in(client, step)
        return told(clara)[before:] == ["sign_in"]

    assert signs_in("10.9.0.1", firefox, 0), "the first of all"
    assert not signs_in("10.9.0.1", firefox.replace("140", "141"), 1), "a browser renews itself"
    assert signs_in("10.9.0.2", firefox, 0)
    assert signs_in("10.9.0.1", "curl/8", 1)
    assert signs_in("2001:db8:1:2::1", firefox, 0)
    assert not signs_in("2001:db8:1:2:aaaa::2", firefox, 1), "devices change the second half of the address daily"


# Asking once more


@pytest.fixture
def campaign():
    make_policy()
    return make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver", "abel"))


def launch(client, campaign, **form):
    return client.post(reverse("admin:mailings_campaign_act", args=[campaign.pk, "launch"]), form, headers={"accept-language": "en"})


@pytest.fixture
def approver(door):
    door.force_login(make_staff("approver"))
    return door


def test_a_sensitive_act_asks_for_a_code_that_is_older_than_five_minutes(approver, campaign):
    prove(approver, ago=301)
    asked = launch(approver, campaign)
    assert 'name="code"' in asked.text and errors_of(asked, "code")
    wrong = launch(approver, campaign, code="000000")
    assert errors_of(wrong, "code") == ["This code is not right, or was used before."]
    refused = Entry.objects.first()
    assert (refused.action, refused.actor) == ("campaign.launch.refused", f"staff:{make_staff('approver').pk}")
    assert "000000" not in str(refused.detail) and Campaign.objects.get().launched_at is None
    assert launch(approver, campaign, code=code()).status_code == 302 and Campaign.objects.get().launched_at
    assert 'name="code"' not in approver.get(STAFF).text


def errors_of(answer, field):
    return list(answer.context["form"].errors.get(field, []))


def test_a_fresh_proof_spares_the_code_and_a_right_code_renews_it(approver, campaign):
    address = reverse("admin:mailings_campaign_act", args=[campaign.pk, "launch"])
    assert 'name="code"' in approver.get(address).text, "a session that never gave one has none"
    prove(approver, ago=240)
    assert 'name="code"' not in approver.get(address).text
    prove(approver, ago=301)
    assert launch(approver, campaign, code=code()).status_code == 302
    other = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver", "abel"))
    assert launch(approver, other).status_code == 302


def test_a_code_is_not_used_up_by_a_form_that_lacks_something_and_a_refusal_of_the_verb_keeps_what_was_typed(approver, campaign):
    prove(approver, ago=301)
    campaign.launch(by=make_staff("approver", "abel"))
    refused = launch(approver, campaign, code=code())
    assert refused.status_code == 200 and refused.context["form"].non_field_errors()
    assert 'name="code"' not in refused.text, "the proof counts, whatever the verb said"


def test_codes_for_acts_have_the_same_limit(approver, campaign):
    prove(approver, ago=301)
    for attempt in range(10):
        launch(approver, campaign, code=f"{attempt:06}")
    assert errors_of(launch(approver, campaign, code=code()), "code") == ["Too many failed attempts. Please wait 15 minutes."]


def test_a_change_of_ones_own_factors_asks_for_a_code_and_a_password_is_none(door, clara):
    sign_in(door)
    prove(door, ago=301)
    for name in ("mfa_activate_totp", "mfa_generate_recovery_codes", "mfa_add_webauthn"):
        assert door.get(reverse(name)).url.startswith(reverse("mfa_reauthenticate"))
        assert door.post(reverse(name), {"code": code()}).url.startswith(reverse("mfa_reauthenticate"))
    assert Authenticator.objects.filter(user=clara).count() == 1
    confirm = reverse("mfa_reauthenticate") + "?next=" + reverse("mfa_generate_recovery_codes")
    assert errors(door.post(confirm, {"password": PASSWORD})) and errors(door.post(confirm, {"code": "000000"}))
    assert entry("confirm.refused").actor == f"staff:{clara.pk}"
    assert door.post(confirm, {"code": code(step=1)}).status_code in (200, 302)
    assert door.get(reverse("mfa_generate_recovery_codes")).status_code == 200


# An administrator's acts


@pytest.fixture
def administrator():
    client = browser()
    client.force_login(make_staff("administrator"))
    prove(client)
    return client


def do(client, member, act):
    return client.post(f"{STAFF}{member.pk}/do/{act}/")


def test_an_administrator_ends_every_session_of_a_member(door, clara, administrator):
    sign_in(door)
    assert do(administrator, clara, "end-sessions").status_code == 302
    assert not is_in(door) and told(clara)[-1] == "sessions_ended"
    ended, by = entry("end_sessions"), make_staff("administrator")
    assert (ended.clause, ended.object, ended.actor) == ("§6.2", f"privacy_office.staff:{clara.pk}", f"staff:{by.pk}")
    assert is_in(sign_in(browser(), step=1))


def test_an_administrator_resets_a_second_factor_which_is_set_up_anew(door, clara, administrator):
    prove(sign_in(door))
    door.post(reverse("mfa_generate_recovery_codes"))
    assert do(administrator, clara, "reset-factor").status_code == 302
    assert not is_in(door) and not Authenticator.objects.filter(user=clara).exists()
    assert entry("reset_factor").detail == {"factors": ["recovery_codes", "totp"]} and told(clara)[-1] == "factor_changed"
    assert give_password(door).url == "/admin/" and door.get("/admin/").url == reverse("mfa_activate_totp")


def test_a_new_one_time_password_is_told_and_ends_sessions(door, clara, administrator):
    sign_in(door)
    answer = do(administrator, clara, "new-password")
    assert not is_in(door) and told(clara)[-1] == "password_drawn"
    assert give_password(browser(), password=answer.context["told"]).status_code == 302


@pytest.mark.parametrize("act", ["new-password", "end-sessions", "reset-factor"])
def test_these_acts_are_sensitive_and_not_for_oneself(administrator, clara, act):
    me = make_staff("administrator")
    number = Entry.objects.first().pk
    assert do(administrator, me, act).status_code == 200 and entry(f"{act}.refused").pk > number
    prove(administrator, ago=301)
    assert 'name="code"' in administrator.get(f"{STAFF}{clara.pk}/do/{act}/").text
    assert do(administrator, clara, act).status_code == 200 and Authenticator.objects.filter(user=clara).exists()


# At the server


def test_reset_staff_lets_a_member_in_again(door, clara):
    sign_in(door)
    said = StringIO()
    call_command("reset_staff", "clara", stdout=said)
    password = re.fullmatch(r"clara: one-time password (\S{20,})\n", said.getvalue())[1]
    assert not is_in(door) and not Authenticator.objects.filter(user=clara).exists()
    assert Entry.objects.filter(action__in=["staff.new_password", "staff.reset_factor"], actor="system").count() == 2
    give_password(door, password=password)
    assert door.get("/admin/").url == reverse("admin:password_change")


def test_reset_staff_knows_whom(clara):
    with pytest.raises(CommandError):
        call_command("reset_staff", "nobody")
    clara.is_active = False
    clara.save()
    with pytest.raises(CommandError, match="deactivated"):
        call_command("reset_staff", "clara")
