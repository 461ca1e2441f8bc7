"""What customers ask for of right, and by when it is done. Refuses to be settled twice, extended twice, or done for a stranger."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from simple_history.utils import bulk_update_with_history

from audit import models as audit
from audit.history import History
from customers import deadlines
from customers.models.customer import Customer
from customers.models.notices import Notice
from customers.models.rules import DeadlineRule, Right
from privacy_office.fields import EncryptedTextField
from privacy_office.models import Staff, StaffNotice
from privacy_office.querysets import TrackedQuerySet

REMINDED = ("clerk", "officer")
# What only ever protects the customer: it needs no proof of who asks, and no hold keeps it waiting.
PROTECTIVE = frozenset({Right.WITHDRAWAL, Right.RESTRICTION, Right.OBJECTION})
CLAUSES = {Right.CORRECTION: "§4", Right.WITHDRAWAL: "§2.4", Right.OBJECTION: "§2.4"}  # all else is about what is stored, §1.2


class RightsRequestQuerySet(TrackedQuerySet):
    def open(self):
        return self.filter(closed_at=None)

    def late(self, on):
        return self.open().filter(due_on__lt=on)

    def due_within(self, on, days):
        """Return those whose date comes within some days, and is not past."""
        return self.open().filter(due_on__range=(on, on + timedelta(days=days)))

    def resume(self, customer, *, by):
        """Open what waited for the end of a hold, in the transaction of its release."""
        for request in self.filter(customer=customer, state=RightsRequest.State.WAITING):
            request.resume(by=by)

    def recount(self, *, by, reason):
        """Bring the dates of all open requests in line with the calendar; return how many changed."""
        fields = ["reply_by", "done_by", "due_on", "remind_on"]
        with transaction.atomic():
            calendar, changed = Holiday.objects.calendar(), []
            for request in self.open().select_for_update(of=["self"]).select_related("customer").order_by("pk"):
                before = [getattr(request, name) for name in fields]
                request.count(calendar)
                if before != [getattr(request, name) for name in fields]:
                    changed.append(request)
            bulk_update_with_history(changed, RightsRequest, fields, default_user=audit.staff(by), default_change_reason=reason)
            audit.record_all(
                audit.entry("request.recount", by=by, obj=r, subject=r.customer.public_id, clause=r.clause, reason=reason) for r in changed
            )
        return len(changed)

    def remind(self, today):
        """Have clerks and officers told of dates that come near and of dates that passed, each date once; return how many are new."""
        told = Reminder.objects.filter(request=OuterRef("pk"), due_on=OuterRef("due_on"))
        with transaction.atomic():
            rows = self.open().filter(remind_on__lte=today).select_for_update(of=["self"], skip_locked=True).select_related("customer")
            rows = rows.defer("words").annotate(late=Q(due_on__lt=today)).order_by("pk")
            new = [row for row in rows.filter(~Exists(told.filter(late=OuterRef("late"))))]
            Reminder.objects.bulk_create(Reminder(request=row, due_on=row.due_on, late=row.late) for row in new)
            members = Staff.objects.filter(is_active=True, groups__name__in=REMINDED).distinct()
            for late, kind in ((False, StaffNotice.Kind.REQUEST_DUE), (True, StaffNotice.Kind.REQUEST_LATE)):
                if any(row.late == late for row in new):
                    StaffNotice.objects.tell(members, kind)
            audit.record_all(
                audit.entry("request.remind", by=None, obj=row, subject=row.customer.public_id, clause=row.clause, late=row.late)
                for row in new
            )
        return len(new)


class RightsRequest(models.Model):
    """A customer's request of right (a DPV data subject right exercise), with two clocks: the first reply, and when it is done."""

    class Source(models.TextChoices):
        MY = "my", _("the customer's pages")
        EMAIL = "email", _("e-mail")
        PHONE = "phone", _("phone call")
        PAPER = "paper", _("paper")
        STAFF = "staff", _("in person")

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the end of a hold")
        RECEIVED = "received", _("received")
        ACKNOWLEDGED = "acknowledged", _("acknowledged")
        FULFILLED = "fulfilled", _("fulfilled")
        REFUSED = "refused", _("refused")

    class Identity(models.TextChoices):
        SESSION = "session", _("signed in")
        LINK = "link", _("one-time link")
        CONTACT = "contact", _("recognised by staff")

    class Ground(models.TextChoices):
        NOT_IDENTIFIED = "not_identified", _("we could not make sure who asks")
        KEPT_BY_LAW = "kept_by_law", _("the law obliges us to keep or use the data")
        OTHERS = "others", _("it would show or harm other people")
        NOTHING_HELD = "nothing_held", _("we hold no such data")
        DONE_ALREADY = "done_already", _("it is done already")
        NOT_FORESEEN = "not_foreseen", _("the law does not foresee it")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="rights_requests", verbose_name=_("customer"), help_text=_("Whose request it is.")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Right, help_text=_("What is asked for."))
    source = models.CharField(_("how it came in"), max_length=10, choices=Source, help_text=_("How the request reached the company."))
    state = models.CharField(_("state"), max_length=12, choices=State, help_text=_("How far it is."))
    received_at = models.DateTimeField(_("received at"), help_text=_("When it reached the company: both clocks begin here."))
    words = EncryptedTextField(
        _("in the customer's words"), null=True, blank=True, help_text=_("What the customer wrote or said. Encrypted.")
    )
    third_party = models.BooleanField(
        _("others must act too"),
        default=False,
        help_text=_("Whether somebody who was given the data has to act too: it may take longer then."),
    )
    terms = models.JSONField(_("terms"), help_text=_("The numbers of the deadlines as they held when it came in."))
    reply_by = models.DateField(_("first reply by"), help_text=_("The last day for the first reply."))
    done_by = models.DateField(_("done by"), help_text=_("The last day to have it done."))
    due_on = models.DateField(_("due on"), null=True, help_text=_("The date that comes next; empty: nothing is owed any more."))
    remind_on = models.DateField(_("reminder on"), null=True, help_text=_("From when staff are reminded of the date that comes next."))
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, help_text=_("When a person gave the first reply."))
    identity_at = models.DateTimeField(_("identity checked at"), null=True, help_text=_("When it was made sure that the customer asks."))
    identity_how = models.CharField(
        _("identity checked by"), max_length=10, choices=Identity, blank=True, help_text=_("How it was made sure that the customer asks.")
    )
    extended_at = models.DateTimeField(_("extended at"), null=True, help_text=_("When the one extension was taken."))
    extended_by = models.PositiveSmallIntegerField(_("extended by, days"), default=0, help_text=_("How many days the extension gave."))
    extension_reason = models.CharField(
        _("reason of the extension"),
        max_length=300,
        blank=True,
        help_text=_("Why more time is needed, as the customer was told. No personal data."),
    )
    closed_at = models.DateTimeField(_("closed at"), null=True, help_text=_("When it was fulfilled or refused."))
    ground = models.CharField(
        _("ground of the refusal"), max_length=20, choices=Ground, blank=True, help_text=_("What the refusal rests on.")
    )
    refusal_reason = models.CharField(
        _("reason of the refusal"), max_length=300, blank=True, help_text=_("Why, as the customer was told. No personal data.")
    )
    outcome = models.CharField(
        _("what was done"), max_length=300, blank=True, help_text=_("What was done, as the customer was told. No personal data.")
    )
    duplicate_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="duplicates",
        verbose_name=_("same as"),
        help_text=_("An earlier request of the same kind that was open when this one came in."),
    )
    history = History(personal=True)
    objects = RightsRequestQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("request of a customer"), _("requests of customers")
        ordering = ["-id"]
        permissions = [("decide_rightsrequest", "Can extend and refuse requests of customers")]
        indexes = [
            models.Index(fields=["due_on", "id"], condition=Q(closed_at=None), name="rightsrequest_due"),
            models.Index(fields=["customer", "kind"], condition=Q(closed_at=None), name="rightsrequest_open"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(extended_at=None, extended_by=0, extension_reason="")
                | (Q(extended_at__isnull=False, extended_by__gt=0) & ~Q(extension_reason="")),
                name="request_extended_once_with_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["fulfilled", "refused"], closed_at__isnull=False, due_on=None, remind_on=None)
                | Q(state__in=["waiting", "received", "acknowledged"], closed_at=None, due_on__isnull=False, remind_on__isnull=False),
                name="request_open_is_due",
            ),
            models.CheckConstraint(
                condition=(Q(state="refused") & ~Q(ground="") & ~Q(refusal_reason=""))
                | (~Q(state="refused") & Q(ground="", refusal_reason="")),
                name="request_refused_with_ground_and_reason",
            ),
            models.CheckConstraint(
                condition=Q(identity_at=None, identity_how="") | (Q(identity_at__isnull=False) & ~Q(identity_how="")),
                name="request_identity_checked_somehow",
            ),
            models.CheckConstraint(
                condition=~Q(state="fulfilled") | Q(kind__in=sorted(PROTECTIVE)) | Q(identity_at__isnull=False),
                name="request_fulfilled_for_whom_it_is",
            ),
            models.CheckConstraint(condition=~Q(duplicate_of=F("id")), name="request_no_duplicate_of_itself"),
        ]

    def __str__(self):
        return f"{self.pk}"

    @property
    def clause(self):
        return CLAUSES.get(self.kind, "§1.2")

    @property
    def protective(self):
        """Whether it only protects the customer."""
        return self.kind in PROTECTIVE

    @property
    def is_open(self):
        return self.closed_at is None

    def is_late(self, on):
        return self.due_on is not None and self.due_on < on

    # Dates

    def first_reply(self, calendar=None):
        """Return the Deadline of the first reply, explained."""
        return deadlines.first_reply(self.terms, self.received_at, calendar or Holiday.objects.calendar())

    def done(self, calendar=None):
        """Return the Deadline by which it is done, explained."""
        how = {"third_party": self.third_party, "extended_by": self.extended_by}
        return deadlines.done(self.terms, self.received_at, calendar or Holiday.objects.calendar(), **how)

    def count(self, calendar=None):
        """Work out the dates anew; unsaved."""
        calendar = calendar or Holiday.objects.calendar()
        self.reply_by, self.done_by = self.first_reply(calendar).on, self.done(calendar).on
        owed = self.done_by if self.state == self.State.ACKNOWLEDGED else min(self.reply_by, self.done_by)
        self.due_on = owed if self.is_open else None
        self.remind_on = owed - timedelta(days=self.terms["remind_days"]) if self.is_open else None

    # Verbs

    def _lock(self):
        """See the row as it is now and let nobody else change it until the transaction ends."""
        self.refresh_from_db(from_queryset=RightsRequest.objects.select_for_update(of=["self"]).select_related("customer"))

    def _change(self, action, *, by, detail=None, **changes):
        """Apply, count the dates, save with history and leave the entry: what every verb below does."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.count()
        self._history_user, self._change_reason = audit.staff(by), action
        self.save()
        detail = {"kind": self.kind, "number": self.pk, **(detail or {})}
        audit.record(action, by=by, obj=self, subject=self.customer.public_id, clause=self.clause, **detail)

    def _tell(self, kind, **values):
        """Have the customer told, in the customer's language."""
        with translation.override(self.customer.locale):
            told = {name: value.isoformat() if hasattr(value, "isoformat") else str(value) for name, value in values.items()}
            right = str(Right(self.kind).label)
        dates = {"received_on": timezone.localdate(self.received_at), "reply_by": self.reply_by, "done_by": self.done_by}
        dates = {name: day.isoformat() for name, day in dates.items()}
        return Notice.tell(self.customer, kind, about=self, number=str(self.pk), right=right, **dates, **told)

    def _require_open(self):
        if not self.is_open:
            raise ValidationError(_("This request is settled already."))

    @classmethod
    def receive(cls, customer, kind, *, by, source, words="", received_at=None, third_party=False, tell=True, at=None):
        """Write down a request and tell the customer the procedure and the dates; it waits while a hold makes doubtful who asks.

        Another open one of the same kind is linked, and blocks nothing. `tell=False` is for what is fulfilled in the same transaction.
        """
        at, kind, source = at or timezone.now(), Right(kind), cls.Source(source)
        received_at = received_at or at
        if received_at > at:
            raise ValidationError({"received_at": _("This is in the future.")})
        with transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=customer.pk)
            if customer.erased_at:
                raise ValidationError(_("This customer is erased already."))
            held = customer.holds.open().exists()
            waits = held and kind not in PROTECTIVE and source in (cls.Source.MY, cls.Source.EMAIL)
            earlier = cls.objects.open().filter(customer=customer, kind=kind).order_by("pk").first()
            known = {"identity_at": at, "identity_how": cls.Identity.SESSION} if source == cls.Source.MY else {}
            request = cls(
                customer=customer, kind=kind, source=source, received_at=received_at, words=words or None, third_party=third_party,
                terms=DeadlineRule.objects.get(kind=kind).terms, duplicate_of=earlier,
            )  # fmt: skip
            state = cls.State.WAITING if waits else cls.State.RECEIVED
            request._change("request.receive", by=by, state=state, detail={"source": source}, **known)
            if tell:
                request._tell_receipt(held)
        return request

    def _tell_receipt(self, held):
        if self.state == self.State.WAITING:
            self._tell(Notice.Kind.REQUEST_WAITING)
        elif self.protective or self.identity_at or held:
            self._tell(Notice.Kind.REQUEST_RECEIVED)
        else:
            self._tell(Notice.Kind.REQUEST_TO_CONFIRM)

    def resume(self, *, by):
        """Go on with what waited for the end of a hold."""
        with transaction.atomic():
            self._lock()
            if self.state != self.State.WAITING:
                raise ValidationError(_("This request does not wait."))
            self._change("request.resume", by=by, state=self.State.RECEIVED)
            self._tell_receipt(held=False)

    def ask_identity(self, *, by):
        """Send the customer one more link to confirm that they ask."""
        with transaction.atomic():
            self._lock()
            self._require_open()
            if self.identity_at:
                raise ValidationError(_("It is sure already that the customer asks."))
            notice = self._tell(Notice.Kind.REQUEST_TO_CONFIRM)
            audit.record("request.ask_identity", by=by, obj=notice, subject=self.customer.public_id, clause=self.clause, number=self.pk)

    def confirm_identity(self, *, by, how, at=None):
        """Write down how it was made sure that the customer asks."""
        with transaction.atomic():
            self._lock()
            self._require_open()
            if self.identity_at:
                raise ValidationError(_("It is sure already that the customer asks."))
            how = self.Identity(how)
            self._change("request.identify", by=by, identity_at=at or timezone.now(), identity_how=how, detail={"how": how})

    def acknowledge(self, *, by, third_party=False, at=None):
        """Give the first reply: a person has read it, and knows whether others must act too."""
        with transaction.atomic():
            self._lock()
            if self.state != self.State.RECEIVED:
                raise ValidationError(_("Only what was just received is acknowledged."))
            changes = {"state": self.State.ACKNOWLEDGED, "acknowledged_at": at or timezone.now(), "third_party": third_party}
            self._change("request.acknowledge", by=by, detail={"third_party": third_party}, **changes)
            self._tell(Notice.Kind.REQUEST_ACKNOWLEDGED)

    def extend(self, *, by, reason, days=None, at=None):
        """Take the one extension, before the date has passed; `days` is all that the law allows unless it says less."""
        at, reason = at or timezone.now(), reason.strip()
        with transaction.atomic():
            self._lock()
            self._require_open()
            most = self.terms["extension_days"]
            days = most if days is None else days
            if self.extended_at:
                raise ValidationError(_("This request was extended already: it is done once."))
            if not reason:
                raise ValidationError(_("An extension needs a reason, which the customer is told."))
            if not 0 < days <= most:
                raise ValidationError(_("The law allows from 1 to %(days)s more days."), params={"days": most})
            if timezone.localdate(at) > self.done_by:
                raise ValidationError(_("The date has passed: it is too late for an extension."))
            self._change("request.extend", by=by, extended_at=at, extended_by=days, extension_reason=reason, detail={"days": days})
            self._tell(Notice.Kind.REQUEST_EXTENDED, reason=reason, extra=days)

    def fulfil(self, *, by, outcome="", tell=True, at=None):
        """Write down that what was asked for is done; `consent.rights` does it, in the same transaction."""
        with transaction.atomic():
            self._lock()
            self._require_open()
            if self.state == self.State.WAITING:
                raise ValidationError(_("This request waits until the hold on the address is released (§3.3)."))
            if not (self.protective or self.identity_at):
                raise ValidationError(_("First it has to be made sure that the customer asks."))
            self._change("request.fulfil", by=by, state=self.State.FULFILLED, closed_at=at or timezone.now(), outcome=outcome.strip())
            if tell:
                self._tell(Notice.Kind.REQUEST_FULFILLED, outcome=self.outcome)

    def refuse(self, *, by, ground, reason, at=None):
        """Say no, with a ground and a reason, and tell how to complain."""
        ground, reason = self.Ground(ground), reason.strip()
        if not reason:
            raise ValidationError(_("A refusal needs a reason, which the customer is told."))
        with transaction.atomic():
            self._lock()
            self._require_open()
            changes = {"state": self.State.REFUSED, "closed_at": at or timezone.now(), "ground": ground, "refusal_reason": reason}
            self._change("request.refuse", by=by, detail={"ground": ground}, **changes)
            self._tell(Notice.Kind.REQUEST_REFUSED, ground=ground.label, reason=reason)


