"""What is in the logs and on the error pages: rows and lines of code, never a person, whatever goes wrong with whom."""

import io
import json
import logging
import logging.config
import subprocess
import sys
import types

import pytest
from celery import signals
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db import IntegrityError, connection, transaction
from django.http import Http404
from django.test import Client
from django.urls import include, path
from django.utils.log import AdminEmailHandler
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from customers.models import Customer
from privacy_office import errors, logs
from privacy_office.celery import app
from privacy_office.gunicorn import Logger
from tests.make import make_customer, make_staff
from tests.walk import PLAIN

TOKEN = "gAAAAABrA19-dsq-c9pn9l0fLMrsNGctElHVenNNuYeGH-UqfUSX0K2WHOIcP5tLnFjtpmfFpFmWDbr25hT-may1Dvpgpg_lMQ=="
HIDDEN = [
    "anh.tuyet@example.org", "ANH.Tuyet+vps@Example.ORG", "ánh@ví-dụ.vn", "tuyet@mail.ví-dụ.vn", "anh.tuyet%40example.org",
    '"anh tuyet"@example.org', "tuyet@[192.0.2.7]", "tuyet＠example.org", "<tuyet@example.org>", "mailto:tuyet@example.org",
    "+84903123456", "+84 903 123 456", "+84-(0)903-123-456", "0084903123456", "84903123456", "0903123456", "0903.123.456", "0903 123 456",
    "(024) 7300 0000", "024-7300-0000", "%2B84903123456",
    TOKEN, f"?q={TOKEN}", TOKEN.replace("=", "%3D"),
    "/unsubscribe/0f3a.Zm9v/", "/preferences/abc-DEF_1:x/", "/leave/aHR0cHM6/?x=1", "/link/abcdef0123/", "https://o.example/link/abcdef0123",
    "Authorization: Bearer abc.def", "HTTP_AUTHORIZATION=Basic dTpw", "'Cookie': '__Host-session=abc; __Host-csrf=def'",
    "Set-Cookie: session=abc", "csrfmiddlewaretoken=Zm9v", "password=hunter2", '{"secret": "hoa-mai"}', "redis://:pa55word@host/0",
    'DETAIL:  Key (ref)=(Trần Thị Tuyết) already exists.', "DETAIL:  Failing row contains (1, Tuyết,\n9 Ngõ Bí Mật).",
]  # fmt: skip
GONE = (
    "tuyet", "ánh", "mail.ví", "903", "7300", "gAAAAA", "0f3a", "Zm9v", "abc", "def", "aHR0", "dTpw", "hunter2", "hoa-mai", "pa55word",
    "Tuyết", "Bí Mật", "192.0.2",
)  # fmt: skip
KEPT = [
    "mailings.tasks.sweep took 0.123456789 s", "message 12345678 of 2026-11-22 08:00:01", "customers.customer:12", "GET /admin/customers/",
    "3f2c8a10-9d4e-4c55-8a3b-0123456789ab", "    @app.task", "250 2.1.5 ok", "port 8000, process 31415", "/unsubscribe/", "/myths/of/old/",
]  # fmt: skip


def line(**fields):
    """Return what a handler of the office writes for a record."""
    return logs.Formatter().format(logging.makeLogRecord({"name": "x", "levelno": 40, "levelname": "ERROR", **fields}))


@pytest.mark.parametrize("text", HIDDEN)
def test_what_looks_like_a_person_or_a_key_is_masked(text):
    for sentence in (text, f"it was {text}, it seems", f"({text})", f"{{'to': '{text}'}}", f"a={text}\nb"):
        written = line(msg=sentence)
        assert not [piece for piece in GONE if piece in written.casefold() or piece in written], written
    assert "it was" in line(msg=f"it was {text}, it seems")


@pytest.mark.parametrize("text", KEPT)
def test_what_says_nothing_of_a_person_stays_readable(text):
    assert text in line(msg=text)


@given(
    local=st.from_regex(r"[A-Za-z0-9à-ỹ][A-Za-z0-9à-ỹ._+\-]{0,30}", fullmatch=True),
    domain=st.from_regex(r"[a-z0-9à-ỹ\-]{1,20}(\.[a-z0-9\-]{1,10}){0,2}\.(vn|com|org)", fullmatch=True),
    around=st.sampled_from(["{}", "<{}>", "to {}: 550 no such user", "['{}']", 'user="{}";', "{},b", "\t{}\n"]),
)
def test_any_address_is_masked_wherever_it_stands(local, domain, around):
    assert domain not in logs.masked(around.format(f"{local}@{domain}"))


