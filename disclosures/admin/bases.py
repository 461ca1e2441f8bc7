"""What several of these pages are made of."""

from privacy_office.admin import TrackedAdmin


class KeptAdmin(TrackedAdmin):
    """A model with history that its own verb `keep` writes."""

    def save_model(self, request, obj, form, change):
        if form.changed_data or not change:
            obj.keep(by=request.user)


class AddedAdmin(TrackedAdmin):
    """A model with history whose rows are filled in once; what comes after is done by acts."""

    def has_change_permission(self, request, obj=None):
        return obj is None and super().has_change_permission(request, obj)
