from django.db import migrations

from audit.append_only import AppendOnly

# The purposes that a published version changes are part of it: they decide whose consent still counts.
CHANGES = """
CREATE FUNCTION refuse_change_of_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR EXISTS (SELECT 1 FROM consent_policyversion WHERE published_at IS NOT NULL
                                      AND (id = OLD.policyversion_id OR id = NEW.policyversion_id)) THEN
        RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER consent_policyversion_changes_rows BEFORE INSERT OR UPDATE OR DELETE ON consent_policyversion_changes
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();
CREATE TRIGGER consent_policyversion_changes_truncate BEFORE TRUNCATE ON consent_policyversion_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_published();
"""


class Migration(migrations.Migration):
    replaces = [("consent", "0011_counts")]
    dependencies = [("consent", "0002_tables_of_customers")]
    operations = [
        AppendOnly("ConsentEvent"),
        AppendOnly("Acknowledgement"),
        AppendOnly("PolicyVersion", when="OLD.published_at IS NOT NULL"),  # a draft may change, what was published never
        migrations.RunSQL(CHANGES, "DROP FUNCTION refuse_change_of_published CASCADE"),
    ]
