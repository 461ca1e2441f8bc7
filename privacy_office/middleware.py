"""What holds for every request. Refuses everything to staff whose password is still the one that was handed out."""

from django.shortcuts import redirect
from django.urls import reverse


class OneTimePasswordMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if getattr(request.user, "one_time_password", False):
            change = reverse("admin:password_change")
            if request.path not in (change, reverse("admin:logout")):
                return redirect(change)
        return self.get_response(request)
