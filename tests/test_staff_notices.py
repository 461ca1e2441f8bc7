"""Staff are told by mail of what concerns their own sign-in: at least once, with nothing in it to steal."""

import smtplib

import pytest
from django.core import mail
from django.db import connections, transaction

from privacy_office.models import Staff, StaffNotice
from privacy_office.tasks import tell_staff
from tests.make import make_staff

SIGN_IN = StaffNotice.Kind.SIGN_IN


@pytest.fixture
def officer(db):
    officer = make_staff("officer", "olga")
    officer.email = "olga@example.org"
    officer.save()
    return officer


def tell(*members, kind=SIGN_IN):
    return StaffNotice.objects.tell(members, kind)


def unsent():
    return StaffNotice.objects.unsent().count()


@pytest.mark.parametrize("kind", StaffNotice.Kind)
def test_every_kind_is_one_short_mail_without_a_link(officer, kind):
    (notice,) = tell(officer, kind=kind)
    tell_staff()
    (sent,) = mail.outbox
    assert sent.to == ["olga@example.org"] and "olga" in sent.body and "://" not in sent.body and sent.subject
    assert sent.message()["Auto-Submitted"] == "auto-generated" and f"<staff-{notice.pk}@" in sent.message()["Message-ID"]
    tell_staff()
    assert len(mail.outbox) == 1


def test_the_mail_is_in_the_language_of_the_site(officer, settings):
    settings.LANGUAGE_CODE = "en"
    tell(officer)
    tell_staff()
    assert mail.outbox[0].subject.startswith("A new sign-in to your account")


def test_who_has_no_address_is_told_nothing_and_nothing_waits(db):
    tell(make_staff("clerk"))
    tell_staff()
    assert not mail.outbox and not unsent()


def test_a_notice_goes_with_its_transaction(officer):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(officer)
        raise ZeroDivisionError
    assert not unsent()


def test_a_mail_server_that_is_away_delays_and_loses_nothing(officer, settings):
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", 9  # nobody listens there
    tell(officer, officer)
    tell_staff()
    assert unsent() == 2
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    tell_staff()
    assert not unsent() and len(mail.outbox) == 2


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        (smtplib.SMTPRecipientsRefused({"olga@example.org": (450, b"later")}), 1),
        (smtplib.SMTPDataError(554, b"no"), 1),
        (smtplib.SMTPRecipientsRefused({"olga@example.org": (550, b"unknown")}), 0),
    ],
)
def test_a_refused_mail_keeps_no_other_waiting_and_an_unknown_address_is_not_asked_again(officer, monkeypatch, refused, left):
    deliver = mail.EmailMessage.send
    monkeypatch.setattr(mail.EmailMessage, "send", lambda m: deliver(m) if m.to != [officer.email] else (_ for _ in ()).throw(refused))
    clerk = make_staff("clerk")
    clerk.email = "clerk@example.org"
    clerk.save()
    tell(officer, clerk)
    tell_staff()
    assert [m.to for m in mail.outbox] == [["clerk@example.org"]] and unsent() == left


def test_two_workers_never_send_the_same_notice(committed_db):
    officer = Staff.objects.create(username="olga", email="olga@example.org")
    first, _second = tell(officer, officer)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute("SELECT id FROM privacy_office_staffnotice WHERE id = %s FOR UPDATE", [first.pk])
            tell_staff()
            assert len(mail.outbox) == 1 and unsent() == 1
            other.rollback()
    finally:
        other.close()
    tell_staff()
    assert len(mail.outbox) == 2 and not unsent()


def test_a_role_has_its_active_members(db):
    olga, otto = make_staff("officer", "olga"), make_staff("officer", "otto")
    make_staff("clerk")
    otto.is_active = False
    otto.save()
    assert list(Staff.objects.in_role("officer")) == [olga]
