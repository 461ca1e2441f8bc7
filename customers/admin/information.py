"""What customers are asked for, in the admin."""

from django import forms
from django.contrib import admin
from django.shortcuts import redirect
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from customers.admin.reveals import MINUTES, RevealableAdmin
from customers.models import InformationRequest, Reveal
from privacy_office.admin import Act, Happened, Lately, TrackedAdmin


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
