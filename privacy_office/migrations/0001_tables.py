import django.contrib.auth.validators
import django.db.models.deletion
import django.utils.timezone
import privacy_office.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('privacy_office', '0001_initial'), ('privacy_office', '0002_staff_notice'), ('privacy_office', '0003_session_series'), ('privacy_office', '0004_index_versions'), ('privacy_office', '0005_consent_differs'), ('privacy_office', '0006_request_reminders'), ('privacy_office', '0007_disclosure_notices'), ('privacy_office', '0008_saved_filters')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Staff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('one_time_password', models.BooleanField(default=False, editable=False, help_text='The password was made by the office and must be changed before anything else.', verbose_name='one-time password')),
                ('session_series', models.PositiveIntegerField(default=0, editable=False, help_text='Counted up to end every session of this person at its next request.', verbose_name='session series')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'staff member',
                'verbose_name_plural': 'staff',
            },
        ),
        migrations.CreateModel(
            name='StaffNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('sign_in', 'A new sign-in to your account'), ('factor_changed', 'The second step of your sign-in was changed'), ('password_changed', 'Your password was changed'), ('password_drawn', 'You were given a new one-time password'), ('sessions_ended', 'You were signed out everywhere'), ('reveal_rate', 'A colleague looks at unusually many personal details'), ('audit_broken', 'The audit trail did not verify'), ('consent_differs', 'States of consent are not what was said'), ('request_due', 'Requests of customers are due soon'), ('request_late', 'Requests of customers are late'), ('authority_request', 'An authority asks for data, and the clock runs'), ('commitment_ends', "A third party's commitment ends soon"), ('breach', 'A breach was recorded, and the clock runs')], help_text='What they are told.', max_length=20, verbose_name='kind')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When it happened.', verbose_name='created at')),
                ('sent_at', models.DateTimeField(help_text='When the mail was handed over; at once where the member has no address.', null=True, verbose_name='sent at')),
                ('member', models.ForeignKey(help_text='Who is told.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='staff member')),
            ],
            options={
                'verbose_name': 'notice to staff',
                'verbose_name_plural': 'notices to staff',
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['id'], name='staffnotice_unsent')],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('list', models.CharField(help_text='The list that it filters: app.model.', max_length=60, verbose_name='list')),
                ('name', models.CharField(help_text='As it stands above the list. No personal data.', max_length=40, verbose_name='name')),
                ('query', models.CharField(help_text='Choices that the list offers, as they stand in its address.', max_length=300, verbose_name='filter')),
                ('member', models.ForeignKey(help_text='Whose link it is.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='staff member')),
            ],
            options={
                'verbose_name': 'saved filter',
                'verbose_name_plural': 'saved filters',
                'ordering': ['name'],
                'permissions': [('export_list', 'Can export lists')],
                'constraints': [models.UniqueConstraint(fields=('member', 'list', 'name'), name='saved_filter_unique')],
            },
        ),
        migrations.CreateModel(
            name='Canary',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', privacy_office.fields.EncryptedCharField(help_text='A known word, encrypted.')),
                ('token_index', privacy_office.fields.BlindIndexField(kind='email', null=True, source='token')),
            ],
            options={
                'verbose_name': 'canary',
                'verbose_name_plural': 'canary',
            },
        ),
    ]
