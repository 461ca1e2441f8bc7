"""What every page may name: the company whose office it is."""

from django.conf import settings


def company(request):
    return {"company": settings.COMPANY}
