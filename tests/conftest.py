"""What every database test starts from: the rows that `setup` loads."""

from pathlib import Path

import hypothesis
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import translation

from tests.sink import Sink

hypothesis.settings.register_profile("office", deadline=None)  # how long an example takes tells of the machine
hypothesis.settings.load_profile("office")
KEPT = ("django_migrations", "django_content_type", "auth_permission")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        call_command("setup", verbosity=0)


@pytest.fixture(autouse=True)
def anchors(settings, tmp_path):
    """An anchor file that ends with the test, as its checkpoints do."""
    settings.AUDIT_ANCHORS = str(tmp_path / "anchors" / "anchors.jsonl")
    settings.ERASURE_JOURNAL = str(tmp_path / "anchors" / "erasures.jsonl")
    settings.MAIL_JOURNALS = str(tmp_path / "journals")
    return Path(settings.AUDIT_ANCHORS)


@pytest.fixture
def committed_db(django_db_setup, django_db_blocker):
    """A database whose rows other connections see; emptied and set up again afterwards.

    Used instead of `transaction=True`, whose flush the append-only triggers refuse: here they sleep while it is emptied.
    """
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            tables = [table for table in connection.introspection.table_names(cursor) if table not in KEPT]
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
            cursor.execute("SET session_replication_role = DEFAULT")
        call_command("setup", verbosity=0)


@pytest.fixture
def quick(settings):
    """Spare a thousand requests what none of their rules is about."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def english():
    """Have refusals said in the words of the code."""
    with translation.override("en"):
        yield


@pytest.fixture
def broken_front(db):
    """A front page that fails: a table that it asks is away until the test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_policyversion RENAME TO away")


@pytest.fixture
def sign_in(client):
    """A function that signs a member of a role in, with a fresh second factor, and returns the browser."""
    from tests.make import make_staff, prove  # not before Django is set up

    def sign_in(role, name=None):
        client.force_login(make_staff(role, name))
        prove(client)
        return client

    return sign_in


@pytest.fixture
def sink(settings):
    """A mail server that the postman sends to."""
    from mailings import postman  # not before Django is set up

    with Sink() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        postman.relay.close()
        yield server
        postman.relay.close()
