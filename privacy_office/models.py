"""Who works here, and proof that the keys fit. Holds no customer."""

import secrets

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from privacy_office.fields import BlindIndexField, EncryptedCharField, UndecryptableValue, blind


class Staff(AbstractUser):
    """A person of the company who may sign in. Deactivated, never deleted: history and audit point here."""

    first_name = last_name = None
    one_time_password = models.BooleanField(
        _("one-time password"),
        default=False,
        editable=False,
        help_text=_("The password was made by the office and must be changed before anything else."),
    )

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

    def delete(self, *args, **kwargs):
        raise TypeError("Staff are deactivated, never deleted.")


class Canary(models.Model):
    """One known value under the current keys; a start with other keys is refused before it can write anything."""

    WORD = "canary@example.org"
    token = EncryptedCharField(max_length=30, help_text=_("A known word, encrypted."))
    token_index = BlindIndexField(source="token", kind="email")

    class Meta:
        verbose_name = verbose_name_plural = _("canary")

    def __str__(self):
        return "canary"

    @classmethod
    def check_keys(cls):
        """Raise ImproperlyConfigured when FIELD_ENCRYPTION_KEY or BLIND_INDEX_KEY is not the one this database was made with."""
        if cls._meta.db_table not in connection.introspection.table_names():
            return  # not migrated yet: there is nothing that a wrong key could spoil
        for canary in cls.objects.all():
            try:
                opened = canary.token == cls.WORD
            except UndecryptableValue:
                opened = False
            if not opened:
                raise ImproperlyConfigured("FIELD_ENCRYPTION_KEY does not fit this database.")
            if bytes(canary.token_index) != blind("email", cls.WORD):
                raise ImproperlyConfigured("BLIND_INDEX_KEY does not fit this database.")
