"""The customers' pages for staff, masked. Refuses to be a form: what is done to a customer is done by a verb, with a reason."""

import functools
import math

from django import forms
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from consent import gate, past, rights
from consent.admin import QUESTIONS, Acknowledge, AskContact, Consent, Refuse
from consent.models import Approach, Channel, ConsentState, Purpose
from customers import retention
from customers.erasure import GROUNDS
from customers.models import (
    Anomaly,
    AnomalyKind,
    Attachment,
    Contact,
    Correction,
    Customer,
    DeadlineRule,
    EmailChange,
    EmailHold,
    Erasure,
    Evidence,
    HoldRule,
    Holiday,
    InformationRequest,
    LegalHold,
    Notice,
    RetentionRule,
    RetentionRun,
    Reveal,
    Right,
    RightsRequest,
    Service,
    SupportRequest,
)
from customers.models.addresses import ask_verification
from customers.models.corrections import LONGEST
from customers.models.reveals import REVEAL_LASTS
from mailings.models import Message
from privacy_office.admin import (
    EMPTY,
    MASK,
    Act,
    Choice,
    Coming,
    EstimatedPaginator,
    Happened,
    Lately,
    Mine,
    ReadOnlyAdmin,
    TrackedAdmin,
    encrypted,
    masked,
    refusal,
    sealed_search,
)
from privacy_office.fields import UndecryptableValue
from privacy_office.uploads import ScanField, download