@given(
    number=st.from_regex(r"(3|5|7|8|9)[0-9]{8}", fullmatch=True),
    prefix=st.sampled_from(["0", "+84", "+84 ", "0084", "84", "(+84)", "+84.0"]),
    gaps=st.lists(st.sampled_from(["", " ", ".", "-", "\u00a0"]), min_size=9, max_size=9),
)
def test_any_usual_spelling_of_a_phone_is_masked(number, prefix, gaps):
    spelled = prefix + "".join(digit + gap for digit, gap in zip(number[:-1], gaps, strict=False)) + number[-1]
    assert number[-4:] not in logs.masked(f"call {spelled}, please")


def failure(words, kind=ValueError):
    """Return an exception with its traceback, as if code had stumbled over `words`."""
    full_name = words  # a local variable, as code that works with people has them
    try:
        try:
            raise kind(full_name)
        except kind as first:
            raise RuntimeError(f"{full_name} again") from first
    except RuntimeError as error:
        return error


def test_an_exception_leaves_its_lines_of_code_and_not_one_of_its_words():
    error = failure(PLAIN["full_name"])
    written = line(msg="%s: %r", args=("trouble", error), exc_info=(type(error), error, error.__traceback__))
    assert "Tuyết" not in written and "Trần" not in written
    assert written.count("in failure") == 2 and "raise kind(full_name)" in written and "ValueError" in written and "RuntimeError" in written
    assert "Tuyết" not in line(msg=error)
    assert "SECRET_KEY is missing" in line(msg="%s", args=(ImproperlyConfigured("SECRET_KEY is missing"),)), "code's own words are kept"


def test_exceptions_that_lead_to_each_other_end():
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert logs.story(first).count("ValueError") == 2


@pytest.mark.django_db
def test_a_database_error_names_its_constraint_and_none_of_the_values():
    ann = make_customer("REF-ANN", **PLAIN)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Customer.objects.bulk_create([Customer(ref=ann.ref)])
    error = caught.value
    assert "REF-ANN" in str(error), "else there is nothing to hide"
    written = line(msg="Internal Server Error: %s", args=("/",), exc_info=(type(error), error, error.__traceback__))
    assert "REF-ANN" not in written and "DETAIL" not in written
    assert "23505" in written and "customers_customer_ref" in written


def test_lines_are_json_where_that_is_asked_for_and_stay_so_whatever_is_masked(monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "json")
    error = failure("anh.tuyet@example.org")
    written = line(msg='he said "%s"\nand \\ left', args=("anh.tuyet@example.org",), exc_info=(type(error), error, error.__traceback__))
    fields = json.loads(written)
    assert "\n" not in written and fields["level"] == "error" and fields["logger"] == "x" and fields["timestamp"].endswith("Z")
    assert fields["event"] == 'he said "[e-mail]"\nand \\ left' and "tuyet" not in written and "in failure" in fields["exception"]


def test_a_record_is_left_as_it_was_for_other_handlers():
    record = logging.makeLogRecord({"msg": "%d of %s", "args": (3, "anh.tuyet@example.org")})
    assert "3 of [e-mail]" in logs.Formatter().format(record)
    assert record.getMessage() == "3 of anh.tuyet@example.org"


def test_nothing_is_logged_past_the_redaction_and_no_mail_is_sent_of_errors():
    assert not django_settings.ADMINS and not django_settings.MANAGERS
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    handlers = {handler for logger in loggers for handler in logger.handlers if not type(handler).__module__.startswith("_pytest")}
    assert handlers and not [handler for handler in handlers if isinstance(handler, AdminEmailHandler)]
    ours = {handler for handler in handlers if not isinstance(handler, logging.NullHandler)}
    assert {type(handler.formatter) for handler in ours} == {logs.Formatter}, ours


# Celery and gunicorn


def test_celery_leaves_logging_to_the_office_and_keeps_its_level(monkeypatch):
    configured = []
    monkeypatch.setattr(logging.config, "dictConfig", configured.append)
    level = logging.root.level
    try:
        answers = signals.setup_logging.send(sender=None, loglevel=logging.ERROR, logfile=None, format="", colorize=False)
        assert answers and configured == [django_settings.LOGGING] and logging.root.level == logging.ERROR
    finally:
        logging.root.setLevel(level)


