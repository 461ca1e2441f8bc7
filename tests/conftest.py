"""What every database test starts from: the rows that `setup` loads."""

import pytest
from django.core.management import call_command
from django.db import connection

KEPT = ("django_migrations", "django_content_type", "auth_permission")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        call_command("setup", verbosity=0)


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
