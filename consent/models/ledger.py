"""What each customer said, and where that stands. Refuses to change what was said."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from consent.models.policies import PolicyVersion
from consent.models.purposes import Channel, Purpose
from customers.models import Attachment, Customer, Evidence, Notice
from privacy_office.fields import PLAIN, digest
from privacy_office.querysets import CopyQuerySet


class Event(models.TextChoices):
    """What happened to a consent, and the state it leaves (W3C DPV 2.3 consent status)."""

    UNKNOWN = "unknown", _("unknown")
    REQUESTED = "requested", _("requested")
    GIVEN = "given", _("given")
    RENEWED = "renewed", _("renewed")
    REFUSED = "refused", _("refused")
    WITHDRAWN = "withdrawn", _("withdrawn")
    REVOKED = "revoked", _("revoked")
    EXPIRED = "expired", _("expired")
    INVALIDATED = "invalidated", _("invalidated")


ALLOWS = frozenset({Event.GIVEN, Event.RENEWED})


# At one instant the later one here counts: a no beats a yes, whichever arrives first.
RANK = [
    Event.UNKNOWN, Event.REQUESTED, Event.GIVEN, Event.RENEWED, Event.EXPIRED, Event.INVALIDATED, Event.REVOKED, Event.REFUSED,
    Event.WITHDRAWN,
]  # fmt: skip


STOPS = frozenset({Event.REFUSED, Event.WITHDRAWN, Event.REVOKED})  # the customer's own no: it outlives the row


class Source(models.TextChoices):
    SIGNUP_FORM = "signup_form", _("sign-up form")
    PREFERENCE_PAGE = "preference_page", _("preference page")
    ONE_CLICK = "one_click", _("one-click link")
    REPLY = "reply", _("reply by e-mail")
    SUPPORT_TICKET = "support_ticket", _("support ticket")
    PHONE_CALL = "phone_call", _("phone call")
    PAPER = "paper", _("paper")
    IMPORT = "import", _("import")
    COMPLAINT = "complaint", _("complaint to the mail provider")


# What few rows say, so that lists find it by an index of these alone.
RARE = [Event.UNKNOWN, Event.REQUESTED, Event.REVOKED, Event.EXPIRED, Event.INVALIDATED]
NOT_IMPORTED = [source for source in Source if source != Source.IMPORT]


class ConsentEventQuerySet(CopyQuerySet):
    def record(self, events, *, by):
        """Append events and bring states, suppressions and the audit into line: one transaction, a fixed number of statements.

        The state is what the latest `at` says, however the events arrive; at one instant a no beats a yes.
        """
        with transaction.atomic():
            states = ConsentState.objects.locked({event.key for event in events})
            for event in self.bulk_create(events):
                event.is_latest = states[event.key].follow(event)
            followed = [e for e in events if e.is_latest]
            ConsentState.objects.bulk_create(
                {e.key: states[e.key] for e in followed}.values(),
                update_conflicts=True,
                unique_fields=["customer", "purpose", "channel"],
                update_fields=["state", "at", "event", "policy_version"],
            )
            Suppression.objects.follow({e.key: states[e.key] for e in followed}.values())
            audit.record_all(
                audit.entry(
                    f"consent.{e.event}", by=by, obj=e, subject=e.customer.public_id, clause=e.purpose.clause,
                    purpose=e.purpose.code, channel=e.channel, source=e.source, latest=e.is_latest,
                )
                for e in events
            )  # fmt: skip
        return events

    def say(self, customer, wishes, *, by, source, policy=None, language=None, evidence="", file=None, at=None, confirm=True):
        """Write down what one customer says of several purposes and channels at once; return the events that it made.

        `wishes` is {(purpose, channel): whether it is a yes}. A yes needs the policy version that was shown, in which `language` (the
        customer's); to what was allowed already it is a renewal. A no is a withdrawal where consent was given, a refusal where it was
        not, and where a no stands already nothing new. `evidence` says where it can be shown, `file` is a scan of it, in bytes.
        A no is confirmed once, unless `confirm` says that any mail would be one too many.
        """
        if any(wishes.values()) and not (policy and policy.published_at):
            raise ValidationError(_("There is no published policy that a consent could be given on."))
        asked = {(customer.pk, purpose.pk, str(channel)): (purpose, channel, yes) for (purpose, channel), yes in wishes.items()}
        with transaction.atomic():
            locked = ConsentState.objects.locked(asked)
            chosen = {key: _chosen(locked[key].state, yes) for key, (_purpose, _channel, yes) in asked.items()}
            chosen = {key: event for key, event in chosen.items() if event}
            if not chosen:
                return []
            now = timezone.now()
            at = at or max([now, *(locked[key].at or now for key in chosen)])  # our clock may be behind the one that wrote the last event
            scan = Attachment.keep(customer, file, by=by) if file else None
            kept = Evidence.objects.create(customer=customer, text=evidence, attachment=scan) if evidence or scan else None
            shown = policy.shown_digest(language or customer.locale) if policy else ""
            events = [
                ConsentEvent(
                    customer=customer, purpose=asked[key][0], channel=asked[key][1], event=event, at=at, source=source,
                    policy_version=policy, shown_digest=shown, evidence=kept, by=audit.actor(by),
                )
                for key, event in chosen.items()
            ]  # fmt: skip
            self.record(events, by=by)
            if confirm:
                _confirm(customer, [event for event in events if event.event in STOPS])
            return events


def _confirm(customer, refused):
    """Have the customer told once of what they refused: received, when, and since when it holds (Decree 91/2020/NĐ-CP)."""
    if refused:
        with translation.override(customer.locale):
            what = "; ".join(f"{e.purpose.title} ({Channel(e.channel).label})" for e in refused)
        Notice.tell(customer, Notice.Kind.REFUSED, about=refused[0], what=what, said=refused[0].at.isoformat())


def _chosen(state, yes):
    """Return the event that a yes or a no makes of a state, None for a no that stands already."""
    if yes:
        return Event.RENEWED if state in ALLOWS else Event.GIVEN
    return None if state in STOPS else Event.WITHDRAWN if state in ALLOWS else Event.REFUSED


class ConsentEvent(models.Model):
    """One thing a customer said about one purpose and channel (the event of an ISO/IEC TS 27560 consent record). Append-only."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="consent_events", verbose_name=_("customer"), help_text=_("Who said it.")
    )
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What it was about.")
    )
    channel = models.CharField(
        _("channel"), max_length=10, choices=Channel, help_text=_("By which channel contact was allowed or refused.")
    )
    event = models.CharField(_("event"), max_length=12, choices=Event, help_text=_("What was said."))
    at = models.DateTimeField(_("at"), help_text=_("When the customer said it."))
    recorded_at = models.DateTimeField(
        _("recorded at"), db_default=Now(), editable=False, help_text=_("Set by the database when it was written down.")
    )
    source = models.CharField(_("source"), max_length=20, choices=Source, help_text=_("How it reached us."))
    policy_version = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("policy version"),
        help_text=_("The policy version that was shown."),
    )
    shown_digest = models.CharField(
        _("digest of the text shown"), max_length=64, blank=True, help_text=_("SHA-256 of the text that was shown.")
    )
    evidence = models.ForeignKey(
        Evidence,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("evidence"),
        help_text=_("What shows that it was said."),
    )
    by = models.CharField(_("by"), max_length=60, help_text=_("Who wrote it down: see the audit's actor."))
    objects = ConsentEventQuerySet.as_manager()
    kept_whole = True  # its entry vouches for the row itself

    class Meta:
        verbose_name, verbose_name_plural = _("consent event"), _("consent events")
        indexes = [
            models.Index(fields=["customer", "purpose", "channel", "at"]),
            # What the list is filtered by, where it is rare: what is common is found soon without.
            models.Index(fields=["event", "-id"], condition=models.Q(event__in=RARE), name="consentevent_rare_event"),
            models.Index(fields=["source", "-id"], condition=models.Q(source__in=NOT_IMPORTED), name="consentevent_not_imported"),
            models.Index(fields=["channel", "-id"], condition=models.Q(channel__in=["sms", "phone"]), name="consentevent_not_email"),
            BrinIndex(fields=["recorded_at"], name="consentevent_recorded", autosummarize=True),
        ]

    def __str__(self):
        return f"{self.event} {self.pk}"

    @property
    def key(self):
        return self.customer_id, self.purpose_id, self.channel


