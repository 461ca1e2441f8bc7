"""What every page of the staff's admin has in common. Refuses to delete, and to unmask."""

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from audit import models as audit
from audit.unrecorded import Unrecorded
from privacy_office import accounts, errors
from privacy_office.admin.acts import reason, refusal
from privacy_office.admin.lists import ListAdmin
from privacy_office.admin.masks import encrypted, masked
from privacy_office.fields import UndecryptableValue


class OfficeAdmin(ListAdmin):
    """Any model: nothing deleted, encrypted fields masked, every change with its entry."""

    acts = ()
    view_on_site = False

    def has_delete_permission(self, request, obj=None):
        return False

    # What is shown

    def get_fieldsets(self, request, obj=None):
        return [(title, {**options, "fields": self.shown(options["fields"])}) for title, options in super().get_fieldsets(request, obj)]

    def get_readonly_fields(self, request, obj=None):
        return [*super().get_readonly_fields(request, obj), *map(masked, encrypted(self.model))]

    def get_exclude(self, request, obj=None):
        return [*(super().get_exclude(request, obj) or ()), *(field.name for field in encrypted(self.model))]

    def may_see_history(self, request):
        return False

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj:
            acts = [act(obj, request.user) for act in self.acts if request.user.has_perm(act.permission)]
            context["acts"] = [act for act in acts if act.offered()]
            context["may_see_history"] = self.may_see_history(request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # What is changed

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """Show a refusal of the row's own verb on the form, with what was typed, after undoing what came before it."""
        try:
            with transaction.atomic():
                return super().changeform_view(request, object_id, form_url, extra_context)
        except (ValidationError, UndecryptableValue) as error:
            request.refusal = refusal(error)
            if request.method == "POST":
                row = self.get_object(request, unquote(object_id)) if object_id else None
                self.record_refusal(request, row, "change" if object_id else "add", error)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change, **kwargs)
        if not hasattr(request, "refusal"):
            return form

        class Refused(form):
            def clean(self):
                raise request.refusal

        return Refused

    def save_model(self, request, obj, form, change):
        """Save with history and entry; what is unchanged leaves no row."""
        if change and not form.changed_data:
            return
        obj._change_reason = action = f"{self.opts.model_name}.{'change' if change else 'add'}"
        super().save_model(request, obj, form, change)
        audit.record(action, by=request.user, obj=obj, fields=sorted(form.changed_data))

    def get_urls(self):
        act = self.admin_site.admin_view(self.act_view)
        return [path("<int:object_id>/do/<slug:name>/", act, name=f"{self.opts.app_label}_{self.opts.model_name}_act"), *super().get_urls()]

    def act_view(self, request, object_id, name):
        """Ask what an act needs to know, and do it; what its verb refuses comes back with what was typed."""
        act = next((act for act in self.acts if act.name == name), None)
        if act is None:
            raise Http404
        if not (self.has_view_permission(request) and request.user.has_perm(act.permission)):
            raise PermissionDenied
        rows = self.get_queryset(request)
        if request.method == "POST":
            rows = rows.select_for_update(of=["self"])  # a verb saves the whole row: it must not be one that another just changed
        row = get_object_or_404(rows, pk=object_id)
        form = act(row, request.user, request.POST if request.method == "POST" else None)
        form.files = request.FILES
        form.initial |= {name: request.GET[name] for name in act.preselected if name in request.GET}
        if act.step_up and not accounts.proved(request):
            form.ask_for_code()
        if form.is_valid() and self.proven(request, form):
            try:
                with transaction.atomic():
                    if not form.offered():
                        raise ValidationError(_("As things stand, this cannot be done."))
                    told = form.act()
            except (ValidationError, UndecryptableValue) as error:
                self.record_refusal(request, row, name, error)
                form.add_error(None, refusal(error))
            else:
                if isinstance(told, HttpResponse):
                    return told
                if told:
                    return self.tell_once(request, row, act.label, told)
                self.message_user(request, format_lazy("{} {}: {}.", row, act.label, _("done")), messages.SUCCESS)
                return redirect(self.url_of(row))
        return self.page(request, "admin/act.html", row, act.label, form=form)

    def proven(self, request, form):
        """Return whether the second factor, where it is asked for, is right; else say so on the form and leave the entry."""
        try:
            form.prove()
        except ValidationError as error:
            self.record_refusal(request, form.row, form.name, error)
            form.add_error("code", error)
            return False
        return True

    def record_refusal(self, request, row, name, error):
        """Leave the entry of an act that was undone; the answer that tells of it is a success, so the entry stays."""
        action = f"{self.opts.model_name}.{name}.refused"
        audit.record(action, by=request.user, obj=row, subject=getattr(row, "public_id", None), reason=reason(error))

    def tell_once(self, request, row, title, told):
        """Show what nobody can look up again. On the page itself: a message would lie in a cookie until it is read."""
        return self.page(request, "admin/told_once.html", row, title, told=told)

    def url_of(self, row):
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])

    def page(self, request, template, row, title, **context):
        context |= {"opts": self.opts, "original": row, "title": title, "row_url": self.url_of(row)}
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})


class ReadOnlyAdmin(OfficeAdmin):
    """A model whose rows only their verbs write: looked at, never filled in."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


def forbidden(request, exception):
    """Answer 403, and leave the entry of what was tried in the admin: by now the transaction of the request is rolled back."""
    match = request.resolver_match
    if match and "admin" in match.app_names and request.user.is_authenticated:
        page, number = match.view_name, str(match.kwargs.get("object_id", ""))
        owner = next(
            (a for m, a in admin.site._registry.items() if page.startswith(f"admin:{m._meta.label_lower.replace('.', '_')}_")), None
        )
        # A number that is a row's and nothing else: an address may hold whatever somebody typed. A row, also if they may not see it.
        row = owner.model._default_manager.filter(pk=number).first() if owner and number.isdecimal() else None
        told = {"page": page, "method": request.method} | ({"act": match.kwargs["name"]} if page.endswith("_act") else {})
        try:
            with transaction.atomic():
                audit.record("admin.refused", by=request.user, obj=row, subject=getattr(row, "public_id", None), **told)
        except Unrecorded:
            return errors.unrecorded(request)
    return errors.denied(request)