LATEST = 20
MINUTES = int(REVEAL_LASTS.total_seconds() // 60)
REASON = {"label": _("Reason"), "max_length": 200, "help_text": _("No personal data: name a ticket, a letter, a call.")}


class Restrict(Act):
    name, label = "restrict", _("Restrict")
    permission = "customers.change_customer"
    explanation = _("The customer asks us to stop using the data: it is kept, and used for nothing until the restriction is lifted.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.restricted_at is None

    def act(self):
        self.row.restrict(by=self.by, reason=self.cleaned_data["reason"])


class LiftRestriction(Act):
    name, label = "lift-restriction", _("Lift the restriction")
    permission = "customers.change_customer"
    explanation = _("The customer allows use of the data again, within what was consented to.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.restricted_at is not None

    def act(self):
        self.row.lift_restriction(by=self.by, reason=self.cleaned_data["reason"])


class PlaceHold(Act):
    name, label = "place-hold", _("Place a hold")
    permission = "customers.add_emailhold"
    explanation = _("Suspends the customer's e-mail address until they confirm through another channel (§3.3). Refusals still work.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return not self.row.on_hold

    def act(self):
        EmailHold.place(self.row, by=self.by, reason=self.cleaned_data["reason"])


class ReleaseHold(Act):
    name, label = "release-hold", _("Release the hold")
    permission = "customers.change_emailhold"
    explanation = _("Only after the customer confirmed through another channel, and by another person than the one who placed it (§3.3).")
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def offered(self):
        return self.row.on_hold

    def act(self):
        hold = EmailHold.objects.open().get(customer=self.row)
        hold.release(by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])


class ChangeEmail(Act):
    name, label = "change-email", _("Change the e-mail address")
    permission = "customers.change_customer"
    explanation = _(
        "For customers who cannot read their old address any more, after they were recognised through another channel: the new address must"
        " still confirm, and the old one is told and may object for a week (§3.2)."
    )
    email = forms.EmailField(label=_("New address"), max_length=254)
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def offered(self):
        return self.row.erased_at is None and not self.row.on_hold and self.row.association != Customer.Association.ENDED

    def act(self):
        Contact.add(self.row, by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])
        EmailChange.ask(self.row, self.cleaned_data["email"], by=self.by)


class AskVerification(Act):
    name, label = "ask-verification", _("Ask to verify the address")
    permission = "customers.change_customer"
    explanation = _("Sends a link to the address; a press of its button shows that it is read (§3.1).")

    def offered(self):
        return self.row.email_state in (Customer.EmailState.UNVERIFIED, Customer.EmailState.COMPLAINED) and not self.row.on_hold

    def act(self):
        ask_verification(self.row, by=self.by)


class NoteContact(Act):
    name, label = "note-contact", _("Note a contact")
    permission = "customers.change_customer"
    explanation = _("For instance that a customer whose address is dead was asked by phone for a new one (§3.1).")
    channel = forms.ChoiceField(label=_("How the customer was reached"), choices=Contact.Channel)
    note = forms.CharField(label=_("Note"), widget=forms.Textarea(attrs={"rows": 4}), help_text=Contact._meta.get_field("note").help_text)

    def act(self):
        Contact.add(self.row, by=self.by, channel=self.cleaned_data["channel"], note=self.cleaned_data["note"])


class ReportFraud(Act):
    name, label = "report-fraud", _("Note a report of fraud")
    permission = "customers.add_emailhold"
    explanation = _("Counted by the rule for reports of fraud, which suspends the address (§3.3).")

    def act(self):
        Anomaly.note(self.row, AnomalyKind.FRAUD_REPORT, by=self.by)


class EndAssociation(Act):
    name, label = "end-association", _("End the association")
    permission = "customers.change_customer"
    explanation = _("The customer left: data is no longer corrected, and nothing but what the service still needs is sent (§4).")
    on = forms.DateField(label=_("Ended on"), initial=timezone.localdate, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.association != Customer.Association.ENDED

    def act(self):
        self.row.end_association(on=self.cleaned_data["on"], by=self.by, reason=self.cleaned_data["reason"])


class PlaceLegalHold(Act):
    name, label = "place-legal-hold", _("Place a legal hold")
    permission = "customers.add_legalhold"
    explanation = _("A dispute or an inquiry obliges us to keep the data: neither an erasure nor a retention rule touches it meanwhile.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.erased_at is None and not self.row.legal_holds.open().exists()

    def act(self):
        LegalHold.place(self.row, by=self.by, reason=self.cleaned_data["reason"])


class AskErasure(Act):
    name, label = "erase", _("Erase")
    permission = "customers.add_erasure"
    step_up = True
    explanation = _(
        "Takes away every personal value of this customer, for good: an officer, another person than you, has to approve it,"
        " then the customer is told, and a day later at the latest it begins. Make sure that it is the customer who asks."
    )
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.erased_at is None and not self.row.erasures.open().exists()

    def act(self):
        erasure = Erasure.ask(self.row, by=self.by, reason=self.cleaned_data["reason"])
        return redirect("admin:customers_erasure_change", erasure.pk)


class AskReveal(Act):
    name, label = "reveal", _("Reveal")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _(
            "Shows one value to you alone, for {minutes} minutes. What you saw and why is written down first,"
            " and the customer may learn of it."
        ),
        minutes=MINUTES,
    )
    preselected = ("field",)
    field = forms.ChoiceField(label=_("What you need to see"))
    reason = forms.ChoiceField(label=_("What for"), choices=Reveal.Reason, widget=forms.RadioSelect)
    case_kind = forms.ChoiceField(label=_("For which case"), choices=Reveal.Case, widget=forms.RadioSelect)
    case_reference = forms.CharField(
        label=_("Number of the ticket"),
        required=False,
        max_length=Reveal._meta.get_field("case_reference").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("As in the help desk: letters, digits and hyphens."),
    )

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        labels = dict(Reveal.Field.choices)
        self.fields["field"].choices = [(name, capfirst(labels[name])) for name in Reveal.fields_of(row)]
        customer = getattr(row, "customer", row)
        self.hold = EmailHold.objects.open().filter(customer=customer).first()
        self.request = RightsRequest.objects.open().filter(customer=customer).order_by("due_on", "pk").first()
        if isinstance(row, RightsRequest) and row.is_open:
            self.request = row
        self.correction = getattr(row, "corrections", customer.corrections).undecided().first()
        there = {
            Reveal.Case.TICKET: True,
            Reveal.Case.HOLD: self.hold,
            Reveal.Case.REQUEST: self.request,
            Reveal.Case.CORRECTION: self.correction,
        }
        cases = [(case.value, case.label) for case in there if there[case]]
        self.fields["case_kind"].choices = cases
        if len(cases) == 1:
            self.fields["case_kind"].widget = forms.HiddenInput()
        of_a_file = isinstance(row, Attachment) and self.correction
        own = Reveal.Case.CORRECTION if of_a_file else Reveal.Case.REQUEST if row == self.request else None
        self.initial["case_kind"] = own or Reveal.Case.TICKET
        # One call often needs a second value: the case is still the same.
        if not of_a_file and (latest := Reveal.objects.live().filter(by=by, customer=customer, case_kind__in=dict(cases)).first()):
            self.initial |= {"reason": latest.reason, "case_kind": latest.case_kind}
            if latest.case_kind == Reveal.Case.TICKET:
                self.initial["case_reference"] = latest.case_reference

    def offered(self):
        return bool(self.fields["field"].choices)

    def clean(self):
        data = super().clean()
        if data.get("case_kind") == Reveal.Case.HOLD:
            data["case_reference"] = str(self.hold.pk) if self.hold else ""
        elif data.get("case_kind") == Reveal.Case.REQUEST:
            data["case_reference"] = str(self.request.pk)
        elif data.get("case_kind") == Reveal.Case.CORRECTION:
            data["case_reference"] = str(self.correction.pk)
        elif not data.get("case_reference") and "case_reference" not in self.errors:
            self.add_error("case_reference", _("Which ticket is it for?"))
        return data

    def act(self):
        told = {name: self.cleaned_data[name] for name in ("field", "reason", "case_kind", "case_reference")}
        reveal = Reveal.ask(self.row, by=self.by, **told)
        return redirect("admin:customers_reveal_show", reveal.pk) if reveal.opened_at else None


class AskCredential(AskReveal):
    label = _("Ask for access data")
    explanation = format_lazy(
        _("A second person has to say yes within the hour. Then you open it, and the value is shown to you alone, for {minutes} minutes."),
        minutes=MINUTES,
    )


class ApproveReveal(Act):
    name, label = "approve", _("Approve")
    permission = "customers.approve_reveal"
    explanation = _("You say that your colleague may see this access data for this case. You will not see it. Nobody approves their own.")

    def offered(self):
        return self.row.state == Reveal.State.ASKED and self.row.by != self.by

    def to_read(self):
        reveal = self.row
        what = f"{reveal.by}: {reveal.get_field_display()}, {reveal.customer}, {reveal.service}"
        return [(what, f"{reveal.get_reason_display()} ({reveal.case})")]

    def act(self):
        self.row.approve(by=self.by)


class OpenReveal(Act):
    name, label = "open", _("Open")
    permission = "customers.reveal_customer"
    step_up = True
    explanation = format_lazy(_("Shows the value to you alone, for {minutes} minutes."), minutes=MINUTES)

    def offered(self):
        return self.row.state == Reveal.State.APPROVED and self.row.by == self.by

    def act(self):
        self.row.open(by=self.by)
        return redirect("admin:customers_reveal_show", self.row.pk)


class ReceiveRequest(Act):
    name, label = "request", _("Write down a request")
    permission = "customers.add_rightsrequest"
    explanation = _(
        "What the customer asks for of right, by mail, by phone, on paper or in person. A withdrawal, a restriction and an objection"
        " take effect at once; for all else the customer first confirms by a link that they ask."
    )
    kind = forms.ChoiceField(label=_("What is asked for"), choices=Right, widget=forms.RadioSelect)
    source = forms.ChoiceField(
        label=_("How it came in"), choices=[(s.value, s.label) for s in RightsRequest.Source if s != RightsRequest.Source.MY]
    )
    received_at = forms.DateTimeField(
        label=_("Received at"),
        initial=timezone.localtime,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        help_text=_("When it reached the company, not when you read it: the clocks begin there."),
    )
    words = forms.CharField(
        label=_("In the customer's words"), required=False, max_length=4000, widget=forms.Textarea({"rows": 4}), help_text=_("Encrypted.")
    )

    def act(self):
        made = rights.receive(self.row, self.cleaned_data.pop("kind"), by=self.by, **self.cleaned_data)
        return redirect("admin:customers_rightsrequest_change", made.pk)


class OnRequest(Act):
    permission = "customers.change_rightsrequest"

    def offered(self):
        return self.row.is_open


class FirstReply(OnRequest):
    name, label = "acknowledge", _("Give the first reply")
    explanation = _("The customer is told that you have read the request and work on it, and by when it is done.")
    third_party = forms.BooleanField(
        label=_("Others must act too"), required=False, help_text=RightsRequest._meta.get_field("third_party").help_text
    )

    def offered(self):
        return self.row.state == RightsRequest.State.RECEIVED

    def act(self):
        self.row.acknowledge(by=self.by, third_party=self.cleaned_data["third_party"])


class AskIdentity(OnRequest):
    name, label = "ask-identity", _("Ask the customer to confirm")
    explanation = _("Sends one more link to the customer's address; its button says that it is the customer who asks.")

    def offered(self):
        return self.row.is_open and not self.row.identity_at and not self.row.protective

    def act(self):
        self.row.ask_identity(by=self.by)


class Identify(AskIdentity):
    name, label = "identify", _("The customer is recognised")
    explanation = _("You have recognised the customer in person or by phone, as the rules of the house say, and it is they who ask.")

    def act(self):
        self.row.confirm_identity(by=self.by, how=RightsRequest.Identity.CONTACT)


class FulfilRequest(OnRequest):
    name, label = "fulfil", _("Fulfil")
    explanation = _("What was asked for is done, and the customer is told. What the office can do by itself it does now.")
    outcome = forms.CharField(
        label=_("What was done"),
        required=False,
        max_length=RightsRequest._meta.get_field("outcome").max_length,
        help_text=RightsRequest._meta.get_field("outcome").help_text,
    )

    def offered(self):
        return self.row.is_open and self.row.kind != Right.ERASURE and self.row.state != RightsRequest.State.WAITING

    def act(self):
        rights.fulfil(self.row, by=self.by, outcome=self.cleaned_data["outcome"])


class ExtendRequest(OnRequest):
    name, label = "extend", _("Take more time")
    permission = "customers.decide_rightsrequest"
    explanation = _("Once, before the date has passed, and with a reason: the customer is told it, and how to complain.")
    days = forms.IntegerField(label=_("Days"), min_value=1)
    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=RightsRequest._meta.get_field("extension_reason").help_text)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["days"].initial = row.terms["extension_days"]

    def offered(self):
        return self.row.is_open and not self.row.extended_at

    def act(self):
        self.row.extend(by=self.by, days=self.cleaned_data["days"], reason=self.cleaned_data["reason"])


class RefuseRequest(OnRequest):
    name, label = "refuse", _("Refuse")
    permission = "customers.decide_rightsrequest"
    explanation = _("The customer is told the ground, the reason, and how to complain.")
    ground = forms.ChoiceField(label=_("Ground"), choices=RightsRequest.Ground)
    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=RightsRequest._meta.get_field("refusal_reason").help_text)

    def act(self):
        self.row.refuse(by=self.by, **{name: self.cleaned_data[name] for name in ("ground", "reason")})


class Propose(Act):
    name, label = "correct", _("Propose a correction")
    permission = "customers.add_correction"
    explanation = _("What is wrong, incomplete or out of date, by a letter or a call (§4). A colleague decides: nobody approves their own.")
    field = forms.ChoiceField(label=_("What is corrected"), choices=Correction.Field)
    value = forms.CharField(
        label=_("What is right"),
        max_length=max(LONGEST.values()),
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text=_("For the language: vi or en. Encrypted, and masked from now on."),
    )
    scan = ScanField(label=_("What shows it"), required=False, help_text=_("A JPEG, a PNG or a PDF, at most 5 MB. Encrypted."))

    def offered(self):
        return self.row.association != Customer.Association.ENDED and not self.row.erased_at

    def act(self):
        Correction.propose(self.row, self.cleaned_data["field"], self.cleaned_data["value"], by=self.by, scan=self.cleaned_data["scan"])


class AskInformation(Act):
    name, label = "ask", _("Ask for information")
    permission = "customers.add_informationrequest"
    explanation = _(
        "What a request of the customer needs (§1.3). They get a link for one answer, which is kept encrypted."
        " While the address is on hold, the question waits."
    )
    wanted = forms.MultipleChoiceField(
        label=_("What is needed"), choices=InformationRequest.Wanted, required=False, widget=forms.CheckboxSelectMultiple
    )
    other = forms.CharField(
        label=_("Something else"), required=False, max_length=60, help_text=InformationRequest._meta.get_field("other").help_text
    )
    ticket = forms.CharField(label=_("Number of the ticket"), max_length=30, widget=forms.TextInput({"autocomplete": "off"}))

    def offered(self):
        return not self.row.erased_at

    def act(self):
        InformationRequest.ask(self.row, by=self.by, **self.cleaned_data)


class Compare(Act):
    name, label = "reveal", _("See both values")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _(
            "Shows what is on file and what is proposed, side by side and to you alone, for {minutes} minutes. The correction is the case;"
            " what you saw is written down first."
        ),
        minutes=MINUTES,
    )

    def offered(self):
        return self.row.state in Correction.UNDECIDED

    def act(self):
        case = {"reason": Reveal.Reason.CORRECTION, "case_kind": Reveal.Case.CORRECTION, "case_reference": str(self.row.pk)}
        now = [(self.row.customer, self.row.field)] if self.row.field in Customer.PERSONAL else []
        then = [(self.row, "against")] if self.row.overtaken else []
        file = [(self.row.evidence, "content")] if self.row.evidence_id else []
        for row, field in [*now, (self.row, "proposed"), *then, *file]:
            if field in Reveal.fields_of(row):
                Reveal.ask(row, field, by=self.by, **case)
        return redirect("admin:customers_correction_compare", self.row.pk)


