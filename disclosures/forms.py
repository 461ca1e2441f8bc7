"""What staff fill in about third parties, requests, seals and breaches. A file is read here and kept by its verb."""

from django import forms
from django.utils.translation import gettext_lazy as _

from disclosures.models import Breach, Commitment, DisclosureRequest, Field, Ground, Seal
from disclosures.models.documents import LARGEST

REFS = {"widget": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}
REFS_HELP = _("Customer numbers, separated by spaces or lines. Find them by the search of customers.")
OTHER = ("other", _("none of these: a sale, an exchange, a favour"))


def checkboxes(label, choices, **options):
    return forms.MultipleChoiceField(label=label, choices=choices, widget=forms.CheckboxSelectMultiple, **options)


def file_field(required=True, **options):
    return forms.FileField(
        label=_("Signed document"),
        required=required,
        help_text=_("The signed document: PDF, PNG or JPEG, at most 4 MB. Kept encrypted."),
        **options,
    )


class FileForm(forms.ModelForm):
    """A row with a signed document, whose bytes are `data`."""

    file = file_field()

    def clean_file(self):
        file = self.cleaned_data["file"]
        self.data_of_file = file.read(LARGEST + 1) if file else None
        return file


class CommitmentForm(FileForm):
    class Meta:
        model = Commitment
        fields = ["third_party", "valid_from", "valid_until"]


class SealForm(FileForm):
    class Meta:
        model = Seal
        fields = ["request", "until", "statement_number", "statement_dated_on"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "request" in self.fields:
            self.fields["request"].queryset = DisclosureRequest.objects.filter(ground=Ground.LEGAL_OBLIGATION)


class RequestForm(FileForm):
    """The intake of a request. Its ground may be said to be none of those there are: the verb then refuses, and the trail tells of it."""

    on_ground = forms.CharField(
        label=_("Ground"),
        widget=forms.Select(choices=[("", "—"), *Ground.choices, OTHER]),
        help_text=DisclosureRequest._meta.get_field("ground").help_text,
    )
    refs = forms.CharField(label=_("Customers asked for"), help_text=REFS_HELP, **REFS)
    fields_asked = checkboxes(_("Fields asked for"), Field, help_text=DisclosureRequest._meta.get_field("fields_asked").help_text)
    file = file_field(required=False)

    class Meta:
        model = DisclosureRequest
        fields = ["third_party", "document_number", "document_dated_on", "legal_article", "offer", "urgent", "received_at", "fields_asked",
                  "asked_from", "asked_until"]  # fmt: skip


class BreachForm(forms.ModelForm):
    kinds = checkboxes(_("Kinds of data"), Breach.Kind, help_text=Breach._meta.get_field("kinds").help_text)

    class Meta:
        model = Breach
        fields = ["what", "place", "parties", "began_at", "ended_at", "discovered_at", "kinds", "scope", "scope_value", "consequences",
                  "measures", "minutes"]  # fmt: skip


class ExportForm(forms.Form):
    """Which rows of the register an export holds."""

    since = forms.DateField(label=_("From"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    until = forms.DateField(label=_("Until"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    ground = forms.ChoiceField(label=_("Ground"), choices=[("", "—"), *Ground.choices], required=False)
