"""What people send: told by its content, encrypted before it touches a disk, and given back as a download alone to who may have it."""

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import RequestFactory
from django.urls import reverse

from audit.models import Entry
from customers import erasure
from customers.models import Attachment
from privacy_office import uploads
from privacy_office.fields import UndecryptableValue
from tests import scans
from tests.make import ask_reveal, make_customer, make_staff, prove

pytestmark = pytest.mark.usefixtures("english")

TAKEN = {"jpeg": scans.JPEG, "png": scans.png(), "pdf": scans.pdf()}
db = pytest.mark.django_db


@pytest.fixture
def scan(db):
    return Attachment.keep(make_customer("ANN"), TAKEN["png"], by=None)


@pytest.mark.parametrize("kind", TAKEN)
def test_pictures_and_pdfs_are_taken(kind):
    assert uploads.kind_of(TAKEN[kind]) == kind


@pytest.mark.parametrize("name", scans.REFUSED)
def test_what_is_none_or_two_things_or_harmful_is_refused_in_words_that_help(name):
    data, code = scans.REFUSED[name]
    with pytest.raises(ValidationError) as refused:
        uploads.kind_of(data)
    assert refused.value.code == code
    assert "lease" in refused.value.messages[0] or "is enough" in refused.value.messages[0]


@db
@pytest.mark.parametrize("name", ["../../etc/passwd.html", "a\0b.svg", "x" * 300])
def test_a_name_and_a_declared_type_mean_nothing_and_are_kept_nowhere(name):
    field = uploads.ScanField()
    data = field.clean(SimpleUploadedFile(name, TAKEN["png"], content_type="text/html"))
    row = Attachment.keep(make_customer("ANN"), data, by=None)
    assert (row.kind, row.file_name) == ("png", f"attachment-{row.pk}.png")


@pytest.mark.parametrize("size", [5 * 1024**2, 5 * 1024**2 + 1, 12 * 1024**2])
def test_an_upload_lies_in_memory_alone_and_of_one_too_big_nothing_does(size):
    sent = SimpleUploadedFile("a.png", bytes(size))
    (file,) = RequestFactory().post("/", {"scan": sent}).FILES.values()
    assert not hasattr(file, "temporary_file_path") and file.size == size
    assert len(file.read()) <= 5 * 1024**2
    file.seek(0)
    with pytest.raises(ValidationError) as refused:
        uploads.ScanField().clean(file)
    assert refused.value.code == ("kind" if size == 5 * 1024**2 else "size")


def test_an_upload_that_never_ends_is_cut_off():
    request = RequestFactory().post("/", {"scan": SimpleUploadedFile("a.png", bytes(41 * 1024**2))})
    assert not request.FILES


@db
def test_a_file_is_encrypted_at_rest_and_comes_back_as_it_was(scan):
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM customers_attachment")
        (stored,) = cursor.fetchone()
    assert stored.startswith("gAAAAA") and "iVBOR" not in stored
    row = Attachment.objects.get()
    assert row.read() == TAKEN["png"]
    assert Entry.objects.get(action="attachment.keep").detail == {"kind": "png", "size": len(TAKEN["png"])}


@db
def test_a_file_that_was_exchanged_for_another_is_not_given(scan):
    other = Attachment.keep(scan.customer, TAKEN["pdf"], by=None)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_attachment SET content = (SELECT content FROM customers_attachment WHERE id = %s)", [other.pk])
    with pytest.raises(UndecryptableValue):
        Attachment.objects.get(pk=scan.pk).read()


@db
def test_erasure_reaches_files(scan):
    erasure.erase(scan.customer, by=make_staff("officer"), reason="asked")
    row = Attachment.objects.get()
    assert (row.content, row.digest) == (None, None)


def shown(client, reveal, member):
    client.force_login(member)
    prove(client)
    return client.get(reverse("admin:customers_reveal_download", args=[reveal.pk]))


@db
def test_staff_get_a_file_as_a_download_by_an_open_reveal_alone(client, scan):
    clerk = make_staff("clerk")
    reveal = ask_reveal(scan, "content", by=clerk)
    answer = shown(client, reveal, clerk)
    assert answer.content == TAKEN["png"]
    assert answer["Content-Disposition"] == f'attachment; filename="attachment-{scan.pk}.png"'
    assert (answer["X-Content-Type-Options"], answer["Content-Type"]) == ("nosniff", "image/png")
    assert "sandbox" in answer["Content-Security-Policy"] and "no-store" in answer["Cache-Control"]
    assert Entry.objects.filter(action="reveal.view", object=f"customers.reveal:{reveal.pk}").count() == 1


@db
def test_a_colleague_and_who_comes_late_get_no_file(client, scan):
    clerk = make_staff("clerk")
    reveal = ask_reveal(scan, "content", by=clerk)
    assert shown(client, reveal, make_staff("officer")).status_code == 403
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_reveal SET opened_at = opened_at - interval '1 hour', expires_at = expires_at - interval '1 hour'")
    assert shown(client, reveal, clerk).status_code == 302
    assert not Entry.objects.filter(action="reveal.view").exists()


@db
def test_the_page_of_a_reveal_offers_the_file_and_shows_nothing_of_it(client, scan):
    clerk = make_staff("clerk")
    reveal = ask_reveal(scan, "content", by=clerk)
    client.force_login(clerk)
    prove(client)
    page = client.get(reverse("admin:customers_reveal_show", args=[reveal.pk])).text
    assert reverse("admin:customers_reveal_download", args=[reveal.pk]) in page and "iVBOR" not in page
