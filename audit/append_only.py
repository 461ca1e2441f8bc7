"""A migration operation that makes a table append-only in the database itself."""

from django.db.migrations.operations.base import Operation, OperationCategory

FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
ROWS = "CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {when} EXECUTE FUNCTION refuse_change()"
STATEMENTS = "CREATE TRIGGER {table}_{event} BEFORE {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"


class AppendOnly(Operation):
    """Refuse UPDATE, DELETE and TRUNCATE on a model's table; with `when`, only the UPDATE and DELETE of rows for which it holds."""

    category = OperationCategory.SQL
    reversible = True

    def __init__(self, model, when=None):
        self.model, self.when = model, when

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        table = to_state.apps.get_model(app_label, self.model)._meta.db_table
        schema_editor.execute(FUNCTION, None)
        schema_editor.execute(ROWS.format(table=table, when=f"WHEN ({self.when})" if self.when else ""), None)
        for event in ("truncate",) if self.when else ("update", "delete", "truncate"):
            schema_editor.execute(STATEMENTS.format(table=table, event=event))

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        table = from_state.apps.get_model(app_label, self.model)._meta.db_table
        for event in ("rows", "update", "delete", "truncate"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{event} ON {table}")

    def describe(self):
        return f"Make {self.model} append-only"
