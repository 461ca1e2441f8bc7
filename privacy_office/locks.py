"""Gives a piece of work to one process at a time, on whichever host it runs, by the database's advisory locks."""

from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(work):
    """Hold the lock of a `work`, by its number, for as long as the block takes; yield whether it was free. It ends with the session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [work])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [work])
