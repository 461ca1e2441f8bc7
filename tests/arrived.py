"""Mails as they arrive: reports of real mail servers and invented ones, with a token of ours where a test puts one."""

import base64
import email
import re
from email.message import EmailMessage
from pathlib import Path

from mailings import returns
from mailings.returns import Use

FOLDER = Path(__file__).with_name("reports")
MAILBOX = "bounces@office.example"
ID = re.compile(r"^Message-ID:.*(\n[ \t].*)*", re.IGNORECASE | re.MULTILINE)
FORGED = "raaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@"  # of the right form


def return_path(message):
    return f"bounces+{returns.token(message, Use.RETURN)}@office.example"


def forged(message, use=Use.RETURN):
    """Return what names the message rightly, as whoever learnt its identifier could write it, and is not signed by us."""
    return use + base64.b32encode(message.public_id.bytes + bytes(returns.SIGNATURE)).decode().rstrip("=").lower()


def refusal_address(message):
    return f"bounces+{returns.token(message, Use.REFUSE)}@office.example"


def report(name, to, gives_back=""):
    """Return the bytes of a real server's report to an address; `gives_back` is what it says was the Message-ID of ours."""
    told = email.message_from_bytes((FOLDER / f"{name}.eml").read_bytes())
    del told["To"], told["Delivered-To"]
    told["To"] = to
    head, _blank, body = told.as_string().partition("\n\n")
    ours = f"Message-ID: {gives_back}" if gives_back else ""
    if not ID.search(body):
        body = body.replace("Message removed", "Message-ID: x") if "Message removed" in body else f"{body}\nMessage-ID: x\n"
    return f"{head}\n\n{ID.sub(ours, body)}".encode()


def dsn(to, status="5.1.1", action="failed", gives_back="<other@example.org>", diagnostic="smtp; 550 {status} no such user", **headers):
    """Return the bytes of a report by RFC 3464."""
    lines = [
        *("Return-Path: <>", f"To: {to}", "From: MAILER-DAEMON@mx.example.net", "Subject: Undelivered Mail Returned to Sender"),
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        *("MIME-Version: 1.0", 'Content-Type: multipart/report; report-type=delivery-status; boundary="b"', ""),
        *("--b", "Content-Type: text/plain; charset=utf-8", "", "Không gửi được.", ""),
        *("--b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.net", ""),
        *("Final-Recipient: rfc822; someone@example.org", f"Action: {action}", f"Status: {status}"),
        *(f"Diagnostic-Code: {diagnostic.format(status=status)}", ""),
        *("--b", "Content-Type: text/rfc822-headers", "", f"Message-ID: {gives_back}", "Subject: x", "", "--b--", ""),
    ]
    return "\r\n".join(lines).encode()


def complaint(message=None, kind="abuse", message_id=None, to="fbl@office.example"):
    """Return the bytes of a feedback report (RFC 5965) about a message."""
    original = message_id or returns.message_id(message)
    lines = [
        *("Return-Path: <>", f"To: {to}", "From: feedback@provider.example", "Subject: complaint about message", "MIME-Version: 1.0"),
        *('Content-Type: multipart/report; report-type=feedback-report; boundary="b"', ""),
        *("--b", "Content-Type: text/plain", "", "This is an email abuse report.", ""),
        *("--b", "Content-Type: message/feedback-report", "", f"Feedback-Type: {kind}", "User-Agent: Provider/1.0", "Version: 1", ""),
        *("--b", "Content-Type: message/rfc822", "", f"Message-ID: {original}", "Subject: [QC] x", "", "…", "--b--", ""),
    ]
    return "\r\n".join(lines).encode()


def letter(sender, text="", subject="Hỏi", to=MAILBOX, **headers):
    """Return the bytes of a mail as a person writes it."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()
