"""A real SMTP server that keeps what it is given, and can be told to be slow or to refuse."""

import asyncio
import socket
import time
from dataclasses import dataclass
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller


@dataclass
class Mail:
    sender: str
    recipient: str
    data: bytes
    at: float  # time.time() at which DATA began

    @property
    def message(self):
        return message_from_bytes(self.data, policy=policy.default)


class Sink:
    """Answers `answers[recipient]` after RCPT where there is one, else takes the mail; waits `delay` seconds in DATA."""

    def __init__(self):
        self.mails, self.answers, self.delay = [], {}, 0.0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=port, decode_data=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        began = time.time()
        if self.delay:
            await asyncio.sleep(self.delay)
        self.mails += [Mail(envelope.mail_from, recipient, envelope.content, began) for recipient in envelope.rcpt_tos]
        return "250 2.0.0 kept"

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *failure):
        self.controller.stop()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.controller.port}"

    @property
    def recipients(self):
        return sorted(mail.recipient for mail in self.mails)
