"""The forms of the staff's sign-in. Each takes a code once, and leaves an entry of what it refuses and never of what was typed."""

from allauth.account.forms import LoginForm
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, generate_totp_secret
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.contrib.auth.forms import PasswordChangeForm
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from privacy_office import accounts

WRONG_KEY = _("The passkey was not accepted. Please try again, or go on without it.")
VALID_FOR = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)  # seconds


def code_field(help_text="", **attrs):
    attrs = {"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false", **attrs}
    return forms.CharField(label=_("Code"), max_length=20, widget=forms.TextInput(attrs), help_text=help_text)


def take_once(member, code):
    """Refuse a code of the app that this member gave before: it is right for longer than allauth remembers it."""
    if not cache.add(f"totp:{member.pk}:{normalize_user_code(code)}", 1, VALID_FOR):
        raise get_adapter().validation_error("incorrect_code")


def taken(form, code):
    """Mark a right code as used; a recovery code leaves an entry, with how many are left."""
    if form.authenticator.type == Authenticator.Type.TOTP:
        take_once(form.user, code)
    else:
        form.authenticator.refresh_from_db()  # allauth marked the code on a copy
        left = len(form.authenticator.wrap().get_unused_codes())
        accounts.record("recovery_code.used", context.request, form.user, by=form.user, left=left)
    return code


def refuse(action, member, by, error):
    """Leave the entry of a second factor that was not taken, and say so on the form."""
    locked = error.code != "incorrect_code"
    accounts.record(f"{action}.refused", context.request, member, by=by, reason="locked" if locked else "second factor")
    raise error


def key_taken(clean):
    """Return what a passkey's form makes of its answer, which may be anything. ValidationError says no more than no."""
    try:
        return clean()
    except ValidationError as error:
        raise error if error.code != "incorrect_code" else ValidationError(WRONG_KEY, code="incorrect_code") from None
    except (AttributeError, KeyError, TypeError, ValueError):  # what fido2 and allauth make of an answer that is none
        raise ValidationError(WRONG_KEY, code="incorrect_code") from None


class SignInForm(LoginForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["login"].label, self.fields["password"].label = _("Name"), _("Password")
        self.fields["login"].widget.attrs = {"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        self.fields["password"].widget.attrs = {"autocomplete": "current-password"}


class SignInCodeForm(AuthenticateForm):
    """The code after the password."""

    code = code_field(autofocus=True)

    def clean_code(self):
        try:
            return taken(self, super().clean_code())
        except ValidationError as error:
            refuse("sign_in", self.user, None, error)


class ProofForm(ReauthenticateForm):
    """A code once more, of somebody who is signed in."""

    code = code_field()

    def clean_code(self):
        return taken(self, super().clean_code())


class ConfirmForm(ProofForm):
    def clean_code(self):
        try:
            return super().clean_code()
        except ValidationError as error:
            refuse("confirm", self.user, self.user, error)


class SignInKeyForm(AuthenticateWebAuthnForm):
    """A passkey after the password."""

    def clean_credential(self):
        try:
            return key_taken(super().clean_credential)
        except ValidationError as error:
            refuse("sign_in", self.user, None, error)


class PasskeyForm(LoginWebAuthnForm):
    """A passkey alone, which proves its owner by itself."""

    def clean_credential(self):
        try:
            return key_taken(super().clean_credential)
        except ValidationError as error:
            refuse("sign_in", None, None, error)


class ConfirmKeyForm(ReauthenticateWebAuthnForm):
    def clean_credential(self):
        try:
            return key_taken(super().clean_credential)
        except ValidationError as error:
            refuse("confirm", self.user, self.user, error)


class EnrolForm(ActivateTOTPForm):
    """The first code of a new authenticator app, whose seed waits sealed in the session until it is given."""

    code = code_field()

    def __init__(self, *args, user, **kwargs):
        forms.Form.__init__(self, *args, **kwargs)  # allauth's own would leave the seed in the session in clear
        self.user, session = user, context.request.session
        if not self.is_bound or SECRET_SESSION_KEY not in session:
            session[SECRET_SESSION_KEY] = encrypt(generate_totp_secret())
        self.secret = decrypt(session[SECRET_SESSION_KEY])

    def clean_code(self):
        code = super().clean_code()
        take_once(self.user, code)
        return code


class AddPasskeyForm(AddWebAuthnForm):
    name = forms.CharField(
        label=_("A name to know it by"), max_length=60, required=False, help_text=_("For example the device it is kept on.")
    )
    # A key that cannot sign in alone would be one more thing to explain.
    passwordless = forms.BooleanField(initial=True, widget=forms.CheckboxInput(attrs={"hidden": True}))

    def clean(self):
        return key_taken(super().clean)


class PasswordForm(PasswordChangeForm):
    def clean(self):
        new = self.cleaned_data.get("new_password1")
        if new and new == self.cleaned_data.get("old_password"):
            self.add_error("new_password1", _("The new password must differ from the old one."))
        return super().clean()
