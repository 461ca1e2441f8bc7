"""What customers see of disclosures: who got their data, and what they permit."""

from django.urls import path

from disclosures import views

app_name = "disclosures"
urlpatterns = [
    path("my/disclosures/", views.mine, name="mine"),
    path("my/disclosures/permit/<int:offer>/", views.permit, name="permit"),
]