class ConsentStateQuerySet(models.QuerySet):
    def locked(self, keys):
        """Return the states of these keys, made where there were none, locked until the transaction ends."""
        self.bulk_create([ConsentState(customer_id=c, purpose_id=p, channel=ch) for c, p, ch in sorted(keys)], ignore_conflicts=True)
        rows = self.filter(customer__in={key[0] for key in keys}, purpose__in={key[1] for key in keys})
        return {s.key: s for s in rows.select_for_update().order_by("pk") if s.key in keys}


class ConsentState(models.Model):
    """Where one customer's consent to one purpose by one channel stands: the projection of the ledger, written by `record` alone."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="consent_states", verbose_name=_("customer"), help_text=_("Whose consent it is.")
    )
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What it is about.")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, help_text=_("By which channel."))
    state = models.CharField(
        _("state"), max_length=12, choices=Event, default=Event.UNKNOWN, help_text=_("Only given and renewed allow anything.")
    )
    at = models.DateTimeField(_("since"), null=True, help_text=_("When the customer said so."))
    event = models.ForeignKey(
        ConsentEvent, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("event"), help_text=_("The event that says so.")
    )
    policy_version = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("policy version"),
        help_text=_("The policy version that was shown."),
    )
    objects = ConsentStateQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("consent state"), _("consent states")
        indexes = [
            models.Index(fields=["state", "-id"], condition=models.Q(state__in=RARE), name="consentstate_rare"),
            models.Index(fields=["channel", "-id"], condition=models.Q(channel__in=["sms", "phone"]), name="consentstate_not_email"),
        ]
        constraints = [models.UniqueConstraint(fields=["customer", "purpose", "channel"], name="consent_state_unique")]

    def __str__(self):
        return f"{self.purpose_id} {self.channel}: {self.state}"

    @property
    def key(self):
        return self.customer_id, self.purpose_id, self.channel

    def follow(self, event):
        """Take the event's state if nothing later, or weightier at the same instant, was said; return whether it did."""
        if self.at and (event.at, RANK.index(event.event)) < (self.at, RANK.index(self.state)):
            return False
        self.state, self.at, self.event, self.policy_version = event.event, event.at, event, event.policy_version
        return True

    @classmethod
    def of(cls, customer, purpose, channel):
        """Return the customer's state, an unsaved 'unknown' one where nothing was ever said."""
        state = cls.objects.filter(customer=customer, purpose=purpose, channel=channel).first()
        return state or cls(customer=customer, purpose=purpose, channel=channel)

    def give(self, *, by, source, policy, evidence="", at=None, language=None):
        """Write down a yes, on the policy version that was shown; a yes to what was allowed already renews it."""
        said = {"by": by, "source": source, "policy": policy, "evidence": evidence, "at": at, "language": language}
        return next(iter(ConsentEvent.objects.say(self.customer, {(self.purpose, self.channel): True}, **said)))

    def withdraw(self, *, by, source, evidence="", at=None):
        """Write down a no: a withdrawal where consent was given, a refusal where it was not. Nothing new where a no stands already."""
        said = {"by": by, "source": source, "evidence": evidence, "at": at}
        return next(iter(ConsentEvent.objects.say(self.customer, {(self.purpose, self.channel): False}, **said)), None)


