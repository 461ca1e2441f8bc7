import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('audit', '0001_initial'), ('audit', '0002_append_only'), ('audit', '0003_checkpoints')]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, help_text='Set by the database when the entry was written.', verbose_name='at')),
                ('actor', models.CharField(help_text='staff:number, customer:identifier, or system.', max_length=60, verbose_name='actor')),
                ('action', models.CharField(help_text='What was done: noun.verb.', max_length=60, verbose_name='action')),
                ('object', models.CharField(blank=True, help_text='The row it was done to: app.model:number.', max_length=80, verbose_name='object')),
                ('subject', models.UUIDField(help_text='The customer it was about, by random identifier.', null=True, verbose_name='subject')),
                ('clause', models.CharField(blank=True, help_text="The policy's clause that it rests on.", max_length=10, verbose_name='clause')),
                ('detail', models.JSONField(default=dict, help_text='Field names, counts and reasons; never values of personal data.', verbose_name='detail')),
                ('kept', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, help_text="The rows of the object's history that the act wrote.", size=None, verbose_name='history rows')),
                ('commitment', models.CharField(blank=True, help_text='Salted digest of what these rows say, or of the object itself where it is kept for good.', max_length=64, verbose_name='commitment')),
            ],
            options={
                'verbose_name': 'entry',
                'verbose_name_plural': 'entries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['subject', '-id'], name='audit_entry_subject_d1b41a_idx'), models.Index(fields=['object', '-id'], name='audit_entry_object_2fd11e_idx'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['at'], name='entry_at')],
            },
        ),
        migrations.CreateModel(
            name='Unsealed',
            fields=[
                ('entry', models.OneToOneField(db_constraint=False, help_text='Which one waits.', on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='audit.entry', verbose_name='entry')),
            ],
            options={
                'verbose_name': 'unsealed entry',
                'verbose_name_plural': 'unsealed entries',
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('number', models.BigIntegerField(help_text='Counts up from 1 without a gap.', primary_key=True, serialize=False, verbose_name='number')),
                ('at', models.DateTimeField(help_text='When it was sealed.', verbose_name='at')),
                ('size', models.IntegerField(help_text='How many entries it covers.', verbose_name='entries')),
                ('root', models.CharField(help_text='Root of the Merkle tree over the entries.', max_length=64, verbose_name='root')),
                ('previous', models.CharField(help_text='Digest of the checkpoint before; zeros for the first.', max_length=64, verbose_name='previous')),
                ('key', models.CharField(help_text='The Ed25519 public key that its signature answers to.', max_length=64, verbose_name='key')),
                ('signature', models.CharField(help_text='Ed25519 signature of all that stands above.', max_length=128, verbose_name='signature')),
                ('entries', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), help_text='Which entries it covers, in their order.', size=None, verbose_name='numbers of the entries')),
                ('leaves', models.BinaryField(help_text='The hash of each entry, to tell which one was changed.', verbose_name='leaves')),
            ],
            options={
                'verbose_name': 'checkpoint',
                'verbose_name_plural': 'checkpoints',
                'ordering': ['-number'],
                'indexes': [models.Index(fields=['at'], name='audit_check_at_850120_idx')],
            },
        ),
        migrations.CreateModel(
            name='Verification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, help_text='When it ended.', verbose_name='at')),
                ('entries', models.BigIntegerField(help_text='How many entries were read.', verbose_name='entries')),
                ('checkpoints', models.BigIntegerField(help_text='How many checkpoints were read.', verbose_name='checkpoints')),
                ('rows', models.BigIntegerField(help_text='How many rows that entries vouch for were read.', verbose_name='rows')),
                ('problems', models.JSONField(default=list, help_text='What was wrong, first things first: where, and what.', verbose_name='problems')),
                ('seconds', models.FloatField(help_text='How long it took.', verbose_name='seconds')),
            ],
            options={
                'verbose_name': 'verification',
                'verbose_name_plural': 'verifications',
                'ordering': ['-id'],
            },
        ),
    ]
