"""What customers type. Refuses in plain words, and says nothing of whether an address is known."""

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from customers import passwords
from customers.models import Correction, Customer, Right
from customers.models.corrections import LONGEST as LONGEST_VALUE
from customers.models.information import MOST
from privacy_office.fields import normal_email
from privacy_office.uploads import ScanField

LONGEST = 200  # characters of a password, so that none is long enough to keep the server busy


def password_field(label, autocomplete, help_text=""):
    widget, missing = forms.PasswordInput({"autocomplete": autocomplete}), {"required": _("Please type a password.")}
    return forms.CharField(label=label, max_length=LONGEST, strip=False, widget=widget, help_text=help_text, error_messages=missing)


# What each kind does, in the customer's words.
MEANS = {
    Right.ACCESS: _("We show you what we hold about you and what for. Most of it stands on these pages already."),
    Right.CORRECTION: _("We correct what is wrong. Please write below what, and how it should be."),
    Right.COPY: _("You get a copy of what we hold about you."),
    Right.WITHDRAWAL: _("Everything that you agreed to ends, at once: no renewal notices, no news, no promotions, no surveys."),
    Right.RESTRICTION: _(
        "We keep your data and use it for nothing, at once. Then payment confirmations and support mails stop too, until you call us."
    ),
    Right.OBJECTION: _("We write or call for nothing that needs your consent, at once, also not for what you were never asked."),
    Right.ERASURE: _("We erase your personal data for good. What the law obliges us to keep, we tell you, and until when."),
    Right.PROTECTION: _("We protect your data better. Please write below what you are afraid of, or what has happened."),
}


NO_ADDRESS = _("This is not a whole e-mail address. Please type it like name@example.com.")


class AskLinkForm(forms.Form):
    email = forms.EmailField(
        label=_("Your e-mail address"),
        max_length=254,
        widget=forms.EmailInput({"autocomplete": "email", "inputmode": "email"}),
        error_messages={"required": _("Please type your e-mail address."), "invalid": NO_ADDRESS},
    )

    def clean_email(self):
        try:
            return normal_email(self.cleaned_data["email"])
        except ValueError:
            raise forms.ValidationError(NO_ADDRESS) from None


class PasswordSignInForm(AskLinkForm):
    password = password_field(_("Password"), "current-password")

    def refuse(self):
        """Say that it did not work, and nothing of why."""
        self.add_error(
            "password", _("Address and password do not match, or there were too many tries. A link by mail lets you in at any time.")
        )


class SetPasswordForm(forms.Form):
    """A new password, typed twice."""

    new = password_field(
        _("New password"), "new-password", _("At least 15 characters: some words that only you would put together are best.")
    )
    again = password_field(_("The same again"), "new-password")

    def __init__(self, customer, data=None):
        super().__init__(data)
        self.customer = customer

    def clean_new(self):
        validate_password(passwords.plain(self.cleaned_data["new"]), self.customer)
        return self.cleaned_data["new"]

    def clean(self):
        data = super().clean()
        if data.get("new") and data.get("again") and data["new"] != data["again"]:
            self.add_error("again", _("These are two different passwords."))
        return data


class ChangePasswordForm(SetPasswordForm):
    """The same, for who knows the present one."""

    field_order = ["old", "new", "again"]
    old = password_field(_("Your present password"), "current-password")

    def __init__(self, customer, network, data=None):
        super().__init__(customer, data)
        self.network = network

    def clean_old(self):
        if not passwords.is_right(self.customer, self.cleaned_data["old"], self.network):
            raise ValidationError(_("This is not your present password, or there were too many tries."))
        return self.cleaned_data["old"]


class RequestForm(forms.Form):
    """A request of right in the customer's own words."""

    kind = forms.ChoiceField(
        label=_("What would you like?"),
        choices=Right,
        widget=forms.RadioSelect,
        error_messages={name: _("Please choose one of these.") for name in ("required", "invalid_choice")},
    )
    words = forms.CharField(
        label=_("What should we know? (You may leave it empty.)"),
        required=False,
        max_length=4000,
        widget=forms.Textarea({"rows": 4}),
    )

    def choices(self):
        """Yield (radio button, what it does)."""
        return [(radio, MEANS[Right(radio.data["value"])]) for radio in self["kind"]]


class ChangeEmailForm(AskLinkForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("Your new e-mail address")


SCAN_HELP = _("A photo, a scan or a PDF, at most 5 MB. We keep it encrypted, and only who checks your correction sees it.")


class CorrectForm(forms.Form):
    """Another value for one field, and what shows that it is right."""

    def __init__(self, field, data=None, files=None):
        super().__init__(data, files)
        self.fields["value"] = self.value_field(field)
        self.fields["scan"] = ScanField(label=_("What shows it (if you have it)"), required=False, help_text=SCAN_HELP)

    @staticmethod
    def value_field(field):
        if field == Correction.Field.LOCALE:
            return forms.ChoiceField(label=_("The language we write to you in"), choices=Customer.Locale)
        label, widget = {
            Correction.Field.FULL_NAME: (_("Your full name"), forms.TextInput({"autocomplete": "name"})),
            Correction.Field.PHONE: (_("Your telephone number"), forms.TextInput({"type": "tel", "autocomplete": "tel"})),
            Correction.Field.ADDRESS: (_("Your postal address"), forms.Textarea({"rows": 3, "autocomplete": "street-address"})),
        }[field]
        missing = {"required": _("Please type what is right.")}
        return forms.CharField(label=label, max_length=LONGEST_VALUE[field], widget=widget, error_messages=missing)


class CompleteForm(forms.Form):
    scan = ScanField(label=_("What we asked you for"), help_text=SCAN_HELP)


class AnswerForm(forms.Form):
    """One answer for each question of a request for information."""

    def __init__(self, questions, data=None):
        super().__init__(data)
        for name, label in questions.items():
            label = label[:1].upper() + label[1:]
            self.fields[name] = forms.CharField(label=label, required=False, max_length=MOST, widget=forms.Textarea({"rows": 3}))