class LookBack(AskReveal):
    """What stood there and what was proposed, once it is decided: for another case, as this one is closed."""

    name = "look-back"

    def offered(self):
        return self.row.state not in Correction.UNDECIDED and super().offered()


class ApproveCorrection(Act):
    name, label = "approve", _("Approve")
    permission = "customers.change_correction"
    explanation = _("The proposed value takes the place of the one on file, and the customer is told. Look at both first.")

    def offered(self):
        return self.row.standing in Correction.UNDECIDED and self.row.proposed_by != self.by

    def act(self):
        self.row.approve(by=self.by)


class RefuseCorrection(Act):
    name, label = "refuse", _("Refuse")
    permission = "customers.change_correction"
    explanation = _("Nothing changes, and the customer is told the reason.")
    reason = forms.CharField(**{**REASON, "help_text": _("In words for the customer, who reads it. No personal data.")})

    def offered(self):
        return self.row.state in Correction.UNDECIDED

    def act(self):
        self.row.refuse(by=self.by, reason=self.cleaned_data["reason"])


class AskForMore(Act):
    name, label = "ask-for-more", _("Ask for more")
    permission = "customers.change_correction"
    explanation = _("The customer is asked for what is missing, and adds it on their page.")
    question = forms.CharField(
        label=_("What is missing"), max_length=200, help_text=_("In words for the customer, who reads it. No personal data.")
    )

    def offered(self):
        return self.row.standing == Correction.State.OPEN

    def act(self):
        self.row.ask_for_more(by=self.by, question=self.cleaned_data["question"])