def test_a_task_that_fails_leaves_none_of_the_words_it_failed_with():
    def fails():
        raise ValueError(PLAIN["full_name"])

    app.task(name="tests.fails")(fails)
    written, logger = io.StringIO(), logging.getLogger("celery.app.trace")
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.Formatter())
    logger.addHandler(handler)
    try:
        app.tasks["tests.fails"].apply()
    finally:
        logger.removeHandler(handler)
        del app.tasks["tests.fails"]
    assert "tests.fails" in written.getvalue() and "ValueError" in written.getvalue() and "Tuyết" not in written.getvalue()


def test_gunicorn_writes_through_the_office_too():
    config = Config()
    config.set("errorlog", "-")
    logger = Logger(config)
    assert {type(handler.formatter) for handler in logger.error_log.handlers} == {logs.Formatter}


def test_a_command_that_ends_in_an_exception_says_where_and_not_with_what():
    program = "import sys; from privacy_office import logs; sys.excepthook = logs.hook; int(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, PLAIN["full_name"]], capture_output=True, text=True)
    assert done.returncode == 1 and "ValueError: (words left out)" in done.stderr and "Tuyết" not in done.stderr


# Error pages


def stumble(request, how):
    customer = Customer.objects.get(ref="REF-ANN")
    full_name, email, phone = customer.full_name, customer.email, customer.phone
    with connection.cursor() as cursor:
        if how == "database":
            cursor.execute("SELECT %s::int", [f"{full_name} {email}"])
    raise {"bad": SuspiciousOperation, "denied": PermissionDenied, "gone": Http404}.get(how, ValueError)(f"{full_name} {email} {phone}")


urls = types.ModuleType("tests.stumbling")
urls.urlpatterns = [path("stumble/<how>/", stumble), path("", include("privacy_office.urls"))]
urls.handler400, urls.handler403 = "privacy_office.errors.bad_request", "privacy_office.admin.forbidden"
urls.handler404, urls.handler500 = "privacy_office.errors.not_found", "privacy_office.errors.server_error"


@pytest.mark.django_db
@pytest.mark.parametrize("how,status", [("bad", 400), ("denied", 403), ("gone", 404), ("python", 500), ("database", 500)])
def test_a_view_that_stumbles_over_a_customer_leaves_nothing_of_them_in_page_or_log(settings, how, status):
    make_customer("REF-ANN", **PLAIN)
    settings.ROOT_URLCONF = urls
    heard = io.StringIO()
    handler = next(handler for handler in logging.root.handlers if isinstance(handler.formatter, logs.Formatter))
    before = handler.setStream(heard)
    try:
        client = Client(raise_request_exception=False)
        client.cookies["session"] = "a-session-key"
        headers = {"accept-language": "en", "authorization": "Basic dTpw"}
        answer = client.post(f"/stumble/{how}/?email={PLAIN['email']}", PLAIN, headers=headers)
    finally:
        handler.setStream(before)
    assert (answer.status_code == status and "office.css" in answer.text and "Nothing" in answer.text) or "nothing" in answer.text
    assert not [s for s in (*PLAIN.values(), "Tuyết", "a-session-key", "dTpw", "/stumble/") if s in answer.text]
    assert not [s for s in (*PLAIN.values(), "Tuyết", "a-session-key", "dTpw") if s in heard.getvalue()]
    if status == 500:
        assert "in stumble" in heard.getvalue()


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "503"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_error_pages_need_neither_database_nor_session_and_show_nothing_of_the_request(rf, name, language):
    """No database is allowed in this test at all."""
    request = rf.get("/link/abcdef/?q=Tuyết", headers={"accept-language": language})
    text = errors.page(request, name, 500).text
    assert f'<html lang="{language}">' in text and "<h1>" in text
    assert "abcdef" not in text and "Tuyết" not in text and "style=" not in text and "<script" not in text
    request.resolver_match = types.SimpleNamespace(app_names=["admin"])
    assert "staff.css" in errors.page(request, name, 500).text


@pytest.mark.django_db
def test_a_form_without_its_token_is_refused_kindly_and_says_that_the_text_is_not_lost():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff("marketer"))
    answer = client.post("/admin/mailings/campaign/add/", {"subject": "typed"}, headers={"accept-language": "en"})
    assert answer.status_code == 403 and "still there" in answer.text and "staff.css" in answer.text


@pytest.mark.django_db
def test_what_is_not_open_to_staff_is_said_in_their_look(client):
    client.force_login(make_staff("auditor"))
    answer = client.get("/admin/privacy_office/staff/", headers={"accept-language": "en"})
    assert answer.status_code == 403 and "administrator" in answer.text and "staff.css" in answer.text
    assert client.get("/admin/nowhere/").status_code == 404