# What a customer's address and number are known by: under the newest index key, and under the others that are configured.
DIGESTS = ("email_index", "email_others", "phone_index", "phone_others")


class SuppressionQuerySet(models.QuerySet):
    def follow(self, states):
        """Suppress the addresses of those who said no, lift it for those who later said yes themselves."""
        owners = {c.pk: c for c in Customer.objects.filter(pk__in={s.customer_id for s in states}).only(*DIGESTS)}
        wanted = {}
        for state in states:
            owner = owners[state.customer_id]
            kind = "email" if state.channel == Channel.EMAIL else "phone"
            index, others = getattr(owner, f"{kind}_index"), getattr(owner, f"{kind}_others")
            if index and (state.state in STOPS or state.state in ALLOWS):
                for known_as in [index, *(others or [])] if state.state in ALLOWS else [index]:
                    wanted[bytes(known_as), state.purpose_id, state.channel] = state
        there = {s.key: s for s in self.select_for_update().filter(digest__in={key[0] for key in wanted}).order_by("pk")}
        changed = []
        for key, state in wanted.items():
            row = there.get(key)
            if state.state in STOPS and (row is None or row.since < state.at):
                changed.append(Suppression(digest=key[0], purpose_id=key[1], channel=key[2], since=state.at))
            elif state.state in ALLOWS and row and row.lifted_at is None and row.since < state.at:
                changed.append(Suppression(digest=key[0], purpose_id=key[1], channel=key[2], since=row.since, lifted_at=state.at))
        self.bulk_create(
            changed, update_conflicts=True, unique_fields=["digest", "purpose", "channel"], update_fields=["since", "lifted_at"]
        )

    def adopt(self, customers):
        """Bring what stands under other index keys, of addresses that these customers have now, under the newest; return how many rows."""
        names = {"customer": Customer._meta.db_table, "suppression": self.model._meta.db_table}
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in (STRIKE, ADOPT):
                cursor.execute(statement.format(**names), {"customers": list(customers)})
            return cursor.rowcount

    def on_older_keys(self):
        """Return how many rows in force other index keys made, by the key's version: they refuse as long as it is configured."""
        version = models.Func("digest", models.Value(PLAIN + 1), function="substr", output_field=models.BinaryField())
        counts = self.filter(lifted_at=None).values_list(version).annotate(models.Count("pk"))
        newest = digest("email", "")[PLAIN:]
        return {bytes(made_by): count for made_by, count in counts if bytes(made_by) != newest}


