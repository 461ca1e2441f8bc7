from django.db import migrations

from audit.append_only import AppendOnly

QUEUE = """
CREATE FUNCTION queue_for_sealing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (entry_id) SELECT id FROM written;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_entry_queue AFTER INSERT ON audit_entry REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION queue_for_sealing();
"""


class Migration(migrations.Migration):
    replaces = [("audit", "0004_lists")]
    dependencies = [("audit", "0001_tables")]
    operations = [
        AppendOnly("Entry"),
        AppendOnly("Checkpoint"),
        migrations.RunSQL(QUEUE, "DROP FUNCTION queue_for_sealing CASCADE"),
    ]
