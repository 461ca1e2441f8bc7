"""What the law gives a customer to ask for, and how long the company has: numbers that an officer keeps up, not rules of the code."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.history import History
from privacy_office.querysets import TrackedQuerySet


class Right(models.TextChoices):
    """What a customer may ask for (Law 91/2025/QH15; W3C DPV's rights of a data subject)."""

    ACCESS = "access", _("to see the data")
    CORRECTION = "correction", _("to correct the data")
    COPY = "copy", _("to get a copy")
    WITHDRAWAL = "withdrawal", _("to withdraw consent")
    RESTRICTION = "restriction", _("to restrict use")
    OBJECTION = "objection", _("to object to use")
    ERASURE = "erasure", _("to erase the data")
    PROTECTION = "protection", _("to protect the data")


class DeadlineRule(models.Model):
    """How long the company has for one kind of request. A request keeps the numbers that held when it came in."""

    kind = models.CharField(_("kind"), max_length=12, choices=Right, unique=True, help_text=_("The kind of request that it holds for."))
    reply_days = models.PositiveSmallIntegerField(
        _("first reply, working days"), help_text=_("Working days within which a person answers and tells the procedure.")
    )
    done_days = models.PositiveSmallIntegerField(_("done, days"), help_text=_("Days within which the request is done."))
    shared_days = models.PositiveSmallIntegerField(
        _("done with others, days"), help_text=_("Days where somebody who was given the data has to act too.")
    )
    extension_days = models.PositiveSmallIntegerField(
        _("extension, days"), help_text=_("How many days the one extension may give at most.")
    )
    working = models.BooleanField(
        _("working days"),
        default=False,
        help_text=_("Whether working days alone count until it is done; the stricter reading is: every day."),
    )
    remind_days = models.PositiveSmallIntegerField(
        _("reminder, days before"), default=3, help_text=_("How many days before a date staff are reminded by mail.")
    )
    source = models.CharField(_("source"), max_length=100, help_text=_("The text of law that says so."))
    history = History()
    objects = TrackedQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("deadline"), _("deadlines")
        ordering = ["id"]

    def __str__(self):
        return self.get_kind_display()

    def clean(self):
        if None not in (self.done_days, self.shared_days) and self.shared_days < self.done_days:
            raise ValidationError({"shared_days": _("With others it cannot be shorter than without.")})
        if not self.done_days or not self.reply_days:
            raise ValidationError(_("A deadline of no days cannot be kept."))

    @property
    def terms(self):
        """The numbers that a request keeps."""
        return {
            name: getattr(self, name)
            for name in ("reply_days", "done_days", "shared_days", "extension_days", "working", "remind_days", "source")
        }
