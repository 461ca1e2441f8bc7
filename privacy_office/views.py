"""The pages of the staff's sign-in and of their own security. GET shows; a seed or a recovery code is shown once, to its owner."""

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.login import record_authentication
from allauth.account.views import LogoutView
from allauth.decorators import rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.flows import generate_recovery_codes
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView
from allauth.mfa.totp.internal.flows import activate_totp
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView, RemoveWebAuthnView
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.generic.edit import FormView
from django.views.i18n import set_language

from privacy_office import accounts
from privacy_office.forms import AddPasskeyForm, EnrolForm, PasswordForm
from privacy_office.models import StaffNotice

choose_language = csrf_exempt(set_language)  # pages by link have no cookie; all that a stranger's form gets is the other language
confirmed = [never_cache, reauthentication_required(app="allauth.mfa")]


def entrance(request):
    """Lead from the admin's own sign-in page, which knows no second factor, to ours."""
    if request.user.is_authenticated and not request.user.is_staff:
        raise PermissionDenied
    return redirect(f"{reverse('account_login')}?{request.META['QUERY_STRING']}")


class SignOut(LogoutView):
    """Sign out, or give up a sign-in that waits for its code."""

    http_method_names = ["post"]


@method_decorator([login_required, rate_limit(action="change_password")], name="dispatch")
class ChangePassword(PasswordChangeView):
    form_class, template_name, success_url = PasswordForm, "account/password_change.html", reverse_lazy("admin:index")

    def form_valid(self, form):
        handed_out = self.request.user.one_time_password
        answer = super().form_valid(form)  # ends the member's other sessions: they stood on the old password
        changed(self.request, "password_changed", None if handed_out else StaffNotice.Kind.PASSWORD_CHANGED)
        return answer


def changed(request, action, kind=StaffNotice.Kind.FACTOR_CHANGED, **detail):
    """Leave the entry of a change that members made to their own sign-in, and tell them by mail."""
    accounts.record(action, request, request.user, by=request.user, **detail)
    if kind:
        StaffNotice.objects.tell([request.user], kind)


def show_codes(request, recovery_codes):
    """Show recovery codes in the answer to what made them: no address shows them again."""
    return render(request, "mfa/recovery_codes/index.html", {"codes": recovery_codes.wrap().get_unused_codes()})


@method_decorator(confirmed, name="dispatch")
class EnrolAuthenticator(ActivateTOTPView):
    """Set up an authenticator app, in place of the one before."""

    form_class = EnrolForm

    def dispatch(self, request, *args, **kwargs):
        return FormView.dispatch(self, request, *args, **kwargs)  # allauth's own sends away who has one

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        secret = context["form"].secret
        groups = [secret[i : i + 4] for i in range(0, len(secret), 4)]
        return {**context, "groups": groups, "first": not accounts.has_authenticator(self.request.user)}

    def form_valid(self, form):
        member = self.request.user
        replaced, _by_type = Authenticator.objects.filter(user=member, type=accounts.TOTP).delete()
        authenticator, codes = activate_totp(self.request, form)
        record_authentication(self.request, member, "mfa", id=authenticator.pk, type=authenticator.type)  # its code was just given
        end_other_sessions(self.request)  # one that a password alone had opened would now pass for one with both
        changed(self.request, "factor.enrolled", factor="totp", replaced=bool(replaced))
        if not codes:
            return redirect("mfa_index")
        changed(self.request, "recovery_codes.generated", None)
        return show_codes(self.request, codes)


@method_decorator(confirmed, name="dispatch")
class DrawRecoveryCodes(GenerateRecoveryCodesView):
    def form_valid(self, form):
        codes = generate_recovery_codes(self.request)
        changed(self.request, "recovery_codes.generated")
        return show_codes(self.request, codes)


@method_decorator(confirmed, name="dispatch")
class AddPasskey(AddWebAuthnView):
    form_class = AddPasskeyForm

    def get_success_url(self):
        return reverse("mfa_index")

    def form_valid(self, form):
        answer = super().form_valid(form)
        changed(self.request, "factor.enrolled", factor="webauthn")
        return answer


@method_decorator(confirmed, name="dispatch")
class RemovePasskey(RemoveWebAuthnView):
    success_url = reverse_lazy("mfa_index")

    def form_valid(self, form):
        answer = super().form_valid(form)
        changed(self.request, "factor.removed", factor="webauthn")
        return answer


def end_other_sessions(request):
    request.user.end_sessions()
    update_session_auth_hash(request, request.user)


@login_required
@require_POST
def end_sessions(request):
    """End all sessions of one's own but this."""
    end_other_sessions(request)
    changed(request, "end_sessions", StaffNotice.Kind.SESSIONS_ENDED)
    return redirect("mfa_index")
