import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('consent', '0010_lists')]

    dependencies = [
        ('consent', '0001_tables'),
        ('customers', '0001_tables'),
        ('privacy_office', '__first__'),
    ]

    operations = [
        migrations.CreateModel(
            name='Approach',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel.', max_length=10, verbose_name='channel')),
                ('off_register', models.BooleanField(default=False, help_text='Whether who asked looked the number up in the Do-Not-Call register.', verbose_name='not on the register')),
                ('asked_at', models.DateTimeField(help_text='When the gate was asked last.', verbose_name='asked at')),
                ('allowed', models.BooleanField(help_text='What the gate answered.', verbose_name='allowed')),
                ('reason', models.CharField(help_text="The gate's reason.", max_length=40, verbose_name='reason')),
                ('clause', models.CharField(help_text='The clause that the decision rests on.', max_length=10, verbose_name='clause')),
                ('evidence', models.CharField(blank=True, help_text='The row that shows it.', max_length=100, verbose_name='evidence')),
                ('not_before', models.DateTimeField(help_text='From when the answer may be another one.', null=True, verbose_name='not before')),
                ('made_at', models.DateTimeField(help_text='When the contact was made and counted; empty: it was not.', null=True, verbose_name='made at')),
                ('asked_by', models.ForeignKey(help_text='Who asked.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('customer', models.ForeignKey(help_text='Whom it is about.', on_delete=django.db.models.deletion.PROTECT, related_name='approaches', to='customers.customer', verbose_name='customer')),
                ('purpose', models.ForeignKey(help_text='What the customer is contacted for.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'contact by SMS or phone',
                'verbose_name_plural': 'contacts by SMS and phone',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['customer', 'channel', 'made_at'], name='consent_app_custome_fd7d7f_idx')],
                'constraints': [models.CheckConstraint(condition=models.Q(('made_at', None), ('allowed', True), _connector='OR'), name='approach_made_only_if_allowed')],
            },
        ),
        migrations.CreateModel(
            name='Acknowledgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When the customer took note.', verbose_name='at')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, help_text='Set by the database when it was written down.', verbose_name='recorded at')),
                ('source', models.CharField(choices=[('customer_page', "the customer's own page"), ('signup_form', 'sign-up form'), ('phone_call', 'phone call'), ('support_ticket', 'support ticket'), ('paper', 'paper')], help_text='How it reached us.', max_length=20, verbose_name='source')),
                ('shown_digest', models.CharField(help_text='SHA-256 of the text that was shown.', max_length=64, verbose_name='digest of the text shown')),
                ('by', models.CharField(help_text="Who wrote it down: see the audit's actor.", max_length=60, verbose_name='by')),
                ('customer', models.ForeignKey(help_text='Who took note.', on_delete=django.db.models.deletion.PROTECT, related_name='acknowledgements', to='customers.customer', verbose_name='customer')),
                ('evidence', models.ForeignKey(help_text='What shows that the customer took note.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='customers.evidence', verbose_name='evidence')),
                ('policy_version', models.ForeignKey(help_text='Of which version.', on_delete=django.db.models.deletion.PROTECT, related_name='acknowledgements', to='consent.policyversion', verbose_name='policy version')),
            ],
            options={
                'verbose_name': 'acknowledgement',
                'verbose_name_plural': 'acknowledgements',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('customer', 'policy_version'), name='acknowledged_once')],
            },
        ),
        migrations.CreateModel(
            name='ConsentEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel contact was allowed or refused.', max_length=10, verbose_name='channel')),
                ('event', models.CharField(choices=[('unknown', 'unknown'), ('requested', 'requested'), ('given', 'given'), ('renewed', 'renewed'), ('refused', 'refused'), ('withdrawn', 'withdrawn'), ('revoked', 'revoked'), ('expired', 'expired'), ('invalidated', 'invalidated')], help_text='What was said.', max_length=12, verbose_name='event')),
                ('at', models.DateTimeField(help_text='When the customer said it.', verbose_name='at')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, help_text='Set by the database when it was written down.', verbose_name='recorded at')),
                ('source', models.CharField(choices=[('signup_form', 'sign-up form'), ('preference_page', 'preference page'), ('one_click', 'one-click link'), ('reply', 'reply by e-mail'), ('support_ticket', 'support ticket'), ('phone_call', 'phone call'), ('paper', 'paper'), ('import', 'import'), ('complaint', 'complaint to the mail provider')], help_text='How it reached us.', max_length=20, verbose_name='source')),
                ('shown_digest', models.CharField(blank=True, help_text='SHA-256 of the text that was shown.', max_length=64, verbose_name='digest of the text shown')),
                ('by', models.CharField(help_text="Who wrote it down: see the audit's actor.", max_length=60, verbose_name='by')),
                ('customer', models.ForeignKey(help_text='Who said it.', on_delete=django.db.models.deletion.PROTECT, related_name='consent_events', to='customers.customer', verbose_name='customer')),
                ('evidence', models.ForeignKey(help_text='What shows that it was said.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='customers.evidence', verbose_name='evidence')),
                ('policy_version', models.ForeignKey(help_text='The policy version that was shown.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.policyversion', verbose_name='policy version')),
                ('purpose', models.ForeignKey(help_text='What it was about.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'consent event',
                'verbose_name_plural': 'consent events',
                'indexes': [models.Index(fields=['customer', 'purpose', 'channel', 'at'], name='consent_con_custome_a024fa_idx'), models.Index(condition=models.Q(('event__in', ['unknown', 'requested', 'revoked', 'expired', 'invalidated'])), fields=['event', '-id'], name='consentevent_rare_event'), models.Index(condition=models.Q(('source__in', ['signup_form', 'preference_page', 'one_click', 'reply', 'support_ticket', 'phone_call', 'paper', 'complaint'])), fields=['source', '-id'], name='consentevent_not_imported'), models.Index(condition=models.Q(('channel__in', ['sms', 'phone'])), fields=['channel', '-id'], name='consentevent_not_email'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['recorded_at'], name='consentevent_recorded')],
            },
        ),
        migrations.CreateModel(
            name='ConsentState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel.', max_length=10, verbose_name='channel')),
                ('state', models.CharField(choices=[('unknown', 'unknown'), ('requested', 'requested'), ('given', 'given'), ('renewed', 'renewed'), ('refused', 'refused'), ('withdrawn', 'withdrawn'), ('revoked', 'revoked'), ('expired', 'expired'), ('invalidated', 'invalidated')], default='unknown', help_text='Only given and renewed allow anything.', max_length=12, verbose_name='state')),
                ('at', models.DateTimeField(help_text='When the customer said so.', null=True, verbose_name='since')),
                ('customer', models.ForeignKey(help_text='Whose consent it is.', on_delete=django.db.models.deletion.PROTECT, related_name='consent_states', to='customers.customer', verbose_name='customer')),
                ('event', models.ForeignKey(help_text='The event that says so.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.consentevent', verbose_name='event')),
                ('policy_version', models.ForeignKey(help_text='The policy version that was shown.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.policyversion', verbose_name='policy version')),
                ('purpose', models.ForeignKey(help_text='What it is about.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='consent.purpose', verbose_name='purpose')),
            ],
            options={
                'verbose_name': 'consent state',
                'verbose_name_plural': 'consent states',
                'indexes': [models.Index(condition=models.Q(('state__in', ['unknown', 'requested', 'revoked', 'expired', 'invalidated'])), fields=['state', '-id'], name='consentstate_rare'), models.Index(condition=models.Q(('channel__in', ['sms', 'phone'])), fields=['channel', '-id'], name='consentstate_not_email')],
                'constraints': [models.UniqueConstraint(fields=('customer', 'purpose', 'channel'), name='consent_state_unique')],
            },
        ),
        migrations.CreateModel(
            name='AdvertisingContacts',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'e-mail'), ('sms', 'SMS'), ('phone', 'phone')], help_text='By which channel.', max_length=10, verbose_name='channel')),
                ('times', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), help_text='The latest times, newest first.', size=None, verbose_name='times')),
                ('customer', models.ForeignKey(help_text='Who was contacted.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='customers.customer', verbose_name='customer')),
            ],
            options={
                'verbose_name': 'advertising contacts',
                'verbose_name_plural': 'advertising contacts',
                'constraints': [models.UniqueConstraint(fields=('customer', 'channel'), name='advertising_contacts_unique')],
            },
        ),
    ]
