"""What is done to a request for data, step by step, by two people. Refuses to show a value: what leaves is sealed first."""

from django import forms
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from customers.models import Customer
from disclosures import handover
from disclosures.forms import REFS, REFS_HELP, checkboxes
from disclosures.models import DisclosureRequest, Field
from privacy_office.admin import Act

NOTE = {"widget": forms.Textarea(attrs={"rows": 3}), "help_text": _("No personal data.")}


def day(label, **options):
    return forms.DateField(label=label, widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), **options)


def refs_of(numbers):
    return list(Customer.objects.filter(pk__in=numbers).order_by("pk").values_list("ref", flat=True))


class Verify(Act):
    name, label = "verify", _("Verify the requester")
    permission = "disclosures.change_disclosurerequest"
    explanation = _("You made sure that the request comes from whom it names, through a contact that the request itself did not tell.")
    how = forms.ChoiceField(label=_("How"), choices=DisclosureRequest.Verification, widget=forms.RadioSelect)
    reference = forms.CharField(label=_("Number"), max_length=60, help_text=_("Of the call, the certificate, the visit. No personal data."))

    def offered(self):
        return self.row.is_open and not self.row.verified_at

    def to_read(self):
        return [(self.row.third_party.name, self.row.third_party.contact)]

    def act(self):
        self.row.verify(by=self.by, how=self.cleaned_data["how"], reference=self.cleaned_data["reference"])


class Assess(Act):
    name, label = "assess", _("Assess and narrow")
    permission = "disclosures.change_disclosurerequest"
    explanation = _("Take away what the ground does not reach. Nothing can be added. What was approved before has to be approved again.")
    fields_kept = checkboxes(_("Fields"), Field)
    refs = forms.CharField(label=_("Customers"), help_text=REFS_HELP, **REFS)
    period_from = day(_("Period from"))
    period_until = day(_("Period until"))
    assessment = forms.CharField(label=_("Why this much and no more"), max_length=1000, **NOTE)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["fields_kept"].choices = [(name, Field(name).label) for name in row.fields_asked]
        self.initial = {
            "fields_kept": row.fields or row.fields_asked,
            "refs": " ".join(refs_of(row.customers or row.customers_asked)),
            "period_from": row.period_from or row.asked_from,
            "period_until": row.period_until or row.asked_until,
            "assessment": row.assessment,
        }

    def offered(self):
        return self.row.is_open

    def act(self):
        told = {name: self.cleaned_data[name] for name in ("period_from", "period_until", "assessment")}
        self.row.assess(
            by=self.by, fields=self.cleaned_data["fields_kept"], refs=self.cleaned_data["refs"].replace(",", " ").split(), **told
        )


class Decide(Act):
    permission = "disclosures.approve_disclosurerequest"
    step_up = True

    def to_read(self):
        return [(_("What would be handed over"), summary(self.row)), (_("What was asked for"), asked(self.row))]


class Approve(Decide):
    name, label = "approve", _("Approve")
    explanation = _(
        "You have read what would be handed over and say that the ground reaches it. Nobody approves what they assessed themselves."
    )
    scope = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, row, by, data=None):
        super().__init__(row, by, data)
        self.fields["scope"].initial = row.scope

    def offered(self):
        return self.row.status == DisclosureRequest.Status.ASSESSED

    def act(self):
        self.row.approve(by=self.by, scope=self.cleaned_data["scope"])


class RefuseRequest(Decide):
    name, label = "refuse", _("Refuse")
    explanation = _("Nothing is handed over, and the requester is told why.")
    ground = forms.ChoiceField(label=_("Ground of the refusal"), choices=DisclosureRequest.RefusalGround, widget=forms.RadioSelect)
    note = forms.CharField(label=_("What else is to be said"), max_length=500, required=False, **NOTE)

    def offered(self):
        return self.row.status in (DisclosureRequest.Status.RECEIVED, DisclosureRequest.Status.ASSESSED)

    def act(self):
        self.row.refuse(by=self.by, ground=self.cleaned_data["ground"], note=self.cleaned_data["note"])


class HandOver(Act):
    name, label = "hand-over", _("Hand over")
    permission = "disclosures.change_disclosurerequest"
    step_up = True
    explanation = _(
        "Makes the package, encrypted to the third party's key. You then fetch it once and send it over the third party's published"
        " contact. The gate is asked now, and again when you fetch it."
    )

    def offered(self):
        return self.row.status == DisclosureRequest.Status.APPROVED

    def to_read(self):
        return [(_("What will be handed over"), summary(self.row))]

    def act(self):
        decision, token = handover.prepare(self.row, by=self.by)
        if decision.allowed:
            return redirect("admin:disclosures_disclosurerequest_package", token)
        return redirect("admin:disclosures_disclosurerequest_change", self.row.pk)  # where the gate's answer stands


def scope_text(fields, customers, since, until):
    kinds = ", ".join(str(Field(name).label) for name in fields) or "—"
    return (
        f"{_('fields')}: {kinds}\n{_('customers')}: {' '.join(refs_of(customers)) or '—'}\n{_('period')}: {since or '—'} – {until or '—'}"
    )


def asked(request):
    return scope_text(request.fields_asked, request.customers_asked, request.asked_from, request.asked_until)


def summary(request):
    law = ", ".join(filter(None, [request.document_number, request.legal_article]))
    head = f"{request.third_party}\n{request.get_ground_display()}{': ' + law if law else ''}\n"
    said = f"\n{_('assessment')}: {request.assessment}" if request.assessment else ""
    return head + scope_text(request.fields, request.customers, request.period_from, request.period_until) + said
