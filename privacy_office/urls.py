"""The office's addresses. Of allauth's, only those that signing in here needs: no sign-up, no reset by mail."""

from allauth.account.views import login
from allauth.mfa.base.views import authenticate, index, reauthenticate
from allauth.mfa.webauthn.views import login_webauthn, reauthenticate_webauthn
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import never_cache

from privacy_office import health, metrics, views
from privacy_office.admin import dashboard

handler400 = "privacy_office.errors.bad_request"
handler403 = "privacy_office.admin.forbidden"
handler404 = "privacy_office.errors.not_found"
handler500 = "privacy_office.errors.server_error"
sign_in = [
    path("sign-in/", login, name="account_login"),
    path("sign-in/code/", authenticate, name="mfa_authenticate"),
    path("sign-in/passkey/", login_webauthn, name="mfa_login_webauthn"),
    path("sign-out/", views.SignOut.as_view(), name="account_logout"),
    path("confirm/", never_cache(reauthenticate), name="mfa_reauthenticate"),
    path("confirm/passkey/", never_cache(reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"),
    path("security/", never_cache(index), name="mfa_index"),
    path("security/authenticator/", views.EnrolAuthenticator.as_view(), name="mfa_activate_totp"),
    path("security/recovery-codes/", views.DrawRecoveryCodes.as_view(), name="mfa_generate_recovery_codes"),
    path("security/passkeys/add/", views.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path("security/passkeys/<int:pk>/remove/", views.RemovePasskey.as_view(), name="mfa_remove_webauthn"),
    path("security/end-sessions/", views.end_sessions, name="end_sessions"),
]
urlpatterns = [
    path("", health.front, name="front"),
    # Before the admin's own of the same name: they know no second factor, leave no entry, and show no more than lists.
    path("admin/login/", views.entrance),
    path("admin/logout/", views.SignOut.as_view()),
    path("admin/password_change/", views.ChangePassword.as_view()),
    path("admin/", admin.site.admin_view(dashboard.index)),
    path("admin/", admin.site.urls),
    path("staff/", include(sign_in)),
    path("language/", views.choose_language, name="set_language"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("consent.urls")),
    path("", include("disclosures.urls")),
    path("", include("customers.urls")),
    path("", include("mailings.urls")),
]
