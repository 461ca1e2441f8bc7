import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import simple_history.models
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('mailings', '0001_initial'), ('mailings', '0002_initial'), ('mailings', '0003_notices'), ('mailings', '0004_campaigns'), ('mailings', '0005_pace'), ('mailings', '0006_incoming_mail'), ('mailings', '0007_fewer_indexes'), ('mailings', '0008_lists'), ('mailings', '0009_counts')]

    initial = True

    dependencies = [
        ('consent', '0001_tables'),
        ('customers', '0001_tables'),
        ('privacy_office', '__first__'),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalCompanyHost',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('host', models.CharField(db_index=True, help_text='As in an address, in small letters: www.example.vn; nothing before or after.', max_length=253, verbose_name='host')),
                ('active', models.BooleanField(default=True, help_text='Whether links to it go there at once.', verbose_name='active')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical host of the company',
                'verbose_name_plural': 'historical hosts of the company',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='CompanyHost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(help_text='As in an address, in small letters: www.example.vn; nothing before or after.', max_length=253, unique=True, verbose_name='host')),
                ('active', models.BooleanField(default=True, help_text='Whether links to it go there at once.', verbose_name='active')),
            ],
            options={
                'verbose_name': 'host of the company',
                'verbose_name_plural': 'hosts of the company',
                'ordering': ['host'],
            },
        ),
        migrations.CreateModel(
            name='HistoricalRelayRule',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('relay', models.CharField(db_index=True, default='default', help_text='Which mail server it is.', max_length=20, verbose_name='mail server')),
                ('per_minute', models.PositiveIntegerField(blank=True, help_text='The most that all workers together hand over; empty: as fast as it takes them. Notices go before campaigns.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='messages a minute')),
                ('wait_after', models.PositiveSmallIntegerField(default=5, help_text='After how many in a row the mail server is left alone for a while.', validators=[django.core.validators.MinValueValidator(1)], verbose_name='failures in a row')),
                ('wait_seconds', models.PositiveSmallIntegerField(default=30, help_text='For how long.', verbose_name='seconds left alone')),
                ('first', models.PositiveSmallIntegerField(default=100, help_text="How many of a campaign's first messages are looked at.", validators=[django.core.validators.MinValueValidator(1)], verbose_name='first messages of a campaign')),
                ('failed_percent', models.PositiveSmallIntegerField(default=20, help_text='When so many of them have failed, the campaign stops by itself.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='percent failed')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical rule of the mail server',
                'verbose_name_plural': 'historical rules of the mail server',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='RelayRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('relay', models.CharField(default='default', help_text='Which mail server it is.', max_length=20, unique=True, verbose_name='mail server')),
                ('per_minute', models.PositiveIntegerField(blank=True, help_text='The most that all workers together hand over; empty: as fast as it takes them. Notices go before campaigns.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='messages a minute')),
                ('wait_after', models.PositiveSmallIntegerField(default=5, help_text='After how many in a row the mail server is left alone for a while.', validators=[django.core.validators.MinValueValidator(1)], verbose_name='failures in a row')),
                ('wait_seconds', models.PositiveSmallIntegerField(default=30, help_text='For how long.', verbose_name='seconds left alone')),
                ('first', models.PositiveSmallIntegerField(default=100, help_text="How many of a campaign's first messages are looked at.", validators=[django.core.validators.MinValueValidator(1)], verbose_name='first messages of a campaign')),
                ('failed_percent', models.PositiveSmallIntegerField(default=20, help_text='When so many of them have failed, the campaign stops by itself.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='percent failed')),
            ],
            options={
                'verbose_name': 'rule of the mail server',
                'verbose_name_plural': 'rules of the mail server',
                'constraints': [models.CheckConstraint(condition=models.Q(('per_minute', None), ('per_minute__gt', 0), _connector='OR'), name='relay_takes_some_mail'), models.CheckConstraint(condition=models.Q(('failed_percent__range', (1, 100)), ('first__gt', 0), ('wait_after__gt', 0)), name='relay_numbers_count')],
            },
        ),
        migrations.CreateModel(
            name='RelayState',
            fields=[
                ('rule', models.OneToOneField(help_text='Of which server.', on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='state', serialize=False, to='mailings.relayrule', verbose_name='rule')),
                ('free_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Until when its minutes are given away.', verbose_name='free at')),
                ('failures', models.PositiveIntegerField(default=0, help_text='How many in a row.', verbose_name='failures')),
                ('alone_until', models.DateTimeField(help_text='When it is tried again.', null=True, verbose_name='left alone until')),
            ],
            options={
                'verbose_name': 'state of the mail server',
                'verbose_name_plural': 'states of the mail server',
            },
        ),
        migrations.CreateModel(
            name='HistoricalCampaign',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('subject', models.CharField(help_text='The label that advertising needs is added by the office.', max_length=150, verbose_name='subject in Vietnamese')),
                ('body', models.TextField(help_text='Markdown. Placeholders: {full_name}, {company}; in a survey {survey}, its address.', verbose_name='body in Vietnamese')),
                ('subject_en', models.CharField(blank=True, help_text='Without English texts everybody gets the Vietnamese ones.', max_length=150, verbose_name='subject in English')),
                ('body_en', models.TextField(blank=True, help_text='As in Vietnamese.', verbose_name='body in English')),
                ('survey_url', models.URLField(blank=True, help_text='Of a survey alone: where it is answered.', max_length=300, verbose_name='address of the survey')),
                ('product', models.CharField(blank=True, help_text='Only who has this service, as it is called in the list of services.', max_length=100, verbose_name='product')),
                ('plan', models.CharField(blank=True, help_text='Only who has a service with this plan.', max_length=100, verbose_name='plan')),
                ('expires_from', models.DateField(blank=True, help_text='Only who has a service whose last day is this one or later.', null=True, verbose_name='expires from')),
                ('expires_until', models.DateField(blank=True, help_text='Only who has a service whose last day is this one or earlier.', null=True, verbose_name='expires until')),
                ('language', models.CharField(blank=True, choices=[('vi', 'Tiếng Việt'), ('en', 'English')], help_text='Only who reads this language.', max_length=5, verbose_name='language')),
                ('status', models.CharField(choices=[('draft', 'draft'), ('approved', 'approved'), ('scheduled', 'scheduled'), ('sending', 'sending'), ('paused', 'paused'), ('stopped', 'stopped'), ('done', 'done')], default='draft', editable=False, help_text='Where it stands: changed by approving, launching and stopping alone.', max_length=10, verbose_name='status')),
                ('letter', models.CharField(db_index=True, editable=False, help_text='Two campaigns with the same digest are the same letter.', max_length=64, verbose_name='digest of the letter')),
                ('created_at', models.DateTimeField(blank=True, editable=False, help_text='When it was written.', verbose_name='created at')),
                ('starts_at', models.DateTimeField(editable=False, help_text='The moment at which its sending begins by itself.', null=True, verbose_name='starts at')),
                ('launched_at', models.DateTimeField(editable=False, help_text='When its messages were queued.', null=True, verbose_name='launched at')),
                ('ended_at', models.DateTimeField(editable=False, help_text='When the last message was settled, or it was stopped.', null=True, verbose_name='ended at')),
                ('failed', models.PositiveSmallIntegerField(editable=False, help_text='How many of its first messages had failed when it stopped by itself.', null=True, verbose_name='stopped at failures')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('approved_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, help_text='Who let it out: another person than its author.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='approved by')),
                ('created_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, help_text='Who wrote it, or changed it last.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('purpose', models.ForeignKey(blank=True, db_constraint=False, help_text='Only who consented to it gets the letter.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'historical campaign',
                'verbose_name_plural': 'historical campaigns',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='Campaign',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(help_text='The label that advertising needs is added by the office.', max_length=150, verbose_name='subject in Vietnamese')),
                ('body', models.TextField(help_text='Markdown. Placeholders: {full_name}, {company}; in a survey {survey}, its address.', verbose_name='body in Vietnamese')),
                ('subject_en', models.CharField(blank=True, help_text='Without English texts everybody gets the Vietnamese ones.', max_length=150, verbose_name='subject in English')),
                ('body_en', models.TextField(blank=True, help_text='As in Vietnamese.', verbose_name='body in English')),
                ('survey_url', models.URLField(blank=True, help_text='Of a survey alone: where it is answered.', max_length=300, verbose_name='address of the survey')),
                ('product', models.CharField(blank=True, help_text='Only who has this service, as it is called in the list of services.', max_length=100, verbose_name='product')),
                ('plan', models.CharField(blank=True, help_text='Only who has a service with this plan.', max_length=100, verbose_name='plan')),
                ('expires_from', models.DateField(blank=True, help_text='Only who has a service whose last day is this one or later.', null=True, verbose_name='expires from')),
                ('expires_until', models.DateField(blank=True, help_text='Only who has a service whose last day is this one or earlier.', null=True, verbose_name='expires until')),
                ('language', models.CharField(blank=True, choices=[('vi', 'Tiếng Việt'), ('en', 'English')], help_text='Only who reads this language.', max_length=5, verbose_name='language')),
                ('status', models.CharField(choices=[('draft', 'draft'), ('approved', 'approved'), ('scheduled', 'scheduled'), ('sending', 'sending'), ('paused', 'paused'), ('stopped', 'stopped'), ('done', 'done')], default='draft', editable=False, help_text='Where it stands: changed by approving, launching and stopping alone.', max_length=10, verbose_name='status')),
                ('letter', models.CharField(editable=False, help_text='Two campaigns with the same digest are the same letter.', max_length=64, unique=True, verbose_name='digest of the letter')),
                ('created_at', models.DateTimeField(auto_now_add=True, help_text='When it was written.', verbose_name='created at')),
                ('starts_at', models.DateTimeField(editable=False, help_text='The moment at which its sending begins by itself.', null=True, verbose_name='starts at')),
                ('launched_at', models.DateTimeField(editable=False, help_text='When its messages were queued.', null=True, verbose_name='launched at')),
                ('ended_at', models.DateTimeField(editable=False, help_text='When the last message was settled, or it was stopped.', null=True, verbose_name='ended at')),
                ('failed', models.PositiveSmallIntegerField(editable=False, help_text='How many of its first messages had failed when it stopped by itself.', null=True, verbose_name='stopped at failures')),
                ('approved_by', models.ForeignKey(editable=False, help_text='Who let it out: another person than its author.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='approved by')),
                ('created_by', models.ForeignKey(editable=False, help_text='Who wrote it, or changed it last.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by')),
                ('purpose', models.ForeignKey(help_text='Only who consented to it gets the letter.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'campaign',
                'verbose_name_plural': 'campaigns',
                'ordering': ['-id'],
                'permissions': [('approve_campaign', 'Can approve, launch and stop campaigns'), ('try_campaign', 'Can have counted whom a campaign would reach')],
                'constraints': [models.CheckConstraint(condition=models.Q(('approved_by', None), models.Q(('approved_by', models.F('created_by')), _negated=True), _connector='OR'), name='campaign_approved_by_another_person'), models.CheckConstraint(condition=models.Q(('status', 'draft'), ('approved_by__isnull', False), _connector='OR'), name='campaign_sent_only_when_approved')],
            },
        ),
        migrations.CreateModel(
            name='DryRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.CharField(help_text='Digest of the letter and the audience that it was of.', max_length=64, verbose_name='letter and audience')),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When it was asked for.', verbose_name='asked at')),
                ('done_at', models.DateTimeField(help_text='When it was counted.', null=True, verbose_name='done at')),
                ('allowed', models.PositiveIntegerField(default=0, help_text='How many would get it.', verbose_name='allowed')),
                ('refused', models.JSONField(default=dict, help_text="How many would not, by the gate's reason.", verbose_name='refused')),
                ('asked_by', models.ForeignKey(help_text='Who wanted to know.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('campaign', models.ForeignKey(help_text='Whose letter it is.', on_delete=django.db.models.deletion.PROTECT, related_name='dry_runs', to='mailings.campaign', verbose_name='campaign')),
            ],
            options={
                'verbose_name': 'dry run',
                'verbose_name_plural': 'dry runs',
                'ordering': ['-pk'],
                'indexes': [models.Index(condition=models.Q(('done_at', None)), fields=['id'], name='dryrun_waiting')],
            },
        ),
        migrations.CreateModel(
            name='MessageCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='When the gate was asked last.', verbose_name='day')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('claimed', 'being sent'), ('sent', 'sent'), ('blocked', 'blocked'), ('failed', 'failed'), ('unknown', 'unknown')], help_text='What became of them.', max_length=10, verbose_name='state')),
                ('reason', models.CharField(blank=True, help_text="The gate's reason, of those that it blocked.", max_length=40, verbose_name='reason')),
                ('messages', models.PositiveIntegerField(help_text='How many.', verbose_name='messages')),
                ('last_at', models.DateTimeField(help_text='When the last of them was decided.', verbose_name='last at')),
                ('purpose', models.ForeignKey(help_text='What it is about.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'daily count of messages',
                'verbose_name_plural': 'daily counts of messages',
                'constraints': [models.UniqueConstraint(fields=('day', 'purpose', 'state', 'reason'), name='message_counted_once_a_day')],
            },
        ),
        migrations.CreateModel(
            name='IncomingMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.BinaryField(help_text='SHA-256 of the mail as it came.', max_length=32, unique=True, verbose_name='digest')),
                ('kind', models.CharField(choices=[('bounce', 'report: not delivered for good'), ('delay', 'report: delayed, or nothing failed'), ('unsigned', 'report or complaint without our token: nothing changed'), ('complaint', 'complaint'), ('refusal', 'refusal'), ('support', 'support request'), ('automatic', 'automatic mail: nothing done'), ('unknown', 'sender unknown: nothing done'), ('aside', 'kept aside: too large, or not to be read')], help_text='What it was taken for.', max_length=10, verbose_name='kind')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, help_text='When it was read.', verbose_name='at')),
            ],
            options={
                'verbose_name': 'incoming mail',
                'verbose_name_plural': 'incoming mails',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['kind', '-id'], name='mailings_in_kind_0cf432_idx')],
            },
        ),
        migrations.CreateModel(
            name='HistoricalRenewalNotice',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('days_before', models.PositiveSmallIntegerField(db_index=True, help_text='How many days before the service expires it goes out.', verbose_name='days before')),
                ('subject_vi', models.CharField(help_text='One line, with the same placeholders as the body.', max_length=150, verbose_name='subject in Vietnamese')),
                ('body_vi', models.TextField(help_text='Markdown. Placeholders: {full_name}, {company}, {service}, {plan}, {expires_on}, {days}. A line with one of the last four is repeated for each service.', verbose_name='body in Vietnamese')),
                ('subject_en', models.CharField(help_text='One line, with the same placeholders as the body.', max_length=150, verbose_name='subject in English')),
                ('body_en', models.TextField(help_text='As in Vietnamese.', verbose_name='body in English')),
                ('active', models.BooleanField(default=True, help_text='Whether it goes out.', verbose_name='active')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical renewal notice',
                'verbose_name_plural': 'historical renewal notices',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='RenewalNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('days_before', models.PositiveSmallIntegerField(help_text='How many days before the service expires it goes out.', unique=True, verbose_name='days before')),
                ('subject_vi', models.CharField(help_text='One line, with the same placeholders as the body.', max_length=150, verbose_name='subject in Vietnamese')),
                ('body_vi', models.TextField(help_text='Markdown. Placeholders: {full_name}, {company}, {service}, {plan}, {expires_on}, {days}. A line with one of the last four is repeated for each service.', verbose_name='body in Vietnamese')),
                ('subject_en', models.CharField(help_text='One line, with the same placeholders as the body.', max_length=150, verbose_name='subject in English')),
                ('body_en', models.TextField(help_text='As in Vietnamese.', verbose_name='body in English')),
                ('active', models.BooleanField(default=True, help_text='Whether it goes out.', verbose_name='active')),
            ],
            options={
                'verbose_name': 'renewal notice',
                'verbose_name_plural': 'renewal notices',
                'ordering': ['-days_before'],
            },
        ),
        migrations.CreateModel(
            name='RenewalRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='Which day it was.', unique=True, verbose_name='day')),
            ],
            options={
                'verbose_name': 'run of renewal notices',
                'verbose_name_plural': 'runs of renewal notices',
            },
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='Names the message in its Message-ID and in its link to refuse.', unique=True, verbose_name='identifier')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('claimed', 'being sent'), ('sent', 'sent'), ('blocked', 'blocked'), ('failed', 'failed'), ('unknown', 'unknown')], default='queued', help_text='What became of it.', max_length=10, verbose_name='state')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When it was queued.', verbose_name='created at')),
                ('not_before', models.DateTimeField(default=django.utils.timezone.now, help_text='The moment from which it may leave.', verbose_name='not before')),
                ('worker', models.BigIntegerField(help_text='Which worker has it in hand.', null=True, verbose_name='worker')),
                ('claimed_at', models.DateTimeField(help_text='When a worker took it in hand.', null=True, verbose_name='claimed at')),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='How often a mail server was asked to take it.', verbose_name='attempts')),
                ('reason', models.CharField(blank=True, help_text="The gate's reason, or what went wrong.", max_length=40, verbose_name='reason')),
                ('clause', models.CharField(blank=True, help_text='The clause that the decision rests on.', max_length=10, verbose_name='clause')),
                ('evidence', models.CharField(blank=True, help_text='The row that shows it.', max_length=100, verbose_name='evidence')),
                ('decided_at', models.DateTimeField(help_text='When the gate was asked last.', null=True, verbose_name='decided at')),
                ('reply', models.CharField(blank=True, help_text='Its codes alone: its words may name the address.', max_length=20, verbose_name='reply of the mail server')),
                ('sent_at', models.DateTimeField(help_text='When the mail server took it.', null=True, verbose_name='sent at')),
                ('bounced_at', models.DateTimeField(help_text='When it came back for good, at once or by a report.', null=True, verbose_name='came back at')),
                ('bounce', models.CharField(blank=True, help_text="The status of RFC 3463, or the mail server's code.", max_length=20, verbose_name='reason of coming back')),
                ('campaign', models.ForeignKey(db_index=False, help_text='The campaign it belongs to.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='mailings.campaign', verbose_name='campaign')),
                ('customer', models.ForeignKey(help_text='Whom it is for.', on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='customers.customer', verbose_name='customer')),
                ('notice', models.OneToOneField(help_text='The notice it brings.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='message', to='customers.notice', verbose_name='notice')),
                ('purpose', models.ForeignKey(db_index=False, help_text='What the data is used for.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
                ('renewal', models.ForeignKey(db_index=False, help_text='The renewal notice it is.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='mailings.renewalnotice', verbose_name='renewal notice')),
            ],
            options={
                'verbose_name': 'message',
                'verbose_name_plural': 'messages',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'queued')), fields=['not_before', 'id'], name='message_due'), models.Index(condition=models.Q(('notice__isnull', False), ('state', 'queued')), fields=['not_before', 'id'], name='message_notice_due'), models.Index(condition=models.Q(('state', 'claimed')), fields=['worker'], name='message_claimed'), models.Index(fields=['campaign', 'state'], name='mailings_me_campaig_ced367_idx'), models.Index(condition=models.Q(('renewal__isnull', False)), fields=['renewal'], name='message_renewal'), models.Index(condition=models.Q(('state__in', ['failed', 'unknown'])), fields=['state', '-id'], name='message_rare'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['created_at'], name='message_created'), models.Index(condition=models.Q(('decided_at__isnull', False)), fields=['decided_at'], name='message_decided')],
                'constraints': [models.UniqueConstraint(fields=('campaign', 'customer'), name='one_message_a_campaign_and_customer'), models.CheckConstraint(condition=models.Q(models.Q(('campaign__isnull', False), ('notice', None), ('renewal', None)), models.Q(('campaign', None), ('notice', None), ('renewal__isnull', False)), models.Q(('campaign', None), ('notice__isnull', False), ('renewal', None)), _connector='OR'), name='message_is_of_one_kind')],
            },
        ),
        migrations.CreateModel(
            name='RenewalItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('expires_on', models.DateField(help_text='The day it expires, as told.', verbose_name='expires on')),
                ('days_before', models.PositiveSmallIntegerField(help_text='Which of the notices it was.', verbose_name='days before')),
                ('message', models.ForeignKey(help_text='The message that tells of it.', on_delete=django.db.models.deletion.PROTECT, related_name='items', to='mailings.message', verbose_name='message')),
                ('service', models.ForeignKey(help_text='What expires.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='customers.service', verbose_name='service')),
            ],
            options={
                'verbose_name': 'renewal item',
                'verbose_name_plural': 'renewal items',
                'constraints': [models.UniqueConstraint(fields=('service', 'expires_on', 'days_before'), name='renewal_told_once')],
            },
        ),
    ]
