"""Files that people send, told by their content alone. Refuses all but pictures and PDFs, and two things in one; writes none down."""

import struct
import zlib
from io import BytesIO

import puremagic
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.db import models
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

HEAD, TAIL = 4096, 65_557  # bytes: what a browser guesses by, with room to spare; the furthest that a ZIP's end record lies before its end
FOREIGN_HEAD = (b"<html", b"<!doctype", b"<script", b"<svg", b"<?php", b"<body")
FOREIGN_TAIL = (b"PK\x05\x06",)
ACTIVE = (b"/JavaScript", b"/Launch", b"/EmbeddedFile", b"/RichMedia")  # what a scan never has, where it is not hidden in a packed object


class Kind(models.TextChoices):
    JPEG = "jpeg", "JPEG"
    PNG = "png", "PNG"
    PDF = "pdf", "PDF"

    @property
    def content_type(self):
        return "application/pdf" if self == Kind.PDF else f"image/{self}"

    @property
    def suffix(self):
        return "jpg" if self == Kind.JPEG else str(self)


def kind_of(data):
    """Return the Kind of a file by its bytes; ValidationError in words that help. Its name and its declared type are asked by nobody."""
    if not data:
        raise ValidationError(_("This file is empty. Please choose it once more, or take a new photo."), code="empty")
    if len(data) > settings.UPLOAD_MOST:
        raise too_big()
    kind = next((kind for kind, whole in WHOLE.items() if guessed(data) == kind.content_type and whole(data)), None)
    if kind is None:
        raise ValidationError(
            _("This is no JPEG or PNG picture and no PDF, or it is damaged. Please send a photo, a scan or a PDF."), code="kind"
        )
    head, tail = data[:HEAD].lower(), data[-TAIL:]
    pdf_inside = kind != Kind.PDF and b"%pdf-" in head
    if pdf_inside or any(mark in head for mark in FOREIGN_HEAD) or any(mark in tail for mark in FOREIGN_TAIL):
        raise ValidationError(
            _("This file is two things in one, which we do not take. Please send a simple photo or scan."), code="polyglot"
        )
    if kind == Kind.PDF and any(mark in data for mark in ACTIVE):
        raise ValidationError(_("This PDF holds a program or another file. Please print it to a new PDF, or send a photo."), code="active")
    return kind


def too_big():
    most = {"most": settings.UPLOAD_MOST // 1024**2}
    return ValidationError(_("This file is too big: at most %(most)d MB. A photo of lower quality is enough."), code="size", params=most)


def guessed(data):
    try:
        return puremagic.from_string(data, mime=True)
    except (puremagic.PureError, ValueError):
        return ""


def is_jpeg(data):
    """Return whether the segments lead from the start of an image to a frame that has a size."""
    at = 2
    if data[:2] != b"\xff\xd8":
        return False
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return bool(width and height) and b"\xff\xda" in data[at:] and b"\xff\xd9" in data[at:]
        if marker in (0xD8, 0xD9, 0xDA) or length < 2:
            return False
        at += 2 + length
    return False


def is_png(data):
    """Return whether every chunk is whole, the first gives a size, and the file ends with the last."""
    at, first = 8, True
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return False
        if first and not (name == b"IHDR" and length == 13 and all(struct.unpack_from(">II", data, at + 8))):
            return False
        if name == b"IEND":
            return end == len(data)
        at, first = end, False
    return False


def is_pdf(data):
    """Return whether it begins as a PDF with its first byte, and its end says where its table of objects lies, which is there."""
    tail = data[-1024:]
    head, _, rest = tail.rpartition(b"startxref")
    offset = rest.split(maxsplit=1)[:1]
    if not (data[:5] == b"%PDF-" and head and b"%%EOF" in rest and offset and offset[0].isdigit() and len(offset[0]) < 12):
        return False
    table = data[int(offset[0]) :][:64].lstrip()
    return table.startswith(b"xref") or b" obj" in table


WHOLE = {Kind.JPEG: is_jpeg, Kind.PNG: is_png, Kind.PDF: is_pdf}


class Bounded(FileUploadHandler):
    """Keeps a file in memory alone, as a temporary one would lie on the disk in the clear; of one too big the size is kept alone."""

    def new_file(self, *args, **kwargs):
        super().new_file(*args, **kwargs)
        self.file = BytesIO()

    def receive_data_chunk(self, raw_data, start):
        if start > settings.UPLOAD_MOST * 8:
            raise StopUpload(connection_reset=True)
        if start + len(raw_data) <= settings.UPLOAD_MOST:
            self.file.write(raw_data)

    def file_complete(self, file_size):
        self.file.seek(0)
        return InMemoryUploadedFile(self.file, self.field_name, self.file_name, self.content_type, file_size, self.charset)


class ScanField(forms.FileField):
    """A photo, a scan or a PDF; cleaned it is its bytes, or None."""

    widget = forms.FileInput({"accept": "image/jpeg,image/png,application/pdf"})

    def to_python(self, data):
        if data in self.empty_values:
            return None
        if data.size > settings.UPLOAD_MOST:
            raise too_big()
        content = data.read()
        kind_of(content)
        return content

    def clean(self, data, initial=None):
        content = self.to_python(data)
        self.validate(content)
        return content


def download(data, kind, name):
    """Return a file as an answer that a browser saves and never shows: under a name of ours, run by nothing, guessed at by nobody."""
    answer = HttpResponse(data, content_type=Kind(kind).content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer
