"""Setting up may be repeated, keeps what people changed, and gives nobody more than the roles' table."""

import re
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import models

from audit.models import Entry
from consent.models import ChannelRule, Purpose
from customers.models import DeadlineRule, HoldRule, RetentionRule
from disclosures.models import TermRule
from mailings.models import CompanyHost, RelayRule, RenewalNotice
from privacy_office.models import Canary, Staff
from privacy_office.roles import ROLES, codenames
from tests.make import make_customer, make_staff

SEEDED = (CompanyHost, TermRule, Purpose, ChannelRule, RenewalNotice, RelayRule, DeadlineRule, HoldRule, RetentionRule)


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_setting_up_again_adds_nothing_and_keeps_what_was_changed():
    models.QuerySet(ChannelRule).filter(channel="email").update(cap=2)
    seen = (Purpose, ChannelRule, RenewalNotice, DeadlineRule, Group, Canary, Entry, Purpose.history)
    before = [getattr(model, "objects", model).count() for model in seen]
    assert "0 rows added" in run("setup")
    assert [getattr(model, "objects", model).count() for model in seen] == before
    assert ChannelRule.objects.get(channel="email").cap == 2


@pytest.mark.django_db
def test_what_is_set_up_leaves_entries_and_versions():
    assert Entry.objects.filter(action="setup.add").count() == sum(m.objects.count() for m in SEEDED)
    assert Purpose.history.count() == Purpose.objects.count() == 9


@pytest.mark.django_db
def test_a_lost_canary_is_not_replaced_where_customers_are():
    Canary.objects.all().delete()
    run("setup")
    assert Canary.objects.count() == 1
    make_customer("ann")
    Canary.objects.all().delete()
    with pytest.raises(CommandError, match="canary"):
        run("setup")


@pytest.mark.django_db
def test_purposes_rest_on_consent_but_for_those_of_the_agreement_and_of_the_law():
    assert {p.code for p in Purpose.objects.all() if not p.needs_consent} == {
        *("payment_confirmation", "service_support"),
        *("account_access", "legal_notices"),
    }
    assert all(set(p.fields) == {"full_name", "email"} for p in Purpose.objects.all())


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_rights_of_its_row_and_no_others(role):
    Group.objects.get(name=role).permissions.clear()
    run("setup")
    member = make_staff(role)
    assert member.get_all_permissions() == {f"{app}.{name}" for app, name in codenames(ROLES[role])}


def test_nobody_deletes_and_only_those_who_serve_customers_see_them():
    rights = {role: {name for _, name in codenames(row)} for role, row in ROLES.items()}
    assert not {name for names in rights.values() for name in names if name.startswith("delete_")}
    assert {role for role, names in rights.items() if "view_customer" in names} == {"clerk", "officer", "auditor"}
    assert not {name for name in rights["auditor"] if not name.startswith("view_")}
    assert not {name for name in rights["marketer"] if "customer" in name or "message" in name or "consent" in name}
    assert not {name for name in rights["administrator"] if name.rpartition("_")[2] not in ("staff", "historicalstaff", "group")}


# create_staff


@pytest.mark.django_db
def test_a_new_member_has_roles_and_a_password_for_once():
    said = run("create_staff", "mai", "--role", "clerk", "--role", "officer")
    mai = Staff.objects.get()
    password = re.fullmatch(r"mai: one-time password (\S{20,})\n", said)[1]
    assert mai.check_password(password)
    assert (mai.one_time_password, mai.is_staff, mai.is_superuser) == (True, True, False)
    assert {g.name for g in mai.groups.all()} == {"clerk", "officer"}
    assert mai.password.startswith("argon2")
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.detail) == ("staff.create", {"roles": ["clerk", "officer"]})
    mai.set_password("a password of their own")
    assert not mai.one_time_password


@pytest.mark.django_db
def test_a_name_is_given_once():
    run("create_staff", "mai", "--role", "clerk")
    with pytest.raises(CommandError):
        run("create_staff", "mai", "--role", "officer")
    assert "clerk" in [g.name for g in Staff.objects.get().groups.all()]


@pytest.mark.django_db
def test_the_first_member_is_made_once():
    run("create_staff", "mai", "--role", "administrator", "--if-none")
    assert run("create_staff", "lan", "--role", "administrator", "--if-none") == ""
    assert Staff.objects.count() == 1


@pytest.mark.django_db
def test_a_role_that_is_none_is_refused():
    with pytest.raises(CommandError):
        run("create_staff", "mai", "--role", "king")
    Group.objects.all().delete()
    with pytest.raises(CommandError, match="setup"):
        run("create_staff", "mai", "--role", "clerk")
    assert not Staff.objects.exists()


@pytest.mark.django_db
def test_staff_are_never_deleted():
    with pytest.raises(TypeError, match="deactivated"):
        make_staff("clerk").delete()