class Remind(Act):
    name, label = "remind", _("Remind the customer")
    permission = "customers.change_informationrequest"
    explanation = _("The customer gets one more link. It answers the same question, once.")

    def offered(self):
        return self.row.state == InformationRequest.State.ASKED

    def act(self):
        self.row.remind(by=self.by)


class WithdrawQuestion(Act):
    name, label = "withdraw", _("Withdraw the question")
    permission = "customers.change_informationrequest"
    explanation = _("It is not needed any more: the links that were sent open nothing.")

    def offered(self):
        return self.row.state in (InformationRequest.State.ASKED, InformationRequest.State.WAITING)

    def act(self):
        self.row.withdraw(by=self.by)


class SeeAnswer(Act):
    name, label = "reveal", _("See the answer")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _("Shows the answer to you alone, for {minutes} minutes. The request is the case; what you saw is written down first."),
        minutes=MINUTES,
    )

    def offered(self):
        return self.row.answer is not None

    def act(self):
        case = {"reason": Reveal.Reason.REQUEST, "case_kind": Reveal.Case.QUESTION, "case_reference": str(self.row.pk)}
        return redirect("admin:customers_reveal_show", Reveal.ask(self.row, "answer", by=self.by, **case).pk)


class OnSupportRequest(Act):
    permission = "customers.change_supportrequest"
    states = ()

    def offered(self):
        return self.row.state in self.states


class TakeSupport(OnSupportRequest):
    name, label = "take", _("Take")
    states = (SupportRequest.State.RECEIVED, SupportRequest.State.TAKEN)
    explanation = _("You deal with it from now on; where a colleague had it, in their stead.")

    def offered(self):
        return super().offered() and self.row.taken_by != self.by

    def act(self):
        self.row.take(by=self.by)


class SeeMail(Act):
    name, label = "reveal", _("See the mail")
    permission = "customers.reveal_customer"
    explanation = format_lazy(
        _("Shows the mail to you alone, for {minutes} minutes. The request is the case; what you saw is written down first."),
        minutes=MINUTES,
    )

    def offered(self):
        return self.row.mail is not None

    def act(self):
        case = {"reason": Reveal.Reason.SUPPORT, "case_kind": Reveal.Case.SUPPORT, "case_reference": str(self.row.pk)}
        return redirect("admin:customers_reveal_show", Reveal.ask(self.row, "mail", by=self.by, **case).pk)


class ReplyToMail(OnSupportRequest):
    name, label = "reply", _("Answer")
    states = (SupportRequest.State.TAKEN,)
    explanation = _(
        "Goes to the address on file. Anybody can write a mail in a customer's name: tell nothing that the customer alone may know, and"
        " change nothing because of it. A request of right is written down on the customer's page."
    )
    answer = forms.CharField(
        label=_("Answer"),
        max_length=SupportRequest._meta.get_field("answer").max_length,
        widget=forms.Textarea({"rows": 6}),
        help_text=SupportRequest._meta.get_field("answer").help_text,
    )

    def act(self):
        self.row.reply(by=self.by, answer=self.cleaned_data["answer"])


class CloseSupport(OnSupportRequest):
    name, label = "close", _("Close without an answer")
    states = (SupportRequest.State.WAITING, SupportRequest.State.RECEIVED, SupportRequest.State.TAKEN)
    explanation = _("It was answered otherwise, was written down as a request of right, or asks for nothing.")
    reason = forms.CharField(**REASON)

    def act(self):
        self.row.close(by=self.by, reason=self.cleaned_data["reason"])


class RevealableAdmin(ReadOnlyAdmin):
    """A model with masked values that staff may ask to see: beside each a link to ask, or to where it is shown to them already."""

    change_form_template = "admin/customers/revealable.html"
    acts = [AskReveal]

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if not (obj and request.user.has_perm(AskReveal.permission)):
            return fieldsets
        ask = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_act", args=[obj.pk, AskReveal.name])
        live = functools.cache(lambda: {r.field: r for r in Reveal.objects.live().of(obj).filter(by=request.user)})

        def revealable(name):
            field = next((field for field in encrypted(self.model) if masked(field) is name), None)
            return with_link(field, ask, live) if field else name

        return [(title, {**options, "fields": [revealable(name) for name in options["fields"]]}) for title, options in fieldsets]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if request.user.has_perm(AskReveal.permission):
            reveals = Reveal.objects.filter(customer=getattr(obj, "customer", obj)).concerning(request.user).select_related("by", "service")
            context |= {"live": reveals.live(), "waiting": reveals.waiting()}
        return super().render_change_form(request, context, add, change, form_url, obj)


def with_link(field, ask, live):
    """Return the masked column with a link to see what is there."""

    def column(row):
        shown = masked(field)(row)
        if shown != MASK:
            return shown
        reveal = live().get(field.name)
        url, label = (reverse("admin:customers_reveal_show", args=[reveal.pk]), _("show")) if reveal else (ask, _("reveal"))
        return format_html('{} <a class="reveal" href="{}{}">{}</a>', shown, url, "" if reveal else f"?field={field.name}", label)

    column.__name__, column.short_description, column.hides = field.name, field.verbose_name, field.name
    return column


class OnHold(Choice):
    title, parameter_name = _("on hold"), "on_hold"

    def lookups(self, request, model_admin):
        return [("yes", _("yes"))]

    def chosen(self, rows, value, member):
        return rows.filter(pk__in=EmailHold.objects.open().values("customer"))


class Due(Choice):
    """What is open, by the date that comes next."""

    title, parameter_name = _("due"), "due"

    def lookups(self, request, model_admin):
        return [("late", _("late")), ("week", _("in 7 days"))]

    def chosen(self, rows, value, member):
        today = timezone.localdate()
        return rows.late(today) if value == "late" else rows.due_within(today, 7)


class Taken(Mine):
    title, field = _("taken by"), "taken_by"


