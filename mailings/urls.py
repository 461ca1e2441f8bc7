"""Addresses of the pages that mail leads to."""

from django.urls import path

from mailings import mailbox, views

app_name = "mailings"
urlpatterns = [
    path("unsubscribe/<str:token>/", views.unsubscribe, name="unsubscribe"),
    path("leave/<str:token>/", views.leave, name="leave"),
    path("mailbox/", mailbox.index, name="mailbox"),
    path("mailbox/<str:key>/", mailbox.show, name="mailbox_mail"),
    path("mailbox/<str:key>/html/", mailbox.show_html, name="mailbox_html"),
]
