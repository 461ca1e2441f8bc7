"""Who works here, and proof that the keys fit. Holds no customer."""

import secrets

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from privacy_office.fields import PLAIN, BlindIndexField, EncryptedCharField, UndecryptableValue, digest, digests, is_encrypted
from privacy_office.keys import version


class StaffManager(UserManager):
    use_in_migrations = False

    def in_role(self, role):
        """Return the active members of a role."""
        return self.filter(is_active=True, groups__name=role)


class Staff(AbstractUser):
    """A person of the company who may sign in. Deactivated, never deleted: history and audit point here."""

    first_name = last_name = None
    one_time_password = models.BooleanField(
        _("one-time password"),
        default=False,
        editable=False,
        help_text=_("The password was made by the office and must be changed before anything else."),
    )
    session_series = models.PositiveIntegerField(
        _("session series"), default=0, editable=False, help_text=_("Counted up to end every session of this person at its next request.")
    )

    objects = StaffManager()

    class Meta:
        verbose_name, verbose_name_plural = _("staff member"), _("staff")

    def set_password(self, raw_password):
        super().set_password(raw_password)
        self.one_time_password = False

    def draw_password(self):
        """Set a one-time password, to be changed at the first sign-in, and return it: it cannot be looked up again."""
        password = secrets.token_urlsafe(15)
        self.set_password(password)
        self.one_time_password = True
        return password

    def end_sessions(self):
        self.session_series += 1
        self.save(update_fields=["session_series"])

    def _get_session_auth_hash(self, secret=None):
        # Django's sessions end with the password that they began with; ours end with their series too.
        stands_on = f"{self.session_series}|{self.password}"
        return salted_hmac("privacy_office.session", stands_on, secret=secret, algorithm="sha256").hexdigest()

    def delete(self, *args, **kwargs):
        raise TypeError("Staff are deactivated, never deleted.")


class StaffNoticeQuerySet(models.QuerySet):
    def tell(self, members, kind):
        """Have each of `members` told by mail, in the transaction of what they are told of."""
        return self.bulk_create(StaffNotice(member=member, kind=kind) for member in members)

    def unsent(self):
        return self.filter(sent_at=None).order_by("pk")


class StaffNotice(models.Model):
    """Something that a staff member is told by mail. The mail says what happened and when, and no more: not to whom, and no link."""

    class Kind(models.TextChoices):
        SIGN_IN = "sign_in", _("A new sign-in to your account")
        FACTOR_CHANGED = "factor_changed", _("The second step of your sign-in was changed")
        PASSWORD_CHANGED = "password_changed", _("Your password was changed")
        PASSWORD_DRAWN = "password_drawn", _("You were given a new one-time password")
        SESSIONS_ENDED = "sessions_ended", _("You were signed out everywhere")
        REVEAL_RATE = "reveal_rate", _("A colleague looks at unusually many personal details")
        AUDIT_BROKEN = "audit_broken", _("The audit trail did not verify")
        CONSENT_DIFFERS = "consent_differs", _("States of consent are not what was said")
        REQUEST_DUE = "request_due", _("Requests of customers are due soon")
        REQUEST_LATE = "request_late", _("Requests of customers are late")
        AUTHORITY_REQUEST = "authority_request", _("An authority asks for data, and the clock runs")
        COMMITMENT_ENDS = "commitment_ends", _("A third party's commitment ends soon")
        BREACH = "breach", _("A breach was recorded, and the clock runs")

    member = models.ForeignKey(Staff, models.PROTECT, related_name="+", verbose_name=_("staff member"), help_text=_("Who is told."))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, help_text=_("What they are told."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, help_text=_("When it happened."))
    sent_at = models.DateTimeField(
        _("sent at"), null=True, help_text=_("When the mail was handed over; at once where the member has no address.")
    )

    objects = StaffNoticeQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("notice to staff"), _("notices to staff")
        indexes = [models.Index(fields=["id"], condition=models.Q(sent_at=None), name="staffnotice_unsent")]

    def __str__(self):
        return f"{self.kind} {self.pk}"

    def sent(self):
        self.sent_at = timezone.now()
        self.save(update_fields=["sent_at"])


class SavedFilter(models.Model):
    """A filter of a list that a member of the staff keeps under a name, as a link for themselves alone."""

    MOST = 20  # of one list

    member = models.ForeignKey(Staff, models.PROTECT, related_name="+", verbose_name=_("staff member"), help_text=_("Whose link it is."))
    list = models.CharField(_("list"), max_length=60, help_text=_("The list that it filters: app.model."))
    name = models.CharField(_("name"), max_length=40, help_text=_("As it stands above the list. No personal data."))
    query = models.CharField(_("filter"), max_length=300, help_text=_("Choices that the list offers, as they stand in its address."))

    class Meta:
        verbose_name, verbose_name_plural = _("saved filter"), _("saved filters")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["member", "list", "name"], name="saved_filter_unique")]
        permissions = [("export_list", "Can export lists")]

    def __str__(self):
        return f"{self.list} {self.pk}"


class Canary(models.Model):
    """One known value under each key that is in use; a start without one of them is refused before it can write anything."""

    WORD = "canary@example.org"
    token = EncryptedCharField(max_length=30, help_text=_("A known word, encrypted."))
    token_index = BlindIndexField(source="token", kind="email")

    class Meta:
        verbose_name = verbose_name_plural = _("canary")

    def __str__(self):
        return "canary"

    @classmethod
    def settle(cls, older):
        """Have one canary under the newest keys, and one for each index key of `older` versions that is not to be taken from the list."""
        with transaction.atomic():
            cls.objects.all().delete()
            cls.objects.create(token=cls.WORD)
            for key in settings.BLIND_INDEX_KEY[1:]:
                if version(key) in older:
                    kept = cls.objects.create(token=cls.WORD)
                    cls.objects.filter(pk=kept.pk).update(token_index=digest("email", cls.WORD, key))

    @classmethod
    def check_keys(cls):
        """Raise ImproperlyConfigured when FIELD_ENCRYPTION_KEY or BLIND_INDEX_KEY is not the one this database was made with."""
        there = connection.introspection.table_names()
        if cls._meta.db_table not in there:
            return  # not migrated yet: there is nothing that a wrong key could spoil
        canaries = list(cls.objects.all())
        sealed = [m for m in apps.get_models() if m._meta.db_table in there and any(map(is_encrypted, m._meta.fields))]
        if not canaries and any(model._base_manager.exists() for model in sealed):
            raise ImproperlyConfigured("The canary is gone: nothing shows that the keys fit this database. Restore it from a backup.")
        # Compared without the version, which tables that are not migrated yet have not.
        indexes = {index[:PLAIN] for index in digests("email", cls.WORD)}
        for canary in canaries:
            try:
                opened = canary.token == cls.WORD
            except UndecryptableValue:
                opened = False
            if not opened:
                raise ImproperlyConfigured("FIELD_ENCRYPTION_KEY does not fit this database.")
            if bytes(canary.token_index)[:PLAIN] not in indexes:
                raise ImproperlyConfigured("BLIND_INDEX_KEY does not fit this database.")