class Reminder(models.Model):
    """That staff were told of one date of one request: before it, or after it had passed."""

    request = models.ForeignKey(
        RightsRequest, on_delete=models.PROTECT, related_name="reminders", verbose_name=_("request"), help_text=_("Which request.")
    )
    due_on = models.DateField(_("due on"), help_text=_("The date that staff were told of."))
    late = models.BooleanField(_("late"), help_text=_("Whether the date had passed."))
    at = models.DateTimeField(_("at"), default=timezone.now, help_text=_("When they were told."))

    class Meta:
        verbose_name, verbose_name_plural = _("reminder"), _("reminders")
        constraints = [models.UniqueConstraint(fields=["request", "due_on", "late"], name="reminder_once_for_each_date")]

    def __str__(self):
        return f"{self.pk}"


class HolidayQuerySet(TrackedQuerySet):
    def calendar(self):
        """Return the Calendar with what the office added."""
        return deadlines.Calendar({day: (name, worked) for day, name, worked in self.values_list("day", "name", "worked")})


class Holiday(models.Model):
    """A day off that was announced late, or a Saturday that is worked instead of another day: over what the holidays' library knows."""

    day = models.DateField(_("day"), unique=True, help_text=_("The day that is not as the calendar says."))
    name = models.CharField(_("why"), max_length=100, help_text=_("Why, as customers read it where a date is explained."))
    worked = models.BooleanField(
        _("worked"), default=False, help_text=_("Off: nobody works on this day. On: it is worked though it is a weekend or a holiday.")
    )
    source = models.CharField(_("source"), max_length=100, blank=True, help_text=_("The announcement that says so."))
    history = History()
    objects = HolidayQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("change of the calendar"), _("changes of the calendar")
        ordering = ["-day"]

    def __str__(self):
        return f"{self.day:%Y-%m-%d}"

    def announce(self, *, by):
        """Put it into the calendar; the dates of all open requests follow."""
        with transaction.atomic():
            self._history_user, self._change_reason = audit.staff(by), "holiday.announce"
            self.save()
            changed = RightsRequest.objects.recount(by=by, reason="holiday.announce")
            audit.record("holiday.announce", by=by, obj=self, day=self.day.isoformat(), worked=self.worked, requests=changed)
