"""The audit trail: who did what to whom, by which clause. Refuses to be changed, or written outside the change it tells of."""

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import DatabaseError, connection, models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from psycopg.types.json import Jsonb

from audit.history import commitment, unkept
from audit.unrecorded import Unrecorded
from privacy_office.querysets import CopyQuerySet

OVERDUE = timedelta(days=2)  # twice the time from one nightly verification to the next


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
    kept = ArrayField(
        models.BigIntegerField(),
        verbose_name=_("history rows"),
        default=list,
        help_text=_("The rows of the object's history that the act wrote."),
    )
    commitment = models.CharField(
        _("commitment"),
        max_length=64,
        blank=True,
        help_text=_("Salted digest of what these rows say, or of the object itself where it is kept for good."),
    )

    objects = CopyQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("entry"), _("entries")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject", "-id"]),
            models.Index(fields=["object", "-id"]),
            BrinIndex(fields=["at"], name="entry_at", autosummarize=True),  # which costs an act nothing, unlike a tree
        ]

    def __str__(self):
        return f"{self.id} {self.action}"


class Unsealed(models.Model):
    """An entry that no checkpoint covers yet: queued by the database as the entry is written, taken off as it is sealed."""

    entry = models.OneToOneField(
        Entry,
        on_delete=models.PROTECT,
        primary_key=True,
        db_constraint=False,  # the trigger that fills it knows that the entry is there
        related_name="+",
        verbose_name=_("entry"),
        help_text=_("Which one waits."),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("unsealed entry"), _("unsealed entries")

    def __str__(self):
        return f"{self.pk}"


class Checkpoint(models.Model):
    """A signed Merkle root over the entries since the one before (RFC 6962 section 2.1, docs/AUDIT_FORMAT.md). Append-only."""

    number = models.BigIntegerField(_("number"), primary_key=True, help_text=_("Counts up from 1 without a gap."))
    at = models.DateTimeField(_("at"), help_text=_("When it was sealed."))
    size = models.IntegerField(_("entries"), help_text=_("How many entries it covers."))
    root = models.CharField(_("root"), max_length=64, help_text=_("Root of the Merkle tree over the entries."))
    previous = models.CharField(_("previous"), max_length=64, help_text=_("Digest of the checkpoint before; zeros for the first."))
    key = models.CharField(_("key"), max_length=64, help_text=_("The Ed25519 public key that its signature answers to."))
    signature = models.CharField(_("signature"), max_length=128, help_text=_("Ed25519 signature of all that stands above."))
    entries = ArrayField(
        models.BigIntegerField(), verbose_name=_("numbers of the entries"), help_text=_("Which entries it covers, in their order.")
    )
    leaves = models.BinaryField(_("leaves"), help_text=_("The hash of each entry, to tell which one was changed."))

    class Meta:
        verbose_name, verbose_name_plural = _("checkpoint"), _("checkpoints")
        ordering = ["-number"]
        indexes = [models.Index(fields=["at"])]

    def __str__(self):
        return f"{self.number}"


class Verification(models.Model):
    """What one verification of the whole trail found."""

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False, help_text=_("When it ended."))
    entries = models.BigIntegerField(_("entries"), help_text=_("How many entries were read."))
    checkpoints = models.BigIntegerField(_("checkpoints"), help_text=_("How many checkpoints were read."))
    rows = models.BigIntegerField(_("rows"), help_text=_("How many rows that entries vouch for were read."))
    problems = models.JSONField(_("problems"), default=list, help_text=_("What was wrong, first things first: where, and what."))
    seconds = models.FloatField(_("seconds"), help_text=_("How long it took."))

    class Meta:
        verbose_name, verbose_name_plural = _("verification"), _("verifications")
        ordering = ["-id"]

    def __str__(self):
        return f"{self.pk}"

    @classmethod
    def latest_failed(cls):
        """Return whether the last verification found something wrong."""
        last = cls.objects.first()
        return bool(last and last.problems)

    @classmethod
    def overdue(cls, at=None):
        """Return whether no nightly verification came to its end for so long, in an office that is as old."""
        since = cls.since()
        return bool(since) and since < (at or timezone.now()) - OVERDUE

    @classmethod
    def since(cls):
        """Return when the last verification came to its end; before there is one, when the office began; None before that."""
        newest, oldest = (model.objects.order_by(by).values_list("at", flat=True).first() for model, by in ((cls, "-at"), (Entry, "pk")))
        return max(newest or oldest, oldest) if oldest else None


def staff(by):
    """Return `by` where it is a staff member, else None: what a history row's user may be."""
    return by if isinstance(by, get_user_model()) else None


def actor(by):
    """Return who `by` is: None is the system, a staff member a number, anyone else says it in `.actor`."""
    if by is None:
        return "system"
    return f"staff:{by.pk}" if staff(by) else by.actor


SET_BY_THE_DATABASE = Entry._meta.get_field("at").get_default()  # made once, as it takes longer than all the rest of an entry


def entry(action, *, by, obj=None, subject=None, clause="", **detail):
    """Return an unsaved Entry, for `record_all`; it vouches for the history rows that the act wrote of `obj`."""
    told = Entry(at=SET_BY_THE_DATABASE, actor=actor(by), action=action, subject=subject, clause=clause, detail=detail)
    if obj is not None:
        told.object = f"{obj._meta.label_lower}:{obj.pk}"
        rows = unkept(obj)
        told.kept = [row.pk for row in rows]
        if rows or getattr(obj, "kept_whole", False):
            told.commitment = commitment(rows or [obj])
    return told


def record_all(entries):
    """Write entries in the transaction of the change they tell of, or raise Unrecorded: no entry, no act."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an audit entry belongs in the transaction of its change")
    entries = list(entries)
    try:
        _write(entries[0]) if len(entries) == 1 else Entry.objects.bulk_create(entries)
    except DatabaseError:
        raise Unrecorded from None


INSERT = """
INSERT INTO audit_entry (actor, action, object, subject, clause, detail, kept, commitment) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def _write(told):
    """Write one entry, as most acts do, without the query builder, which takes longer than the database; its number stays unknown."""
    detail = Jsonb(told.detail)
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [told.actor, told.action, told.object, told.subject, told.clause, detail, told.kept, told.commitment])


OF_ROWS = """
{rows} INSERT INTO audit_entry (actor, action, object, subject, clause, detail, kept, commitment)
SELECT 'system', action, object, subject, clause, detail, '{{}}', '' FROM {name}
"""


def record_rows(rows, name, values):
    """Write an entry of the system for each row of `name` that the WITH clause `rows` changes and returns, in one statement.

    For rows without history, of which there are many; each returns action, object, subject, clause and detail.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an audit entry belongs in the transaction of its change")
    try:
        with connection.cursor() as cursor:
            cursor.execute(OF_ROWS.format(rows=rows, name=name), values)
    except DatabaseError:
        raise Unrecorded from None


def record(action, *, by, obj=None, subject=None, clause="", **detail):
    """Write one entry in the transaction of the change it tells of."""
    record_all([entry(action, by=by, obj=obj, subject=subject, clause=clause, **detail)])


def require():
    """Raise Unrecorded where no entry could be written now; leave none."""
    with transaction.atomic():
        record("trail.require", by=None)
        transaction.set_rollback(True)
