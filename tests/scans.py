"""Files as people send them, and as those do who mean harm: the smallest that are whole."""

import struct
import zlib

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + (
    b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00?\x00\xd2\xcf \xff\xd9"
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
ZIP_END = b"PK\x05\x06" + bytes(18)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*more, size=1):
    """Return a grey picture; `more` are chunks before its end."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + b"\x80" * size for _ in range(size))))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + b"".join(more) + chunk(b"IEND", b"")


def pdf(inside=b"", after_head=b""):
    body = b"%PDF-1.4\n" + after_head + b"1 0 obj\n<</Type/Catalog" + inside + b">>\nendobj\n"
    table = b"xref\n0 2\n0000000000 65535 f \n0000000009 00000 n \ntrailer\n<</Size 2/Root 1 0 R>>\n"
    return body + table + f"startxref\n{len(body)}\n%%EOF\n".encode()


REFUSED = {  # name: (bytes, code of the refusal)
    "html named png": (HTML, "kind"),
    "svg": (SVG, "kind"),
    "empty": (b"", "empty"),
    "too big": (png(chunk(b"tEXt", bytes(5 * 1024**2))), "size"),
    "pdf with a page of the web before it": (HTML + pdf(), "kind"),
    "pdf with a page of the web inside": (pdf(after_head=b"%" + HTML + b"\n"), "polyglot"),
    "pdf with an archive behind it": (pdf() + ZIP_END, "polyglot"),
    "pdf with an archive inside": (pdf(after_head=b"%" + ZIP_END + b"\n"), "polyglot"),
    "pdf with a program": (pdf(b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"), "active"),
    "pdf with a file in it": (pdf(b"/Names<</EmbeddedFiles 2 0 R>>/EmbeddedFile"), "active"),
    "picture that is a pdf too": (png(chunk(b"tEXt", b"%PDF-1.4")), "polyglot"),
    "picture that is a page too": (png(chunk(b"tEXt", HTML)), "polyglot"),
    "picture with an archive behind it": (png() + ZIP_END, "kind"),
    "head of a picture alone": (png()[:30], "kind"),
    "head of a photo alone": (JPEG[:20], "kind"),
    "photo without a size": (JPEG.replace(b"\x08\x00\x01\x00\x01", b"\x08\x00\x00\x00\x00"), "kind"),
    "picture that is damaged": (png().replace(b"IHDR\0\0\0\x01", b"IHDR\0\0\0\x02"), "kind"),
    "pdf without an end": (pdf()[:40], "kind"),
    "program": (b"MZ" + bytes(200), "kind"),
    "gif": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "kind"),
}
