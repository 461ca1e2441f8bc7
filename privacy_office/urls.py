"""The office's addresses."""

from django.contrib import admin
from django.urls import include, path

from privacy_office import health

handler403 = "privacy_office.admin.forbidden"
urlpatterns = [
    path("", health.front, name="front"),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", include("mailings.urls")),
]