@admin.register(Customer)
class CustomerAdmin(RevealableAdmin, TrackedAdmin):
    change_form_template = None  # its own, which includes the other
    list_display = ["ref", "association", "email_state", "locale", "restricted", "on_hold"]
    export_display = [
        "ref",
        "public_id",
        "association",
        "association_ended_on",
        "locale",
        "email_state",
        "on_hold",
        "restricted_at",
        "erased_at",
    ]
    when_empty = _("There are no customers yet. They come by ./manage.py import_customers, or sign up on the company's site.")
    list_filter = ["association", "email_state", "locale", OnHold, ("restricted_at", Happened), ("erased_at", Happened)]
    search_fields = ["ref"]  # shows the box; `matching` says what it takes
    search_help_text = _(
        "A customer number, a whole e-mail address, a phone in any spelling or its last four digits, or words of the name."
    )
    fieldsets = [
        (None, {"fields": ["ref", "public_id", "association", "association_ended_on", "locale", "restricted_at", "erased_at"]}),
        (_("Personal data"), {"fields": ["full_name", "email", "email_state", "phone", "address"]}),
    ]
    acts = [
        AskReveal, Propose, AskInformation, ReceiveRequest, Refuse, Consent, Acknowledge, AskContact, AskVerification, ChangeEmail,
        NoteContact, ReportFraud, PlaceHold, ReleaseHold, Restrict, LiftRestriction, EndAssociation, PlaceLegalHold, AskErasure,
    ]  # fmt: skip

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(on_hold=Exists(EmailHold.objects.open().filter(customer=OuterRef("pk"))))

    def get_search_results(self, request, queryset, search_term):
        return (queryset.matching(search_term) if search_term.strip() else queryset), False

    @admin.display(description=_("restricted"))
    def restricted(self, customer):
        return _("yes") if customer.restricted_at else None

    @admin.display(description=_("on hold"))
    def on_hold(self, customer):
        return _("yes") if customer.on_hold else None

    def get_urls(self):
        explain = self.admin_site.admin_view(self.explain_view)
        return [path("<int:object_id>/may-we/", explain, name="customers_customer_explain"), *super().get_urls()]

    @method_decorator(require_GET)
    def explain_view(self, request, object_id):
        """Say what each rule of the gate answers for a purpose and a channel, now or at a past moment."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        customer = get_object_or_404(self.get_queryset(request), pk=object_id)
        first = {"purpose": "promotions", "channel": Channel.EMAIL.value}
        form = Question({**first, **request.GET.dict()})
        told = explained(customer, **form.cleaned_data) if form.is_valid() else {}
        return self.page(request, "admin/customers/customer/explain.html", customer, _("May we?"), form=form, **told)

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context |= {
            "services": obj.services.all()[:LATEST],
            "consents": consents(obj),
            "answers": answers(obj),
            "legal_hold": obj.legal_holds.open().first(),
            "erasure": obj.erasures.exclude(step=Erasure.Step.CALLED_OFF).first(),
            "holds": obj.holds.select_related("placed_by", "released_by", "contact").order_by("-pk")[:LATEST],
            "messages_sent": obj.messages.select_related("purpose").order_by("-pk")[:LATEST],
            "latest": LATEST,
            "search": sealed_search(obj.ref, request.user),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


def consents(customer):
    """Return a ConsentState for each purpose that needs consent and each of its channels, 'unknown' where nothing was said."""
    said = {(state.purpose_id, state.channel): state for state in customer.consent_states.select_related("policy_version")}
    asked = [
        (purpose, channel) for purpose in Purpose.objects.filter(legal_basis=Purpose.LegalBasis.CONSENT) for channel in purpose.channels
    ]
    rows = [said.get((purpose.pk, channel)) or ConsentState(customer=customer, channel=channel) for purpose, channel in asked]
    for row, (purpose, _channel) in zip(rows, asked, strict=True):
        row.purpose = purpose
    return rows


class Question(forms.Form):
    """What is asked of the gate: of a past moment too."""

    purpose = forms.ModelChoiceField(Purpose.objects.all(), label=_("What for"), to_field_name="code", empty_label=None)
    channel = forms.ChoiceField(label=_("By which channel"), choices=Channel)
    at = forms.DateTimeField(
        label=_("As of"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Empty: now."),
    )

    def __init__(self, data):
        super().__init__(data)
        self.fields["purpose"].label_from_instance = lambda purpose: purpose.title


def explained(customer, purpose, channel, at):
    """Return the Decision, each rule's question and answer, and what could not be known."""
    now = timezone.now()
    if at and at < now:
        contacts = Message.objects.contacts(customer, at) if channel == Channel.EMAIL else Approach.objects.contacts(customer, channel, at)
        then = past.look_back(customer.pk, purpose.code, channel, at, contacts)
        decision, said, notes = then.decision(), then.answers(), then.notes
    else:
        terms = gate.load_terms(purpose.code, channel, at or now)
        facts = gate.load_facts([customer.pk], terms).get(customer.pk)
        decision, said, notes = gate.judge(facts, terms), gate.answers(facts, terms), []
    return {"decision": decision, "said": [(QUESTIONS[answer.rule], answer) for answer in said], "notes": notes, "asked": purpose}


def answers(customer):
    """Return (purpose, Decision) for each purpose by e-mail: what the gate says now."""
    asked = [gate.load_terms(code, Channel.EMAIL, timezone.now()) for code in Purpose.objects.values_list("code", flat=True)]
    return [(terms.purpose, gate.judge(gate.load_facts([customer.pk], terms).get(customer.pk), terms)) for terms in asked]


@admin.register(Service)
class ServiceAdmin(RevealableAdmin, TrackedAdmin):
    acts = [AskCredential]
    list_display = ["product", "plan", "customer", "started_on", "expires_on"]
    when_empty = _("There are no services yet. They come with ./manage.py import_customers --services FILE.")
    list_select_related = ["customer"]
    list_filter = [("expires_on", Coming)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "product", "plan", "started_on", "expires_on", "access_username", "access_secret"]


@admin.register(EmailHold)
class EmailHoldAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "reason", "placed_at", "placed_by", "released_at", "released_by"]
    export_display = ["id", "customer", "rule", "placed_at", "placed_by", "released_at", "released_by"]
    when_empty = _("No address was ever on hold. A hold is placed on a customer's page, or by a rule.")
    list_select_related = ["customer", "placed_by", "released_by"]
    list_filter = [("released_at", Happened)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "reason", "rule", "placed_at", "placed_by", "released_at", "released_by", "contact"]


