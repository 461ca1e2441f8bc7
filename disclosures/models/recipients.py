"""Who got data that was corrected or erased afterwards, and has to be told. Found in the trail, so no correction can forget it."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.utils import bulk_create_with_history

from audit import models as audit
from audit.history import History
from audit.models import Entry
from customers.models import Customer
from disclosures.models.parties import Field, TermRule, ThirdParty, person
from disclosures.models.register import Disclosure
from privacy_office.querysets import TrackedQuerySet

ERASED = "customer.erase"
CORRECTED = ["customer.correct", "customer.amend", "customer.restore_email"]
# A correction came after a disclosure if its entry did: both hold the customer's row while they write theirs.
PAST = """
SELECT e.id, e.action, e.at, d.customer_id, d.third_party_id, max(d.id), array_agg(DISTINCT f.field ORDER BY f.field)
  FROM {disclosure} d
  JOIN {customer} c ON c.id = d.customer_id
  JOIN {entry} handed ON handed.object = 'disclosures.disclosure:' || d.id
  JOIN {entry} e ON e.subject = c.public_id AND e.id > handed.id AND e.action = ANY(%(actions)s)
  CROSS JOIN LATERAL unnest(d.fields) f (field)
 WHERE (e.action = %(erased)s OR e.detail->'fields' ? f.field)
   AND NOT EXISTS (SELECT FROM {task} t WHERE t.entry_id = e.id AND t.third_party_id = d.third_party_id)
 GROUP BY e.id, e.action, e.at, d.customer_id, d.third_party_id ORDER BY e.id, d.third_party_id
"""


class RecipientTaskQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(done_at=None).order_by("due_at")

    def find(self):
        """Make a task for each recipient of data that was corrected or erased since, once each; return the new ones."""
        names = {"disclosure": Disclosure, "customer": Customer, "entry": Entry, "task": self.model}
        sql = PAST.format(**{name: model._meta.db_table for name, model in names.items()})
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {self.model._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")  # two at once would find the same
                cursor.execute(sql, {"actions": [ERASED, *CORRECTED], "erased": ERASED})
                found = cursor.fetchall()
            if not found:
                return []
            terms = {what: TermRule.objects.term(f"tell_{what}") for what in RecipientTask.What.values}
            tasks = []
            for entry, action, at, customer, party, disclosure, fields in found:
                what = RecipientTask.What.ERASURE if action == ERASED else RecipientTask.What.CORRECTION
                tasks.append(
                    RecipientTask(
                        entry_id=entry, what=what, happened_at=at, due_at=at + terms[what], customer_id=customer, third_party_id=party,
                        disclosure_id=disclosure, fields=fields,
                    )
                )  # fmt: skip
            tasks = bulk_create_with_history(tasks, RecipientTask, default_change_reason="recipienttask.find")
            subjects = dict(Customer.objects.filter(pk__in={task.customer_id for task in tasks}).values_list("pk", "public_id"))
            audit.record_all(
                audit.entry("recipienttask.find", by=None, obj=t, subject=subjects[t.customer_id], clause="§4", what=str(t.what))
                for t in tasks
            )
        return tasks


class RecipientTask(models.Model):
    """A third party has to be told that what it got was corrected or erased; done when the outcome is written down."""

    class What(models.TextChoices):
        CORRECTION = "correction", _("correction")
        ERASURE = "erasure", _("erasure")

    class Outcome(models.TextChoices):
        TOLD = "told", _("told, and confirmed")
        TOLD_NO_ANSWER = "told_no_answer", _("told, no answer yet")
        NOT_ALLOWED = "not_allowed", _("the law forbids it at present")
        GONE = "gone", _("the recipient holds it no longer")

    entry = models.ForeignKey(
        Entry, on_delete=models.PROTECT, related_name="+", verbose_name=_("entry"), help_text=_("The correction or erasure in the trail.")
    )
    what = models.CharField(_("what happened"), max_length=12, choices=What, help_text=_("What the recipient has to follow."))
    happened_at = models.DateTimeField(_("happened at"), help_text=_("When the data was corrected or erased."))
    due_at = models.DateTimeField(_("due at"), help_text=_("Until when the recipient has to have been told."))
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"), help_text=_("Whose data it is.")
    )
    third_party = models.ForeignKey(
        ThirdParty, on_delete=models.PROTECT, related_name="+", verbose_name=_("third party"), help_text=_("Who has to be told.")
    )
    disclosure = models.ForeignKey(
        Disclosure,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("disclosure"),
        help_text=_("The latest handing-over of the old values."),
    )
    fields = ArrayField(
        models.CharField(max_length=20, choices=Field), verbose_name=_("fields"), help_text=_("Which kinds of data it is about.")
    )
    outcome = models.CharField(
        _("outcome"), max_length=20, choices=Outcome, blank=True, editable=False, help_text=_("What came of telling them.")
    )
    note = models.CharField(_("note"), max_length=300, blank=True, editable=False, help_text=_("Letter or call. No personal data."))
    done_by = person(verbose_name=_("done by"), help_text=_("Who told them."))
    done_at = models.DateTimeField(_("done at"), null=True, editable=False, help_text=_("When the outcome was written down."))
    history = History()
    objects = RecipientTaskQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("recipient to be told"), _("recipients to be told")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["entry", "third_party"], name="recipient_told_once_of_each"),
            models.CheckConstraint(condition=Q(done_at=None) | ~Q(outcome=""), name="recipient_task_done_with_an_outcome"),
        ]

    def __str__(self):
        return f"{self.pk}"

    def settle(self, *, by, outcome, note="", at=None):
        """Write down what came of telling the recipient."""
        with transaction.atomic():
            self.refresh_from_db(from_queryset=RecipientTask.objects.select_for_update())
            if self.done_at:
                raise ValidationError(_("This is done already."))
            self.outcome, self.note, self.done_by, self.done_at = self.Outcome(outcome), note, audit.staff(by), at or timezone.now()
            self._history_user, self._change_reason = audit.staff(by), "recipienttask.settle"
            self.save()
            audit.record(
                "recipienttask.settle", by=by, obj=self, subject=self.customer.public_id, clause="§4", outcome=str(outcome)
            )  # fmt: skip
