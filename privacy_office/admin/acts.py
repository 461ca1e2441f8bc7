"""What staff do to a row beside filling in its form: a verb with what it needs to be told, and how its refusal is said and kept."""

import itertools

from django import forms
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from privacy_office.fields import UndecryptableValue
from privacy_office.forms import ProofForm, code_field


class Act(forms.Form):
    """A verb of a row that staff may call, with what it needs to be told: one page, GET asks and POST acts."""

    name = label = explanation = ""
    permission = None  # "app.codename"
    preselected = ()  # fields that the address may fill in
    step_up = False  # whether the second factor is asked for once more, unless it was given a few minutes ago

    def __init__(self, row, by, data=None):
        self.row, self.by = row, by
        super().__init__(data)

    def ask_for_code(self):
        """Have one more field, so that nothing typed is lost over it."""
        self.fields["code"] = code_field(help_text=_("From your authenticator app, or a recovery code: this is a sensitive act."))

    def prove(self):
        """Take the code, if one was asked for. ValidationError says why not; the field of a right one goes, as it is used up."""
        if "code" in self.fields:
            proof = ProofForm({"code": self.cleaned_data["code"]}, user=self.by)
            if not proof.is_valid():
                raise ValidationError(proof.errors.as_data()["code"])
            proof.save()
            del self.fields["code"]

    def offered(self):
        """Return whether the row, as it stands, is one to do this to."""
        return True

    def to_read(self):
        """Return (title, text) of what one has to have read before doing this."""
        return []

    def act(self):
        """Call the verb; return what is to be told once and never again, or where to go on, or None."""
        raise NotImplementedError


def refusal(error):
    """Return a refusal as one that any form can show: without field names."""
    if isinstance(error, UndecryptableValue):
        return ValidationError(_("This record holds a value that cannot be decrypted: nothing was changed."))
    return ValidationError(error.messages)


def reason(error):
    """Return why, for the trail: the code's own words, untranslated, with nothing set into them; what was typed may hold a person."""
    if isinstance(error, UndecryptableValue):
        return "undecryptable"
    said = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    with translation.override(None):
        return " ".join(str(e.message) for e in itertools.chain.from_iterable(said) if isinstance(e.message, Promise)) or "invalid"
