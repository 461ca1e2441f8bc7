"""The pages that say why there is nothing else to see. They ask neither database nor session, and show nothing of the request."""

import logging

from django.conf import settings
from django.contrib import admin
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from audit.unrecorded import Unrecorded

log = logging.getLogger(__name__)


def page(request, name, status):
    """Render an error page in the look of where it happened."""
    match = request.resolver_match
    layout = "admin/error.html" if match and "admin" in match.app_names else "error.html"
    with translation.override(translation.get_language_from_request(request)):  # it may have failed before the language was set
        text = render_to_string(f"{name}.html", {"layout": layout, "site_header": admin.site.site_header, "company": settings.COMPANY})
    return HttpResponse(text, status=status)


def bad_request(request, exception):
    return page(request, "400", 400)


def denied(request):
    return page(request, "403", 403)


def csrf_failure(request, reason=""):
    return page(request, "403_csrf", 403)


def not_found(request, exception):
    return page(request, "404", 404)


def server_error(request):
    return page(request, "500", 500)


def unrecorded(request):
    """Say that nothing was done, as it could not be written down; a mail program's one-click learns it by the status, and may try again."""
    log.error(str(Unrecorded()))
    return _later(request, "503")


def away(request):
    """Say that nothing was done, as Redis, which counts the failures of who signs in, does not answer."""
    log.error("Redis does not answer")
    return _later(request, "503_away")


def _later(request, name):
    response = page(request, name, 503)
    response["Retry-After"] = "300"
    return response
