"""How an encrypted field is told of: that there is something, and never what."""

import functools

from django.utils.translation import gettext_lazy as _

from privacy_office.fields import UndecryptableValue, is_encrypted

MASK, EMPTY = "•••", "—"


def encrypted(model):
    return [field for field in model._meta.concrete_fields if is_encrypted(field)]


@functools.cache
def masked(field):
    """Return a column that tells of an encrypted field only whether there is something, and whether it can be read."""

    def column(row):
        try:
            return MASK if getattr(row, field.name) else EMPTY
        except UndecryptableValue:
            return _("cannot be decrypted")

    column.__name__, column.short_description, column.hides = field.name, field.verbose_name, field.name
    return column
