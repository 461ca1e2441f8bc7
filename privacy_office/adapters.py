"""How allauth serves this office: names and passwords only, one answer to every failure, seeds sealed. Refuses sign-up and its mail."""

import logging
import time
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import get_pending_stage
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from privacy_office import accounts, seeds
from privacy_office.fields import UndecryptableValue
from privacy_office.models import Staff

log = logging.getLogger(__name__)
PENDING = "signing_in"  # in the session from the password to the code: which password, of which series of sessions
WRONG_CODE = _("This code is not right, or was used before.")
TOO_MANY = _("Too many failed attempts. Please wait 15 minutes.")


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": _("The name or the password is not right."),
        "too_many_login_attempts": TOO_MANY,
        "rate_limited": TOO_MANY,
    }

    def is_open_for_signup(self, request):
        return False

    def get_login_stages(self):
        return ["allauth.mfa.stages.AuthenticateStage"]

    def _get_login_attempts_cache_key(self, request, **credentials):
        return f"name:{credentials['username'].casefold()}"  # allauth adds the Host, and every host would have attempts of its own

    def pre_authenticate(self, request, **credentials):
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            self.refused(request, credentials, "locked")
            raise

    def authentication_failed(self, request, **credentials):
        self.refused(request, credentials, "password")

    def refused(self, request, credentials, reason):
        """Leave an entry with the member's number if the name is a member's, and never with what was typed: it may be a password."""
        accounts.record("sign_in.refused", request, Staff.objects.filter(username=credentials["username"]).first(), reason=reason)

    def pre_login(self, request, user, **kwargs):
        request.session[PENDING] = user.get_session_auth_hash()
        return super().pre_login(request, user, **kwargs)

    def login(self, request, user):
        """Sign in for good, unless the account changed while we waited for the code."""
        if not (user.is_active and constant_time_compare(request.session.pop(PENDING, ""), user.get_session_auth_hash())):
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        super().login(request, user)
        request.session["began"] = time.time()
        accounts.signed_in(request, user)

    def respond_user_inactive(self, request, user):
        accounts.record("sign_in.refused", request, user, reason="account")
        messages.error(request, self.error_messages["username_password_mismatch"])
        return redirect("account_login")

    def logout(self, request):
        accounts.record("sign_out", request, request.user, by=request.user)
        super().logout(request)

    def is_reauthentication_required(self, *, app, **kwargs):
        """Ask for the second factor again before it is changed; who has none yet has nothing to give."""
        return accounts.has_authenticator(context.request.user) and not accounts.proved(context.request)

    def get_reauthentication_methods(self, user):
        """Return the ways to give the second factor once more: a password is none."""
        types = set(Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True))
        ways = [
            ({"totp", "recovery_codes"}, "mfa_reauthenticate", _("With a code")),
            ({"webauthn"}, "mfa_reauthenticate_webauthn", _("With a passkey")),
        ]
        return [{"id": name, "description": says, "url": reverse(name)} for needed, name, says in ways if needed & types]

    def add_message(self, request, level, message_template=None, message_context=None, extra_tags="", message=None):
        if message:  # what is only in allauth's templates, our pages say themselves
            super().add_message(request, level, message=message, extra_tags=extra_tags)

    def send_notification_mail(self, *args, **kwargs):
        pass  # a StaffNotice tells, from the same transaction


class MFAAdapter(DefaultMFAAdapter):
    error_messages = {**DefaultMFAAdapter.error_messages, "incorrect_code": WRONG_CODE}

    def encrypt(self, text):
        return seeds.seal(text, self.member())

    def decrypt(self, encrypted_text):
        member = self.member()
        try:
            return seeds.opened(encrypted_text, member)
        except UndecryptableValue:
            log.error("A second factor of staff:%s cannot be decrypted, or is another's.", member.pk)
            raise self.validation_error("incorrect_code") from None

    def member(self):
        """Return whose second factor this request is about: who is signed in, or has given a password and no code yet."""
        return self.request.user if self.request.user.is_authenticated else get_pending_stage(self.request).login.user

    def can_delete_authenticator(self, authenticator):
        """Let only passkeys go: everyone has an authenticator app, which may be replaced."""
        return authenticator.type == Authenticator.Type.WEBAUTHN

    def generate_authenticator_name(self, user, type):
        return gettext("Passkey %(number)s") % {"number": Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1}

    def get_totp_label(self, user):
        return user.get_username()

    def get_public_key_credential_rp_entity(self):
        return {"id": urlsplit(settings.BASE_URL).hostname, "name": settings.COMPANY["name"]}

    def get_public_key_credential_user_entity(self, user):
        return {**super().get_public_key_credential_user_entity(user), "name": user.get_username()}
