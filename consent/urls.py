"""Addresses of what anybody may read of the policy, and of what customers say about it."""

from django.urls import path

from consent.views import own, policy, preferences

app_name = "consent"
urlpatterns = [
    path("policy/", policy.policy, name="policy"),
    path("policy/versions/", policy.archive, name="policy_archive"),
    path("policy/versions.json", policy.versions_json, name="policy_json"),
    path("policy/versions.atom", policy.versions_atom, name="policy_atom"),
    path("policy/<int:number>/", policy.policy, name="policy_version"),
    path("policy/<int:older>/changes/<int:newer>/", policy.changes, name="policy_changes"),
    path("my/policy/", own.acknowledge, name="my_policy"),
    path("preferences/<str:token>/", preferences.by_token["choose"], name="preferences"),
    path("preferences/<str:token>/records.json", preferences.by_token["records"], name="records"),
    path("preferences/<str:token>/receipts/<uuid:number>/", preferences.by_token["receipt"], name="receipt"),
    path("preferences/<str:token>/receipts/<uuid:number>.json", preferences.by_token["receipt"], {"as_json": True}, name="receipt_json"),
    path("my/preferences/", preferences.signed_in["choose"], name="my_preferences"),
    path("my/preferences/records.json", preferences.signed_in["records"], name="my_records"),
    path("my/preferences/receipts/<uuid:number>/", preferences.signed_in["receipt"], name="my_receipt"),
    path("my/preferences/receipts/<uuid:number>.json", preferences.signed_in["receipt"], {"as_json": True}, name="my_receipt_json"),
]
