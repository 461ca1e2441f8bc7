"""Addresses of the customers' own pages, and of the links that mail leads to: /link/USE/TOKEN/, where the address is the key."""

from django.urls import path

from customers.views import access, addresses, corrections, data, door, information, links, requests, signups

app_name = "customers"
urlpatterns = [
    path("my/", data.overview, name="overview"),
    path("my/mails/", data.mail_list, name="mails"),
    path("my/views/", data.views, name="views"),
    path("my/download/", data.download, name="download"),
    path("my/sign-in/", door.sign_in, name="sign_in"),
    path("my/sign-in/password/", door.sign_in_password, name="sign_in_password"),
    path("my/sign-out/", door.sign_out, name="sign_out"),
    path("my/access/", access.access, name="access"),
    path("my/access/password-link/", access.ask_password, name="ask_password"),
    path("my/end-sessions/", access.end_sessions, name="end_sessions"),
    path("my/requests/", requests.requests, name="requests"),
    path("my/requests/<int:pk>/", requests.request_page, name="request"),
    path("link/identity/<str:token>/", requests.identity_link, name="link_identity"),
    path("my/email/", addresses.email, name="email"),
    path("my/email/verify/", addresses.verify, name="verify_email"),
    path("link/sign-in/<str:token>/", links.sign_in, name="link_sign_in"),
    path("link/password/<str:token>/", links.password, name="link_password"),
    path("link/download/<str:token>/", data.download_link, name="link_download"),
    path("link/verify/<str:token>/", links.verify, name="link_verify"),
    path("link/confirm-address/<str:token>/", links.confirm_address, name="link_confirm_address"),
    path("link/approve-address/<str:token>/", links.approve_address, name="link_approve_address"),
    path("sign-up/", signups.receive, name="sign_up"),
    path("link/sign-up/<str:token>/", signups.confirm, name="link_sign_up"),
    path("link/object/<str:token>/", links.object_to_address, name="link_object"),
    path("my/corrections/", corrections.corrections, name="corrections"),
    path("my/corrections/<slug:field>/", corrections.propose, name="propose_correction"),
    path("my/corrections/<int:number>/complete/", corrections.complete, name="complete_correction"),
    path("my/attachments/<int:number>/", corrections.attachment, name="attachment"),
    path("link/information/<str:token>/", information.information_link, name="link_information"),
]
