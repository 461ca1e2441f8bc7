from django.conf import settings
from django.db import migrations

from privacy_office.keys import version


def name_the_key(apps, schema_editor):
    """Until now there was one index key: the last of the list. The end of what it made gives way to its version."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "UPDATE privacy_office_canary SET token_index = substr(token_index, 1, 14) || %s", [version(settings.BLIND_INDEX_KEY[-1])]
        )


class Migration(migrations.Migration):
    dependencies = [("privacy_office", "0003_session_series")]
    operations = [migrations.RunPython(name_the_key)]