# An address under each key but the newest, and under the newest.
KNOWN = """
WITH known AS (
    SELECT unnest(email_others) AS other, email_index AS newest FROM {customer} WHERE id = ANY(%(customers)s)
    UNION SELECT unnest(phone_others), phone_index FROM {customer} WHERE id = ANY(%(customers)s)
)
"""
# Of several that would become one, that stays which refuses, and since when it does so last.
STRIKE = f"""{KNOWN}
DELETE FROM {{suppression}} WHERE id IN (
    SELECT id FROM (
        SELECT u.id, row_number() OVER (PARTITION BY k.newest, u.purpose_id, u.channel
                                            ORDER BY u.lifted_at DESC NULLS FIRST, u.since DESC, u.id) AS place
          FROM (SELECT other, newest FROM known UNION SELECT newest, newest FROM known) k JOIN {{suppression}} u ON u.digest = k.other
    ) ranked WHERE place > 1
)
"""
ADOPT = f"{KNOWN} UPDATE {{suppression}} u SET digest = k.newest FROM known k WHERE u.digest = k.other"


class Suppression(models.Model):
    """An address that said no to a purpose, by keyed digest alone, so that the no outlives erasure and re-import."""

    digest = models.BinaryField(_("digest"), max_length=16, editable=False, help_text=_("The blind index of the address or number."))
    purpose = models.ForeignKey(
        Purpose, on_delete=models.PROTECT, related_name="+", verbose_name=_("purpose"), help_text=_("What was refused.")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, help_text=_("By which channel."))
    since = models.DateTimeField(_("since"), help_text=_("When it was refused."))
    lifted_at = models.DateTimeField(_("lifted at"), null=True, help_text=_("When a later yes of the same address lifted it."))
    objects = SuppressionQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("suppression"), _("suppressions")
        indexes = [
            models.Index(fields=["channel", "-id"], condition=models.Q(channel__in=["sms", "phone"]), name="suppression_not_email"),
            models.Index(fields=["-id"], condition=models.Q(lifted_at__isnull=False), name="suppression_lifted"),
        ]
        constraints = [models.UniqueConstraint(fields=["digest", "purpose", "channel"], name="suppression_unique")]

    def __str__(self):
        return _("suppression %s") % self.pk

    @property
    def key(self):
        return bytes(self.digest), self.purpose_id, self.channel


class AdvertisingContacts(models.Model):
    """When one customer was last advertised to by one channel: as many times as the cap counts, all purposes together."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"), help_text=_("Who was contacted.")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel, help_text=_("By which channel."))
    times = ArrayField(models.DateTimeField(), verbose_name=_("times"), help_text=_("The latest times, newest first."))

    class Meta:
        verbose_name = verbose_name_plural = _("advertising contacts")
        constraints = [models.UniqueConstraint(fields=["customer", "channel"], name="advertising_contacts_unique")]

    def __str__(self):
        return f"{self.channel} {self.pk}"
