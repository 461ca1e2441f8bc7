"""The audit trail: who did what to whom, by which clause. Refuses to be changed, or written outside the change it tells of."""

from django.contrib.auth import get_user_model
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from privacy_office.querysets import CopyQuerySet


class Entry(models.Model):
    """One act, done or refused (an audit record in the sense of ISO/IEC 27002, 8.15). Append-only; holds no personal data."""

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False, help_text=_("Set by the database when the entry was written."))
    actor = models.CharField(_("actor"), max_length=60, help_text=_("staff:number, customer:identifier, or system."))
    action = models.CharField(_("action"), max_length=60, help_text=_("What was done: noun.verb."))
    object = models.CharField(_("object"), max_length=80, blank=True, help_text=_("The row it was done to: app.model:number."))
    subject = models.UUIDField(
        pgettext_lazy("audit", "subject"), null=True, help_text=_("The customer it was about, by random identifier.")
    )
    clause = models.CharField(_("clause"), max_length=10, blank=True, help_text=_("The policy's clause that it rests on."))
    detail = models.JSONField(_("detail"), default=dict, help_text=_("Field names, counts and reasons; never values of personal data."))

    objects = CopyQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("entry"), _("entries")
        ordering = ["-id"]
        indexes = [models.Index(fields=["subject", "-id"]), models.Index(fields=["object", "-id"])]

    def __str__(self):
        return f"{self.id} {self.action}"


def staff(by):
    """Return `by` where it is a staff member, else None: what a history row's user may be."""
    return by if isinstance(by, get_user_model()) else None


def actor(by):
    """Return who `by` is: None is the system, a staff member a number, anyone else says it in `.actor`."""
    if by is None:
        return "system"
    return f"staff:{by.pk}" if staff(by) else by.actor


def entry(action, *, by, obj=None, subject=None, clause="", **detail):
    """Return an unsaved Entry, for `record_all`."""
    name = f"{obj._meta.label_lower}:{obj.pk}" if obj is not None else ""
    return Entry(actor=actor(by), action=action, object=name, subject=subject, clause=clause, detail=detail)


def record_all(entries):
    """Write entries in the transaction of the change they tell of; TransactionManagementError outside one."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an audit entry belongs in the transaction of its change")
    Entry.objects.bulk_create(entries)


def record(action, *, by, obj=None, subject=None, clause="", **detail):
    """Write one entry in the transaction of the change it tells of."""
    record_all([entry(action, by=by, obj=obj, subject=subject, clause=clause, **detail)])
