"""An office of a benchmark's own: a new database with the office's tables and rows, and keys of its own; gone at the end."""

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from privacy_office import embedded, keys  # noqa: E402  (found only now, as a benchmark is run by its path)


@contextmanager
def own_database(durable=False):
    """Have Django set up on a new database of the server that DATABASE_URL names, or of a throw-away one; touch no other."""
    with embedded.servers(throwaway=True, durable=durable), tempfile.TemporaryDirectory() as folder:
        keys.make(folder)
        os.environ.update({name: (Path(folder) / name).read_text().strip() for name in keys.NAMES})
        server, name = os.environ["DATABASE_URL"], f"benchmark_{os.getpid()}"
        with psycopg.connect(server, autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name}")
            os.environ["DATABASE_URL"] = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
            os.environ["DJANGO_SETTINGS_MODULE"] = "privacy_office.settings"
            try:
                django.setup()
                call_command("migrate", verbosity=0)
                call_command("setup", verbosity=0)
                yield
            finally:
                connection.close()
                database.execute(f"DROP DATABASE {name} WITH (FORCE)")
