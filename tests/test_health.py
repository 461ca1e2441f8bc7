"""What probes and monitors may learn: whether each part works, in a word, and numbers of rows. Never a host, an exception or a person."""

import io
import json
import logging
import re
import runpy
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from audit import sealing
from audit.models import Verification
from customers.models import Notice
from mailings.models import Message
from privacy_office import health, logs, metrics
from privacy_office.celery import app
from privacy_office.models import Canary
from tests.make import consent, make_campaign, make_customer, make_hold, make_request, make_staff, propose
from tests.walk import PLAIN, SECRETS, make_office

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "a-token-of-forty-characters-drawn-randomly"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def mail_is_asked_anew():
    health.mail.cache_clear()


@pytest.fixture
def nowhere():
    """A port on which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ready(client):
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


# Probes


def test_healthz_answers_whatever_the_database_does(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert client.get("/healthz").text == "ok\n"


def test_readyz_says_of_each_part_that_it_is_well(client, sink):
    parts = ("database", "migrations", "keys", "audit", "broker", "mail")
    assert ready(client) == (200, dict.fromkeys(parts, "ok"))


def test_a_broker_that_is_away_is_told_and_keeps_traffic_out(client, sink, settings, nowhere):
    settings.REDIS_URL = f"redis://:pa55word@127.0.0.1:{nowhere}/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json()["broker"] == "away"
    assert "pa55word" not in answer.text and "127.0.0.1" not in answer.text and "Error" not in answer.text


def test_a_mail_server_that_is_away_is_told_and_keeps_nobody_out(client, settings, nowhere):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", nowhere
    assert ready(client)[0] == 200 and ready(client)[1]["mail"] == "away"


def test_a_mail_server_that_says_nothing_is_waited_for_two_seconds_and_no_more(client, settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
        began = timezone.now()
        assert ready(client)[1]["mail"] == "away"
    assert timezone.now() - began < timedelta(seconds=4)


def test_a_storm_of_probes_asks_the_mail_server_once(client, settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
        with ThreadPoolExecutor(8) as probes:
            assert set(probes.map(health.mail_in, [7] * 40)) == {"away"}
        silent.settimeout(0.1)
        silent.accept()[0].close()
        with pytest.raises(TimeoutError):
            silent.accept()


def test_keys_that_do_not_fit_are_told(client):
    make_customer()
    Canary.objects.all().delete()
    assert ready(client)[0] == 503 and ready(client)[1]["keys"] == "wrong"


def test_a_migration_that_is_not_applied_is_told(client):
    MigrationRecorder(connection).record_unapplied("mailings", "0001_tables")
    assert ready(client)[0] == 503 and ready(client)[1]["migrations"] == "behind"


def test_a_migration_of_a_newer_office_keeps_nobody_out(client):
    MigrationRecorder(connection).record_applied("mailings", "9999_next_year")
    assert ready(client)[1]["migrations"] == "ok"


# Metrics


@pytest.fixture
def scrape(client, settings, sink):
    """A function that returns {name: {labels: value}} of what Prometheus gets."""
    settings.METRICS_TOKEN = TOKEN

    def scrape():
        answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain; version=")
        found = {}
        for family in text_string_to_metric_families(answer.text):
            assert family.type == "gauge" and family.documentation, family.name
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found

    return scrape


def test_without_a_token_of_its_own_an_office_has_no_metrics(client, settings):
    assert settings.METRICS_TOKEN == ""
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ắ"])
def test_only_the_token_opens_the_metrics(client, settings, given):
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"authorization": given})
    assert (answer.status_code, answer["WWW-Authenticate"], answer.content) == (401, "Bearer", b"")


def test_no_role_opens_the_metrics(client, settings):
    settings.METRICS_TOKEN = TOKEN
    client.force_login(make_staff("administrator"))
    assert client.get("/metrics").status_code == 401


def test_a_weak_token_stops_the_start(monkeypatch):
    monkeypatch.setenv("METRICS_TOKEN", "short")
    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN is weak"):
        runpy.run_path(str(ROOT / "privacy_office" / "settings.py"))


def test_metrics_count_what_waits_and_what_is_late(scrape):
    quiet = scrape()
    assert quiet["office_messages_open"] == {("queued",): 0, ("claimed",): 0} and quiet["office_message_oldest_due_seconds"] == {(): 0}
    assert quiet["office_part_ok"] == dict.fromkeys([(part,) for part in health.CHECKS], 1)
    ann, binh = make_customer("ann"), make_customer("binh")
    make_hold(ann)
    campaign = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    hour_ago = timezone.now() - timedelta(hours=1)
    for customer, state in ((ann, "queued"), (binh, "claimed")):
        Message.objects.create(campaign=campaign, customer=customer, purpose=campaign.purpose, state=state, not_before=hour_ago)
    make_request(binh, "copy")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_rightsrequest SET due_on = '2020-01-01'")
    propose(binh, value="+84903777777")
    now = scrape()
    assert now["office_messages_open"] == {("queued",): 1, ("claimed",): 1}
    assert now["office_messages_waiting"] == {("notice",): 0, ("renewal",): 0, ("campaign",): 1}, "one is in hand already"
    assert 3600 <= now["office_message_oldest_due_seconds"][()] < 3660
    assert now["office_holds_open"] == {(): 1} and now["office_requests_late"] == {(): 1} and now["office_corrections_waiting"] == {(): 1}
    assert now["office_corrections_late"] == now["office_disclosures_late"] == now["office_breaches_late"] == {(): 0}


def test_metrics_say_how_old_the_trails_newest_seal_and_verification_are(scrape):
    sealing.seal()
    assert scrape()["office_entry_oldest_unsealed_seconds"] == {(): 0}
    make_customer()
    first = scrape()
    assert 0 < first["office_entry_oldest_unsealed_seconds"][()] < 60
    assert first["office_verification_problems"] == {(): 0}
    Verification.objects.create(entries=1, checkpoints=1, rows=1, seconds=1, problems=[{"at": "entry 1"}, {"at": "entry 2"}])
    later = scrape()
    assert later["office_verification_problems"] == {(): 2} and later["office_part_ok"][("audit",)] == 0
    assert 3590 <= metrics.numbers(timezone.now() + timedelta(hours=1))["verification_age_seconds"] < 3660


def test_metrics_say_how_much_lies_in_each_queue(scrape, settings):
    with Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete("drain")
        broker.lpush("drain", "{}", "{}", "{}")
        try:
            assert scrape()["office_queue_length"] == {("celery",): 0, ("notices",): 0, ("drain",): 3}
        finally:
            broker.delete("drain")
    assert {queue["queue"] for queue in app.conf.task_routes.values()} | {"celery"} == set(metrics.QUEUES)


def test_metrics_count_the_messages_that_wait_by_kind(scrape):
    ann = make_customer("ann")
    campaign = make_campaign(by=make_staff("marketer"), approved_by=make_staff("approver"))
    consent(ann)
    campaign.launch(by=make_staff("approver"))
    Notice.tell(ann, Notice.Kind.SIGN_IN)
    Message.objects.queue_notices()
    notices = Message.objects.filter(campaign=None).count()
    assert scrape()["office_messages_waiting"] == {("notice",): notices, ("renewal",): 0, ("campaign",): 1} and notices


def test_a_worker_counts_as_long_as_it_spoke_lately(scrape, settings):
    with Redis.from_url(settings.REDIS_URL) as broker:
        try:
            health.worker_lives("celery@one")
            health.worker_lives("celery@one")
            health.worker_lives("celery@two")
            assert scrape()["office_workers"] == {(): 2}
            broker.zadd(health.WORKERS, {"celery@two": broker.time()[0] - health.ALIVE - 1})
            assert scrape()["office_workers"] == {(): 1}
            health.worker_lives("celery@one")
            assert broker.zrange(health.WORKERS, 0, -1) == [b"celery@one"], "who is gone for long is forgotten"
        finally:
            broker.delete(health.WORKERS)


def test_without_a_broker_the_other_metrics_are_there(scrape, settings, nowhere):
    settings.REDIS_URL = f"redis://127.0.0.1:{nowhere}/0"
    found = scrape()
    assert found["office_part_ok"][("broker",)] == 0 and "office_queue_length" not in found and "office_messages_open" in found


def queries(scrape):
    with CaptureQueriesContext(
        connection,
    ) as caught:
        scrape()
    return [query["sql"] for query in caught]


def test_a_scrape_takes_the_same_few_queries_however_many_rows_and_counts_no_further_than_its_bound(scrape, monkeypatch):
    before = len(queries(scrape))
    for number in range(5):
        make_hold(make_customer(f"c{number}"))
    after = queries(scrape)
    assert len(after) == before < 25
    counts = [sql for sql in after if "COUNT(" in sql.upper()]
    assert counts and not [sql for sql in counts if "LIMIT" not in sql]
    monkeypatch.setattr(metrics, "MOST", 3)
    assert scrape()["office_holds_open"] == {(): 3}


def test_no_metric_shows_a_person_or_an_identifier(client, settings, scrape):
    make_office()
    text = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    assert not [secret for secret in (*SECRETS, "REF-", "staff:") if secret in text]
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text) and not re.search(r'(id|pk|ref|customer)="', text)


# The number of a request


@contextmanager
def heard(monkeypatch):
    """Collect what the office writes down, as lines of JSON."""
    monkeypatch.setenv("LOG_FORMAT", "json")
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.Formatter())
    logging.root.addHandler(handler)
    lines = []
    try:
        yield lines
    finally:
        logging.root.removeHandler(handler)
        lines += map(json.loads, written.getvalue().splitlines())


def test_a_requests_line_in_the_log_has_the_number_that_its_answer_has_and_no_persons_address(client, monkeypatch):
    with heard(monkeypatch) as lines:
        answer = client.get(f"/link/sign-in/{'0f3a' * 8}/?email={PLAIN['email']}")
    (line,) = [line for line in lines if line["logger"] == "privacy_office.middleware"]
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"]) and line["request_id"] == answer["X-Request-ID"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "link/sign-in/<str:token>/", answer.status_code) and line[
        "milliseconds"
    ] >= 0
    assert "0f3a0f3a" not in json.dumps(lines) and "tuyet" not in json.dumps(lines)


def test_whatever_is_logged_during_a_request_has_its_number(monkeypatch, broken_front):
    with heard(monkeypatch) as lines:
        answer = Client(raise_request_exception=False).get("/")
        logging.getLogger("afterwards").warning("no request")
    assert answer.status_code == 500
    assert {line.get("request_id") for line in lines if line["logger"] != "afterwards"} == {answer["X-Request-ID"]}
    assert "request_id" not in lines[-1]


def test_two_requests_have_two_numbers(client):
    assert client.get("/healthz")["X-Request-ID"] != client.get("/healthz")["X-Request-ID"]


def test_a_proxys_number_is_kept(client):
    number = "0123456789abcdef" * 2
    assert client.get("/healthz", headers={"x-request-id": number})["X-Request-ID"] == number


@pytest.mark.parametrize("odd", ["", "1", "a" * 33, "A" * 32, PLAIN["email"], "0903123456", "a" * 31 + "\n", "a" * 31 + "é"])
def test_whatever_is_no_number_is_not_kept(client, odd):
    number = client.get("/healthz", headers={"x-request-id": odd})["X-Request-ID"]
    assert number != odd and re.fullmatch(r"[0-9a-f]{32}", number)


def test_an_address_that_no_route_takes_is_not_written_down(client, monkeypatch):
    with heard(monkeypatch) as lines:
        client.get("/anh.tuyet/")
        client.get("/static/office.css").close()
    assert [(line["route"], line["status"]) for line in lines if line["logger"] == "privacy_office.middleware"] == [("", 404)]
    assert "tuyet" not in json.dumps(lines)


def test_probes_leave_no_line(client, monkeypatch):
    with heard(monkeypatch) as lines:
        for address in ("/healthz", "/readyz", "/metrics"):
            client.get(address)
    assert not [line for line in lines if line["logger"] == "privacy_office.middleware"]
