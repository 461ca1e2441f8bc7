"""A real SMTP server that keeps what it is given, and can be told to be slow, to refuse, to fall silent and to hang up."""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

logging.getLogger("mail.log").setLevel(logging.WARNING)  # else it tells of every command
# What it does instead of an answer: before the message is whole, after the final dot (the mail is kept then), and nothing at all.
BREAK_IN_DATA, BREAK_AFTER_DOT, FALL_SILENT = "break in data", "break after dot", "fall silent"


@dataclass
class Mail:
    sender: str
    recipient: str
    data: bytes
    at: float  # time.time() at which DATA began

    @property
    def message(self):
        return message_from_bytes(self.data, policy=policy.default)


class Server(SMTP):
    async def smtp_DATA(self, arg):
        self.envelope.began = time.time()
        if self.envelope.rcpt_tos and self.envelope.trouble == BREAK_IN_DATA:
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            raise asyncio.CancelledError
        else:
            await super().smtp_DATA(arg)


class Sink(Controller):
    """Answers `answers[recipient]` after RCPT where there is one, or meets with that trouble; else takes the mail after `delay` seconds."""

    def __init__(self):
        self.mails, self.answers, self.delay = [], {}, 0.0
        self.pipelining, self.refuses, self.connections = False, "", 0  # `refuses` is what it answers to every sender
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        super().__init__(self, hostname="127.0.0.1", port=port, decode_data=False)

    def factory(self):
        return Server(self, **self.SMTP_kwargs)

    def meets(self, address):
        """Return what a recipient's mail meets with: an answer, a trouble, or nothing."""
        return self.answers.get(address)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        self.connections += 1
        return [responses[0], "250-PIPELINING", *responses[1:]] if self.pipelining else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.refuses:
            return self.refuses
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        envelope.trouble = self.meets(address)
        if envelope.trouble and envelope.trouble[0].isdigit():
            return envelope.trouble
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        if self.delay:
            await asyncio.sleep(self.delay)
        self.mails += [Mail(envelope.mail_from, recipient, envelope.content, envelope.began) for recipient in envelope.rcpt_tos]
        if envelope.trouble == BREAK_AFTER_DOT:
            server.transport.abort()
        elif envelope.trouble == FALL_SILENT:
            await asyncio.sleep(3600)
        return "250 2.0.0 kept"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.stop()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def recipients(self):
        return sorted(mail.recipient for mail in self.mails)