@admin.register(HoldRule)
class HoldRuleAdmin(TrackedAdmin):
    list_display = ["kind", "threshold", "within_hours", "active"]
    fields = ["kind", "threshold", "within_hours", "active"]


@admin.register(EmailChange)
class EmailChangeAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "state", "asked_at", "applied_at", "objected_at"]
    when_empty = _("Nobody has asked for another address yet. Customers do so on their page, staff on the customer's.")
    list_select_related = ["customer"]
    list_filter = ["state", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        "customer", "state", "proposed", "former", "former_state", "asked_at", "confirmed_at", "approved_at", "applied_at", "objected_at",
    ]  # fmt: skip


@admin.register(Anomaly)
class AnomalyAdmin(ReadOnlyAdmin):
    list_display = ["id", "customer", "kind", "at"]
    when_empty = _("There were no signs of fraud. They are written down by themselves, or on a customer's page.")
    list_select_related = ["customer"]
    list_filter = ["kind", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "kind", "at"]


@admin.register(Contact)
class ContactAdmin(RevealableAdmin, TrackedAdmin):
    list_display = ["id", "customer", "channel", "at", "by"]
    when_empty = _("No contact was written down yet. That is done on a customer's page.")
    list_select_related = ["customer", "by"]
    list_filter = ["channel", ("at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "channel", "at", "note", "by"]


@admin.register(Evidence)
class EvidenceAdmin(RevealableAdmin):
    list_display = ["id", "customer", "added_at"]
    when_empty = _("There is no evidence yet. It comes with what a customer said: write that down on the customer's page.")
    list_select_related = ["customer"]
    list_filter = [("added_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "text", "attachment", "added_at"]


@admin.register(Attachment)
class AttachmentAdmin(RevealableAdmin):
    list_display = ["id", "customer", "kind", "size", "added_at", "added_by"]
    when_empty = _("There are no files yet. They come with corrections, answers and written consents.")
    list_select_related = ["customer", "added_by"]
    list_filter = ["kind", ("added_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "kind", "size", "content", "added_at", "added_by"]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("content")  # megabytes, which no list needs


@admin.register(Correction)
class CorrectionAdmin(RevealableAdmin, TrackedAdmin):
    """What waits for a decision, the oldest first; old and new side by side, masked."""

    change_form_template = "admin/customers/correction/change_form.html"
    list_display = ["id", "standing", "customer", "field", "proposed_at", "due", "proposer"]
    when_empty = _("Nobody has asked for a correction yet. Customers propose one on their page, staff on the customer's.")
    list_select_related = ["customer", "proposed_by"]
    list_filter = ["state", Due, "field"]
    ordering = [F("decided_at").desc(nulls_first=True), "pk"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        *("standing", "customer", "field", "proposer", "proposed_at", "due", "question", "evidence"),
        *("decided_by", "decided_at", "reason"),
    ]
    acts = [Compare, LookBack, ApproveCorrection, RefuseCorrection, AskForMore]

    def get_queryset(self, request):
        return super().get_queryset(request).with_hold()

    @admin.display(description=_("state"))
    def standing(self, row):
        return row.standing.label

    @admin.display(description=_("due on"))
    def due(self, row):
        late = row.state in Correction.UNDECIDED and row.due_on < timezone.localdate()
        return format_html('<strong class="no">{}: {}</strong>', _("late"), date_format(row.due_on, "d/m/Y")) if late else row.due_on

    @admin.display(description=_("proposed by"))
    def proposer(self, row):
        return row.proposed_by or _("the customer")

    def get_urls(self):
        compare = self.admin_site.admin_view(self.compare_view)
        return [path("<int:object_id>/compare/", compare, name="customers_correction_compare"), *super().get_urls()]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        shown = obj.customer.get_locale_display() if obj.field == Correction.Field.LOCALE else None
        on_file = masked(Customer._meta.get_field(obj.field))(obj.customer) if shown is None else shown
        old, new = obj.old_and_new if obj.state == Correction.State.APPLIED else (None, None)
        proposed, against = (masked(Correction._meta.get_field(name))(obj) for name in ("proposed", "against"))
        overtaken = obj.state in Correction.UNDECIDED and obj.overtaken
        context |= {"on_file": on_file, "proposed": proposed, "against": against, "overtaken": overtaken, "old": old, "new": new}
        return super().render_change_form(request, context, add, change, form_url, obj)

    @transaction.non_atomic_requests  # the entries are committed before anything is decrypted
    @method_decorator(require_GET)
    def compare_view(self, request, object_id):
        """Show both values to who asked for them with this correction as the case, until they expire."""
        row = get_object_or_404(Correction.objects.select_related("customer"), pk=object_id)
        case = {"by": request.user, "case_kind": Reveal.Case.CORRECTION, "case_reference": str(row.pk)}
        latest = {reveal.field: reveal for reveal in Reveal.objects.live().filter(**case).order_by("pk")}
        if not latest:
            return redirect(self.url_of(row))
        file = latest.pop("content", None)
        try:
            values = {name: reveal.view(by=request.user) for name, reveal in latest.items()}
        except (ValidationError, UndecryptableValue):
            return redirect(self.url_of(row))
        now = row.customer.locale if row.field == Correction.Field.LOCALE else values.get(row.field)
        until = min(reveal.expires_at for reveal in latest.values())
        told = {"now": now, "proposed": values.get("proposed"), "then": values.get("against"), "file": file, "until": until}
        response = self.page(request, "admin/customers/correction/compare.html", row, _("Both values"), **told)
        response["Referrer-Policy"] = "no-referrer"
        response["Refresh"] = f"{max(math.ceil((until - timezone.now()).total_seconds()), 0)}; url={self.url_of(row)}"
        return response


@admin.register(InformationRequest)
class InformationRequestAdmin(RevealableAdmin, TrackedAdmin):
    list_display = ["id", "customer", "ticket", "asked_at", "asked_by", "answered_at", "expires_at"]
    when_empty = _("No customer was asked for anything yet. Ask on the customer's page.")
    list_select_related = ["customer", "asked_by"]
    list_filter = [("answered_at", Happened), ("withdrawn_at", Happened), ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = [
        *("state", "customer", "ticket", "questions", "asked_by", "asked_at", "expires_at"),
        *("answer", "answered_at", "withdrawn_at"),
    ]
    acts = [SeeAnswer, Remind, WithdrawQuestion]

    @admin.display(description=_("state"))
    def state(self, row):
        return row.state.label

    @admin.display(description=_("what is needed"))
    def questions(self, row):
        return "; ".join(map(str, row.questions.values()))


@admin.register(SupportRequest)
class SupportRequestAdmin(RevealableAdmin, TrackedAdmin):
    """The queue of mails that a person has to read: what is open stands first, the oldest at the top."""

    list_display = ["id", "state", "customer", "received_at", "taken_by"]
    when_empty = _("No mail waits for a person. Mails to the office's mailbox come in by themselves.")
    list_select_related = ["customer", "taken_by"]
    list_filter = ["state", Taken, ("received_at", Lately)]
    ordering = [F("closed_at").desc(nulls_first=True), "received_at", "id"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["state", "customer", "received_at", "mail", "message", "taken_by", "closed_at", "answer", "reason"]
    acts = [SeeMail, TakeSupport, ReplyToMail, CloseSupport]

    @admin.display(description=_("about"))
    def message(self, request):
        _app, _colon, number = request.about.partition(":")
        if not number:
            return EMPTY
        return format_html('<a href="{}">{}</a>', reverse("admin:mailings_message_change", args=[number]), number)


@admin.register(Reveal)
class RevealAdmin(ReadOnlyAdmin, TrackedAdmin):
    """Who saw what, and why; never the values, but on the page of the one that is open, for who asked. Clerks see what concerns them."""

    list_display = ["id", "state", "customer", "field", "reason", "case", "by", "asked_at"]
    when_empty = _("Nobody has looked at a value yet. Reveal one on a customer's page.")
    list_select_related = ["customer", "by"]
    list_filter = ["field", "reason", "alarmed", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    acts = [ApproveReveal, OpenReveal]
    change_form_template = "admin/customers/revealable.html"

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or request.user.has_perm(ApproveReveal.permission)

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        return rows if super().has_view_permission(request) else rows.concerning(request.user)

    def get_fields(self, request, obj=None):
        holders = ("service", "contact", "evidence", "attachment", "correction", "informationrequest", "supportrequest")
        holder = [name for name in holders if getattr(obj, name, None)]
        asked = ["field", "reason", "case", "by", "in_roles", "asked_at"]
        return ["state", "customer", *holder, *asked, "approved_by", "opened_at", "expires_at", "alarm"]

    @admin.display(description=_("case"))
    def case(self, reveal):
        return reveal.case

    @admin.display(description=_("roles"))
    def in_roles(self, reveal):
        return ", ".join(reveal.roles)

    @admin.display(description=_("state"))
    def state(self, reveal):
        return reveal.state.label

    @admin.display(description=_("alarm"))
    def alarm(self, reveal):
        return _("yes") if reveal.alarmed else None

    def get_urls(self):
        show = self.admin_site.admin_view(self.show_view)
        fetch = self.admin_site.admin_view(self.download_view)
        return [
            path("<int:object_id>/show/", show, name="customers_reveal_show"),
            path("<int:object_id>/download/", fetch, name="customers_reveal_download"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        context["live"] = Reveal.objects.filter(pk=obj.pk, by=request.user).live()
        return super().render_change_form(request, context, add, change, form_url, obj)

    @transaction.non_atomic_requests  # the entry is committed before anything is decrypted
    @method_decorator(require_GET)
    def show_view(self, request, object_id):
        """Show one value to who asked for it, until it expires: on this page alone, never in a title, a message, an address or a log."""
        reveal = get_object_or_404(Reveal.objects.select_related("customer", "service"), pk=object_id)
        home = f"admin:customers_{reveal.home._meta.model_name}"
        ask, home_url = reverse(f"{home}_act", args=[reveal.row_id, AskReveal.name]), reverse(f"{home}_change", args=[reveal.row_id])
        context = {"reveal": reveal, "home_url": home_url, "ask_url": f"{ask}?field={reveal.field}"}
        try:
            context["value"] = reveal.require_live(by=request.user) if reveal.attachment_id else reveal.view(by=request.user)
        except (ValidationError, UndecryptableValue) as error:
            context["refusal"] = refusal(error)
        response = self.page(request, "admin/customers/reveal/show.html", reveal, _("Reveal"), **context)
        response["Referrer-Policy"] = "no-referrer"
        if "value" in context:
            # The page leaves the screen by itself, also where no script runs.
            left = math.ceil((reveal.expires_at - timezone.now()).total_seconds())
            response["Refresh"] = f"{max(left, 0)}; url={home_url}"
        return response

    @transaction.non_atomic_requests  # the entry is committed before anything is decrypted
    @method_decorator(require_GET)
    def download_view(self, request, object_id):
        """Give the file of an open reveal to who asked for it."""
        reveal = get_object_or_404(Reveal.objects.select_related("customer").filter(attachment__isnull=False), pk=object_id)
        try:
            reveal.view(by=request.user)
            data = reveal.attachment.read()
        except (ValidationError, UndecryptableValue):
            return redirect("admin:customers_reveal_show", reveal.pk)
        return download(data, reveal.attachment.kind, reveal.attachment.file_name)


@admin.register(RightsRequest)
class RightsRequestAdmin(RevealableAdmin, TrackedAdmin):
    """The queue of requests: what is late stands first and red, then what is due next; what is settled comes last."""

    change_form_template = None  # its own, which includes the other
    list_display = ["id", "due", "kind", "state", "customer", "received_at", "source"]
    when_empty = _(
        "There are no requests yet. Customers write on their page; what comes by phone or letter is written down on the customer's."
    )
    list_select_related = ["customer"]
    list_filter = ["state", Due, "kind", "source"]
    ordering = [F("due_on").asc(nulls_last=True), "-id"]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fieldsets = [
        (None, {"fields": ["customer", "kind", "state", "source", "received_at", "words", "third_party", "duplicate_of"]}),
        (_("Dates"), {"fields": ["due", "reply_by", "done_by", "acknowledged_at", "extended_at", "extended_by", "extension_reason"]}),
        (_("Who asks"), {"fields": ["identity_at", "identity_how"]}),
        (_("Outcome"), {"fields": ["closed_at", "outcome", "ground", "refusal_reason"]}),
    ]
    acts = [FirstReply, FulfilRequest, AskIdentity, Identify, ExtendRequest, RefuseRequest, AskReveal]

    @admin.display(description=_("due on"))
    def due(self, request):
        if request.due_on is None:
            return None
        day = date_format(request.due_on, gettext("j F Y"))
        return format_html('<strong class="no">{}: {}</strong>', day, _("late")) if request.is_late(timezone.localdate()) else day

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        calendar = Holiday.objects.calendar()
        context |= {
            "reply": obj.first_reply(calendar),
            "done": obj.done(calendar),
            "notices": Notice.objects.about(obj).order_by("pk"),
            "duplicates": obj.duplicates.order_by("pk"),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


@admin.register(DeadlineRule)
class DeadlineRuleAdmin(TrackedAdmin):
    list_display = ["kind", "reply_days", "done_days", "shared_days", "extension_days", "working", "remind_days", "source"]
    fields = ["kind", "reply_days", "done_days", "shared_days", "extension_days", "working", "remind_days", "source"]
    readonly_fields = ["kind"]


@admin.register(Holiday)
class HolidayAdmin(TrackedAdmin):
    list_display = ["day", "name", "worked", "source"]
    when_empty = _("No day differs from the calendar. Add a holiday that was announced, or a day that is worked.")
    fields = ["day", "name", "worked", "source"]

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.announce(by=request.user)


# What ends


class LiftLegalHold(Act):
    name, label = "lift", _("Lift the legal hold")
    permission = "customers.change_legalhold"
    explanation = _("The duty to keep the data is over. By another person than the one who placed it.")

    def offered(self):
        return self.row.lifted_at is None

    def act(self):
        self.row.lift(by=self.by)


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnlyAdmin, TrackedAdmin):
    list_display = ["id", "customer", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    export_display = ["id", "customer", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    when_empty = _("No data has to be kept for a dispute. A legal hold is placed on a customer's page.")
    list_select_related = ["customer", "placed_by", "lifted_by"]
    list_filter = [("lifted_at", Happened)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by"]
    acts = [LiftLegalHold]


class ApproveErasure(Act):
    name, label = "approve", _("Approve")
    permission = "customers.approve_erasure"
    step_up = True
    explanation = _("The customer is told at once, and then erased: this cannot be taken back. Nobody approves their own.")

    def offered(self):
        return self.row.step == Erasure.Step.ASKED and self.row.asked_by != self.by

    def to_read(self):
        return [(f"{self.row.asked_by}: {self.row.customer}", self.row.reason)]

    def act(self):
        self.row.approve(by=self.by)


class CallOffErasure(Act):
    name, label = "call-off", _("Call off")
    permission = "customers.change_erasure"
    explanation = _("Nothing is erased. Possible until the first value goes.")
    reason = forms.CharField(**REASON)

    def offered(self):
        return self.row.stoppable

    def act(self):
        self.row.call_off(by=self.by, reason=self.cleaned_data["reason"])


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin, TrackedAdmin):
    """Who was erased, how far each is, and the certificate of what went and what stays."""

    list_display = ["id", "customer", "step", "held", "asked_at", "asked_by", "approved_by", "finished_at"]
    when_empty = _("Nobody was erased yet. An erasure is asked for on a customer's page, and approved here by another person.")
    list_select_related = ["customer", "asked_by", "approved_by"]
    list_filter = ["step", ("asked_at", Lately)]
    search_fields = ["customer__ref__exact"]
    search_help_text = _("A customer number.")
    fields = ["customer", "step", "held", "reason", "about", "asked_at", "asked_by", "approved_at", "approved_by", "finished_at"]
    readonly_fields = ["held"]
    acts = [ApproveErasure, CallOffErasure]
    change_form_template = "admin/customers/erasure.html"

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(kept=Exists(LegalHold.objects.open().filter(customer=OuterRef("customer"))))

    @admin.display(description=_("kept by a legal hold"))
    def held(self, erasure):
        return _("yes") if erasure.kept and erasure.stoppable else EMPTY

    def get_urls(self):
        certificate = self.admin_site.admin_view(self.certificate_view)
        return [path("<int:object_id>/certificate/", certificate, name="customers_erasure_certificate"), *super().get_urls()]

    @method_decorator(require_GET)
    def certificate_view(self, request, object_id):
        """Show the certificate as it can be printed and handed over; it names nobody."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        erasure = get_object_or_404(Erasure.objects.select_related("customer"), pk=object_id, step=Erasure.Step.DONE)
        told = erasure.certificate
        context = {
            "gone": [(title_of(label), rows) for label, rows in told["gone"].items() if rows],
            "kept": [{**line, "what": title_of(line["what"]), "ground": GROUNDS[line["ground"]]} for line in told["kept"]],
            "identifier": told["identifier"],
            "company": settings.COMPANY,
        }
        return self.page(request, "admin/customers/certificate.html", erasure, _("Certificate of erasure"), **context)


def title_of(label):
    return capfirst(apps.get_model(label)._meta.verbose_name_plural)


@admin.register(RetentionRule)
class RetentionRuleAdmin(TrackedAdmin):
    """How long what is kept; on each rule's page what it would take now, which a list of all would take too long to count."""

    MOST = EstimatedPaginator.MOST

    list_display = ["of", "days", "ground", "active"]
    fields = ["of", "days", "ground", "source", "active", "due"]
    readonly_fields = ["of", "due"]

    def has_add_permission(self, request):
        return False

    @admin.display(description=_("would be taken now"))
    def due(self, rule):
        number = retention.overdue(rule, timezone.now()).order_by()[: RetentionRuleAdmin.MOST].count()
        return number if number < RetentionRuleAdmin.MOST else format_lazy(_("{number} or more"), number=number)


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    list_display = ["at", "taken", "seconds"]
    when_empty = _("The rules have not run yet. They do every night, or by ./manage.py apply_retention.")
    fields = ["at", "taken", "seconds"]
    readonly_fields = ["taken"]

    @admin.display(description=_("rows by rule"))
    def taken(self, run):
        labels = dict(RetentionRule.Of.choices)
        lines = ([labels.get(of, of), count] for of, count in run.counts.items() if count)
        return format_html_join("", "{}: {}<br>", lines) or _("nothing was overdue")
