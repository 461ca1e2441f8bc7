"""Accounts and roles in the admin. Refuses that anybody chooses another's password, or changes their own account."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from privacy_office import accounts
from privacy_office.admin.acts import Act
from privacy_office.admin.masks import EMPTY
from privacy_office.admin.office import OfficeAdmin
from privacy_office.models import Staff

admin.site.unregister([Group, EmailAddress, Authenticator])  # the roles stand in roles.py; allauth's rows hold seeds, or nothing


class OnColleague(Act):
    """An act on another's account. One's own is looked after on one's own pages, and by another administrator."""

    permission = "privacy_office.change_staff"
    step_up = True

    def offered(self):
        return self.row != self.by and self.row.is_active


class NewPassword(OnColleague):
    name, label = "new-password", _("New one-time password")
    explanation = _("The present password stops working, and so does every session. The new one is shown once.")

    def act(self):
        return accounts.draw_password(self.row, by=self.by)


class EndSessions(OnColleague):
    name, label = "end-sessions", _("End all sessions")
    explanation = _("Signs this person out everywhere, at the next click. They may sign in again.")

    def act(self):
        accounts.end_sessions(self.row, by=self.by)


class ResetFactor(OnColleague):
    name, label = "reset-factor", _("Reset the second step")
    explanation = _(
        "For a lost phone: the authenticator app, the recovery codes and the passkeys stop working, and every session ends."
        " At the next sign-in the password alone opens the door, to set up a new app: make sure that you know who asks,"
        " and if the password may be known to others, give a new one too."
    )

    def act(self):
        accounts.reset_factor(self.row, by=self.by)


@admin.register(Staff)
class StaffAdmin(OfficeAdmin):
    """Accounts and roles. Passwords are drawn, never typed by another; nobody changes their own account."""

    list_display = ["username", "roles", "is_active", "last_login"]
    list_filter = ["is_active", "groups"]
    ordering = ["username"]
    acts = [NewPassword, EndSessions, ResetFactor]

    @admin.display(description=_("roles"))
    def roles(self, member):
        return ", ".join(group.name for group in member.groups.all()) or EMPTY

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("groups")

    def get_fields(self, request, obj=None):
        return ["username", "email", "groups", "is_active", "last_login"] if obj else ["username", "email", "groups"]

    def get_readonly_fields(self, request, obj=None):
        return ["username", "last_login"] if obj else []

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and obj != request.user

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return forms.ModelMultipleChoiceField(
            Group.objects.order_by("name"),
            label=_("Roles"),
            widget=forms.CheckboxSelectMultiple,
            help_text=_("What each role may do is fixed. Nobody approves what they made themselves, whatever their roles."),
        )

    def save_model(self, request, obj, form, change):
        if change and not form.changed_data:
            return
        if not change:
            obj.is_staff, request.password = True, obj.draw_password()
        obj.save()
        roles = sorted(group.name for group in form.cleaned_data["groups"])  # set by save_related, in this transaction
        action = "staff.change" if change else "staff.create"
        audit.record(action, by=request.user, obj=obj, clause="§6.2", fields=sorted(form.changed_data), roles=roles)

    def response_add(self, request, obj, post_url_continue=None):
        return self.tell_once(request, obj, _("One-time password"), request.password)
