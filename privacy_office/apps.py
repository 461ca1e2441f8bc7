from django.apps import AppConfig, apps
from django.core.checks import Error, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class PrivacyOfficeConfig(AppConfig):
    name = "privacy_office"
    verbose_name = _("Privacy office")

    def ready(self):
        register(keys_fit)


def keys_fit(**kwargs):
    """Refuse every command whose keys are not those of the database."""
    try:
        apps.get_model("privacy_office", "Canary").check_keys()
    except ImproperlyConfigured as problem:
        return [Error(str(problem), id="privacy_office.E001")]
    return []
