"""The web server's way in. Refuses to start on a key that does not fit the database."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")
application = get_wsgi_application()

from privacy_office.models import Canary  # noqa: E402  (models need a set-up Django)

Canary.check_keys()
