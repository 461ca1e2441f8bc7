"""Gives the database role that web and workers sign in with what they need, and no right to change or remove what is append-only."""

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from psycopg import sql

APPEND_ONLY = """
SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE p.proname = 'refuse_change' AND t.tgname = c.relname || '_update'
"""
GRANTS = [
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "REVOKE UPDATE, DELETE, TRUNCATE ON {append_only} FROM {role}",
]


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument(
            "role", help="a role of the database that exists and owns nothing; run this as the tables' owner, after migrate"
        )

    @transaction.atomic
    def handle(self, role, **options):
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
            found = cursor.fetchone()
            if found is None:
                raise CommandError(f"There is no role {role}: CREATE ROLE {role} LOGIN, with a password of its own.")
            if found[0]:
                raise CommandError(f"{role} is a superuser, whom no grant binds: give web and workers another role.")
            cursor.execute(APPEND_ONLY)
            tables = sorted(name for (name,) in cursor.fetchall())
            names = {"role": sql.Identifier(role), "append_only": sql.SQL(", ").join(map(sql.Identifier, tables))}
            for grant in GRANTS:
                cursor.execute(sql.SQL(grant).format(**names).as_string(cursor.connection))
        self.stdout.write(f"{role} may work, and only add to {', '.join(tables)}.")
