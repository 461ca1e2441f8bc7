import privacy_office.fields
from django.conf import settings
from django.db import migrations, models

from privacy_office.keys import version

# Until now there was one index key: the last of the list. The end of what it made gives way to its version.
BYTES = "UPDATE {table} SET {column} = substr({column}, 1, 14) || %s WHERE {column} IS NOT NULL"
WORDS = "UPDATE customers_customer SET name_index = ARRAY(SELECT w - (w & 65535) + %s FROM unnest(name_index) w)"


def name_the_key(apps, schema_editor):
    made_by = version(settings.BLIND_INDEX_KEY[-1])
    with schema_editor.connection.cursor() as cursor:
        for column in ("email_index", "phone_index", "last4_index"):
            cursor.execute(BYTES.format(table="customers_customer", column=column), [made_by])
        cursor.execute(BYTES.format(table="customers_service", column="identity"), [made_by])
        cursor.execute(WORDS, [int.from_bytes(made_by)])


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0002_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='customer',
            name='email_others',
            field=privacy_office.fields.BlindOthersField(base_field=models.BinaryField(), editable=False, index='email_index', null=True, size=None),
        ),
        migrations.AddField(
            model_name='customer',
            name='phone_others',
            field=privacy_office.fields.BlindOthersField(base_field=models.BinaryField(), editable=False, index='phone_index', null=True, size=None),
        ),
        migrations.AlterField(
            model_name='service',
            name='identity',
            field=privacy_office.fields.BlindIdentityField(help_text="Keyed digest of what tells this service from the customer's others.", kind='service', max_length=16, sources=['product', 'plan', 'started_on', 'access_username'], verbose_name='identity'),
        ),
        migrations.RunPython(name_the_key),
    ]
