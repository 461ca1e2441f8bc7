import django.contrib.postgres.fields
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('consent', '0001_initial'), ('consent', '0002_initial'), ('consent', '0003_initial'), ('consent', '0004_append_only'), ('consent', '0005_index_versions'), ('consent', '0006_confidential'), ('consent', '0007_choices'), ('consent', '0008_policy_publication'), ('consent', '0009_complaints')]

    initial = True

    dependencies = [
        ('privacy_office', '__first__'),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalPurpose',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('code', models.SlugField(help_text='The name that decisions, commands and files use.', verbose_name='code')),
                ('title_vi', models.CharField(help_text='What customers read.', max_length=100, verbose_name='title in Vietnamese')),
                ('title_en', models.CharField(help_text='What customers read.', max_length=100, verbose_name='title in English')),
                ('meaning_vi', models.TextField(blank=True, help_text='What is sent and what for, in a sentence or two, as customers read it.', verbose_name='meaning in Vietnamese')),
                ('meaning_en', models.TextField(blank=True, help_text='As in Vietnamese.', verbose_name='meaning in English')),
                ('frequency_vi', models.CharField(blank=True, help_text='How often, as customers read it: the law asks for it.', max_length=200, verbose_name='frequency in Vietnamese')),
                ('frequency_en', models.CharField(blank=True, help_text='As in Vietnamese.', max_length=200, verbose_name='frequency in English')),
                ('clause', models.CharField(help_text="The policy's clause it rests on.", max_length=10, verbose_name='clause')),
                ('legal_basis', models.CharField(choices=[('agreement', 'agreement'), ('consent', 'consent'), ('legal_obligation', 'legal obligation')], help_text="With 'consent', nothing is sent without one.", max_length=20, verbose_name='legal basis')),
                ('kind', models.CharField(choices=[('service', 'service'), ('advertising', 'advertising'), ('survey', 'survey')], help_text='Advertising carries a label and is capped.', max_length=20, verbose_name='class')),
                ('channels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], max_length=10), help_text='By which channels it may be pursued.', size=None, verbose_name='channels')),
                ('fields', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), help_text="The customer's fields it may use, and no others.", size=None, verbose_name='fields')),
                ('confidential', models.BooleanField(default=False, help_text='Whether its mail opens something: none of it goes to an address on hold.', verbose_name='confidential')),
                ('while_associated', models.BooleanField(help_text="Whether it ends with the customer's association.", verbose_name='only while associated')),
                ('retention_days', models.PositiveIntegerField(help_text='For how long its messages are kept.', verbose_name='retention in days')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical purpose',
                'verbose_name_plural': 'historical purposes',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='Purpose',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.SlugField(help_text='The name that decisions, commands and files use.', unique=True, verbose_name='code')),
                ('title_vi', models.CharField(help_text='What customers read.', max_length=100, verbose_name='title in Vietnamese')),
                ('title_en', models.CharField(help_text='What customers read.', max_length=100, verbose_name='title in English')),
                ('meaning_vi', models.TextField(blank=True, help_text='What is sent and what for, in a sentence or two, as customers read it.', verbose_name='meaning in Vietnamese')),
                ('meaning_en', models.TextField(blank=True, help_text='As in Vietnamese.', verbose_name='meaning in English')),
                ('frequency_vi', models.CharField(blank=True, help_text='How often, as customers read it: the law asks for it.', max_length=200, verbose_name='frequency in Vietnamese')),
                ('frequency_en', models.CharField(blank=True, help_text='As in Vietnamese.', max_length=200, verbose_name='frequency in English')),
                ('clause', models.CharField(help_text="The policy's clause it rests on.", max_length=10, verbose_name='clause')),
                ('legal_basis', models.CharField(choices=[('agreement', 'agreement'), ('consent', 'consent'), ('legal_obligation', 'legal obligation')], help_text="With 'consent', nothing is sent without one.", max_length=20, verbose_name='legal basis')),
                ('kind', models.CharField(choices=[('service', 'service'), ('advertising', 'advertising'), ('survey', 'survey')], help_text='Advertising carries a label and is capped.', max_length=20, verbose_name='class')),
                ('channels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], max_length=10), help_text='By which channels it may be pursued.', size=None, verbose_name='channels')),
                ('fields', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), help_text="The customer's fields it may use, and no others.", size=None, verbose_name='fields')),
                ('confidential', models.BooleanField(default=False, help_text='Whether its mail opens something: none of it goes to an address on hold.', verbose_name='confidential')),
                ('while_associated', models.BooleanField(help_text="Whether it ends with the customer's association.", verbose_name='only while associated')),
                ('retention_days', models.PositiveIntegerField(help_text='For how long its messages are kept.', verbose_name='retention in days')),
            ],
            options={
                'verbose_name': 'purpose',
                'verbose_name_plural': 'purposes',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='HistoricalChannelRule',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], db_index=True, help_text='The channel it holds for.', max_length=10, verbose_name='channel')),
                ('cap', models.PositiveSmallIntegerField(help_text='How many contacts one customer may get in 24 hours.', verbose_name='cap in 24 hours')),
                ('opens', models.TimeField(blank=True, help_text='Earliest hour of the day; empty: any.', null=True, verbose_name='from')),
                ('closes', models.TimeField(blank=True, help_text='Latest hour of the day; empty: any.', null=True, verbose_name='until')),
                ('label', models.CharField(blank=True, help_text='What the subject begins with.', max_length=10, verbose_name='label')),
                ('register', models.BooleanField(default=False, help_text='Whether each number is looked up in the register before a contact.', verbose_name='Do-Not-Call register')),
                ('source', models.CharField(help_text='The text of law that says so.', max_length=100, verbose_name='source')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical channel rule',
                'verbose_name_plural': 'historical channel rules',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='ChannelRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='The channel it holds for.', max_length=10, unique=True, verbose_name='channel')),
                ('cap', models.PositiveSmallIntegerField(help_text='How many contacts one customer may get in 24 hours.', verbose_name='cap in 24 hours')),
                ('opens', models.TimeField(blank=True, help_text='Earliest hour of the day; empty: any.', null=True, verbose_name='from')),
                ('closes', models.TimeField(blank=True, help_text='Latest hour of the day; empty: any.', null=True, verbose_name='until')),
                ('label', models.CharField(blank=True, help_text='What the subject begins with.', max_length=10, verbose_name='label')),
                ('register', models.BooleanField(default=False, help_text='Whether each number is looked up in the register before a contact.', verbose_name='Do-Not-Call register')),
                ('source', models.CharField(help_text='The text of law that says so.', max_length=100, verbose_name='source')),
            ],
            options={
                'verbose_name': 'channel rule',
                'verbose_name_plural': 'channel rules',
            },
        ),
        migrations.CreateModel(
            name='HistoricalPolicyVersion',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('number', models.PositiveIntegerField(db_index=True, help_text='Counts up from 1.', verbose_name='number')),
                ('severity', models.CharField(choices=[('minor', 'minor'), ('major', 'major')], default='minor', help_text='After a major one, consents to the purposes it changes must be renewed.', max_length=10, verbose_name='severity')),
                ('text_vi', models.TextField(blank=True, help_text='The whole policy, as it is published.', verbose_name='text in Vietnamese')),
                ('text_en', models.TextField(blank=True, help_text='The whole policy, as it is published.', verbose_name='text in English')),
                ('summary_vi', models.TextField(blank=True, help_text='A few plain words: customers are told these once.', max_length=500, verbose_name='what changes, in Vietnamese')),
                ('summary_en', models.TextField(blank=True, help_text='A few plain words: customers are told these once.', max_length=500, verbose_name='what changes, in English')),
                ('published_at', models.DateTimeField(editable=False, help_text='Since when it is in effect.', null=True, verbose_name='published at')),
                ('digest', models.CharField(blank=True, editable=False, help_text='SHA-256 of number, severity, purposes changed and texts, as published.', max_length=64, verbose_name='digest')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('drafted_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, help_text='Who wrote at it last; empty: the operator, by a command.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='drafted by')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('published_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, help_text='Who put it into effect, never one who wrote at it; empty: the operator, by a command.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='published by')),
            ],
            options={
                'verbose_name': 'historical policy version',
                'verbose_name_plural': 'historical policy versions',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='Counts up from 1.', unique=True, verbose_name='number')),
                ('severity', models.CharField(choices=[('minor', 'minor'), ('major', 'major')], default='minor', help_text='After a major one, consents to the purposes it changes must be renewed.', max_length=10, verbose_name='severity')),
                ('text_vi', models.TextField(blank=True, help_text='The whole policy, as it is published.', verbose_name='text in Vietnamese')),
                ('text_en', models.TextField(blank=True, help_text='The whole policy, as it is published.', verbose_name='text in English')),
                ('summary_vi', models.TextField(blank=True, help_text='A few plain words: customers are told these once.', max_length=500, verbose_name='what changes, in Vietnamese')),
                ('summary_en', models.TextField(blank=True, help_text='A few plain words: customers are told these once.', max_length=500, verbose_name='what changes, in English')),
                ('published_at', models.DateTimeField(editable=False, help_text='Since when it is in effect.', null=True, verbose_name='published at')),
                ('digest', models.CharField(blank=True, editable=False, help_text='SHA-256 of number, severity, purposes changed and texts, as published.', max_length=64, verbose_name='digest')),
                ('drafted_by', models.ForeignKey(editable=False, help_text='Who wrote at it last; empty: the operator, by a command.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='drafted by')),
                ('published_by', models.ForeignKey(editable=False, help_text='Who put it into effect, never one who wrote at it; empty: the operator, by a command.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='published by')),
                ('changes', models.ManyToManyField(blank=True, help_text='The purposes that a major version changes.', related_name='changed_by', to='consent.purpose', verbose_name='changes')),
            ],
            options={
                'verbose_name': 'policy version',
                'verbose_name_plural': 'policy versions',
                'ordering': ['-number'],
                'constraints': [models.CheckConstraint(condition=models.Q(('published_at', None), ('drafted_by', None), ('published_by', None), models.Q(('published_by', models.F('drafted_by')), _negated=True), _connector='OR'), name='policy_published_by_another'), models.CheckConstraint(condition=models.Q(models.Q(('digest', ''), ('published_at', None)), models.Q(('published_at__isnull', False), models.Q(('digest', ''), _negated=True)), _connector='OR'), name='policy_published_with_digest')],
            },
        ),
        migrations.CreateModel(
            name='Announcement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('after', models.BigIntegerField(default=0, help_text="The customer's row up to which everybody was looked at.", verbose_name='after')),
                ('until', models.BigIntegerField(help_text="The last customer's row when it was published: later ones saw this version.", verbose_name='until')),
                ('told', models.PositiveIntegerField(default=0, help_text='How many customers were told so far.', verbose_name='told')),
                ('done_at', models.DateTimeField(help_text='When everybody concerned was told.', null=True, verbose_name='done at')),
                ('policy_version', models.OneToOneField(help_text='What is told of.', on_delete=django.db.models.deletion.PROTECT, to='consent.policyversion', verbose_name='policy version')),
            ],
            options={
                'verbose_name': 'announcement',
                'verbose_name_plural': 'announcements',
            },
        ),
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.BinaryField(help_text='The blind index of the address or number.', max_length=16, verbose_name='digest')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel.', max_length=10, verbose_name='channel')),
                ('since', models.DateTimeField(help_text='When it was refused.', verbose_name='since')),
                ('lifted_at', models.DateTimeField(help_text='When a later yes of the same address lifted it.', null=True, verbose_name='lifted at')),
                ('purpose', models.ForeignKey(help_text='What was refused.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'suppression',
                'verbose_name_plural': 'suppressions',
                'indexes': [models.Index(condition=models.Q(('channel__in', ['sms', 'phone'])), fields=['channel', '-id'], name='suppression_not_email'), models.Index(condition=models.Q(('lifted_at__isnull', False)), fields=['-id'], name='suppression_lifted')],
                'constraints': [models.UniqueConstraint(fields=('digest', 'purpose', 'channel'), name='suppression_unique')],
            },
        ),
        migrations.CreateModel(
            name='ConsentCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='As of its end; of today, as of the last count.', verbose_name='day')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel.', max_length=10, verbose_name='channel')),
                ('allowed', models.PositiveIntegerField(help_text='How many said yes, and it holds.', verbose_name='allowed')),
                ('refused', models.PositiveIntegerField(help_text='How many said no, or took their yes back.', verbose_name='refused')),
                ('purpose', models.ForeignKey(help_text='What it is about.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'daily count of consents',
                'verbose_name_plural': 'daily counts of consents',
                'constraints': [models.UniqueConstraint(fields=('purpose', 'channel', 'day'), name='consent_counted_once_a_day')],
            },
        ),
        migrations.CreateModel(
            name='HistoricalPolicyVersion_changes',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('m2m_history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, to='consent.historicalpolicyversion')),
                ('policyversion', models.ForeignKey(blank=True, db_constraint=False, db_tablespace='', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='consent.policyversion')),
                ('purpose', models.ForeignKey(blank=True, db_constraint=False, db_tablespace='', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='consent.purpose')),
            ],
            options={
                'verbose_name': 'HistoricalPolicyVersion_changes',
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
    ]
