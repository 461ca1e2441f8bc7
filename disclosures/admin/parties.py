"""Third parties, their keys, commitments and documents."""

from django.contrib import admin
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from disclosures.admin.bases import AddedAdmin, KeptAdmin
from disclosures.forms import CommitmentForm
from disclosures.models import Commitment, Document, ThirdParty
from privacy_office.admin import Act, Happened, Lately, ReadOnlyAdmin


class CheckKey(Act):
    name, label = "check-key", _("Check the key")
    permission = "disclosures.approve_disclosurerequest"
    step_up = True
    explanation = _(
        "You read the key below back to the third party, over its published contact, and it is the same."
        " Nobody checks a key that they entered themselves."
    )

    def offered(self):
        return bool(self.row.age_key) and not self.row.key_checked_at

    def to_read(self):
        return [(self.row.name, f"{self.row.age_key}\n\n{self.row.contact}")]

    def act(self):
        self.row.check_key(by=self.by)


@admin.register(ThirdParty)
class ThirdPartyAdmin(KeptAdmin):
    list_display = ["name", "kind", "active", "key_checked_at"]
    when_empty = _("There are no third parties yet. Add who may ever get data; a colleague checks the key.")
    list_filter = ["kind", "active", ("key_checked_at", Happened)]
    fields = ["name", "kind", "contact", "age_key", "active", "key_set_by", "key_checked_by", "key_checked_at"]
    readonly_fields = ["key_set_by", "key_checked_by", "key_checked_at"]
    acts = [CheckKey]


class EndCommitment(Act):
    name, label = "end", _("End it now")
    permission = "disclosures.change_commitment"
    explanation = _("From this moment on nothing is handed over on this commitment. It cannot be taken back.")

    def offered(self):
        return self.row.ended_at is None

    def act(self):
        self.row.end(by=self.by)


@admin.register(Commitment)
class CommitmentAdmin(AddedAdmin):
    form = CommitmentForm
    list_display = ["id", "third_party", "valid_from", "valid_until", "ended_at", "in_force"]
    when_empty = _("No commitment was signed yet. Add one, with the signed document.")
    list_select_related = ["third_party"]
    list_filter = [("ended_at", Happened)]
    acts = [EndCommitment]

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["third_party", "valid_from", "valid_until", "file"]
        return ["third_party", "valid_from", "valid_until", "in_force", "document", "reminded_at", "ended_at"]

    @admin.display(description=_("in force today"))
    def in_force(self, commitment):
        today = timezone.localdate()
        return _("yes") if commitment.ended_at is None and commitment.valid_from <= today <= commitment.valid_until else _("no")

    def get_readonly_fields(self, request, obj=None):
        return ["in_force", *super().get_readonly_fields(request, obj)]

    def save_model(self, request, obj, form, change):
        obj.sign(form.data_of_file, by=request.user)


class ReadDocument(Act):
    name, label = "read", _("Read it")
    permission = "disclosures.read_document"
    explanation = _("Opens the signed document. That you read it is written down first.")

    def act(self):
        response = HttpResponse(self.row.read(by=self.by), content_type=self.row.media_type)
        response["Content-Disposition"] = f'attachment; filename="{self.row.file_name}"'
        return response


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["id", "media_type", "size", "added_at"]
    when_empty = _("There are no documents yet. They come with commitments, requests and statements.")
    list_filter = [("added_at", Lately)]
    fields = ["media_type", "size", "digest", "added_at", "content"]
    acts = [ReadDocument]
