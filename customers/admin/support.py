"""Mails of customers that a person has to read, in the admin."""

from django import forms
from django.contrib import admin
from django.db.models import F
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from customers.admin.fields import REASON
from customers.admin.reveals import MINUTES, RevealableAdmin
from customers.models import Reveal, SupportRequest
from privacy_office.admin import EMPTY, Act, Lately, Mine, TrackedAdmin


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


class Taken(Mine):
    title, field = _("taken by"), "taken_by"


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
