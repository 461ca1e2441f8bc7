"""One kept connection to the mail server. Knows on which side of the final dot a failure fell, and never waits without end."""

import re
import smtplib
import ssl
import time

from django.conf import settings
from django.core.mail import DNS_NAME

IDLE = 10  # seconds after which a connection is tried with NOOP before it is used
PER_CONNECTION = 1000  # messages, then a new one: servers cut long ones
LONGEST = 8192  # bytes of a reply's line
ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463


class Unreachable(Exception):
    """No connection, no welcome for our sender, or a break before the final dot: nothing was handed over."""


class _Cut(Exception):
    """The server hung up before it took anything."""


def codes(code, words):
    """Return a reply's codes without its words, which may name the address."""
    enhanced = ENHANCED.match(words)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)


class Relay:
    def __init__(self):
        self._smtp, self._used, self._sent = None, 0.0, 0
        self._heard = b""  # what the server said and nobody read
        self._announced = None  # from whom to whom is the message that the server was told of and waits for

    def send(self, sender, recipient, data, still=lambda: True, leaves=lambda: None, following=None):
        """Hand over one message (bytes, CRLF); return ('sent' | 'deferred' | 'failed' | 'unknown' | 'withheld', the server's codes).

        Unreachable where nothing was handed over. After the final dot a silence is 'unknown': the server may have it.
        When the server waits for the message, `still` is asked whether it may leave, as all before may have taken long; then it
        `leaves`. A kept connection that the server cut meanwhile is made anew once. Of the message that is to follow, its
        (sender, recipient) may be said in the same breath as this one's end.
        """
        kept = self._smtp is not None
        try:
            smtp = self._connection((sender, recipient))
            refused = self._announce(smtp, sender, recipient)
            if not refused and not still():
                self.close()  # there is no other way to take DATA back
                return "withheld", ""
            if not refused:
                whole = self._whole(data, following)
                leaves()
                smtp.sock.sendall(whole)
        except _Cut:
            self.close()
            if kept:
                return self.send(sender, recipient, data, still, leaves, following)
            raise Unreachable("Cut") from None
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise Unreachable(type(error).__name__) from None
        except BaseException:
            self.close()
            raise
        self._used = time.monotonic()
        if refused:
            return self._refused(*refused)
        try:
            smtp.sock.settimeout(self._timeouts["after_data"])
            code, words = self._reply()
            smtp.sock.settimeout(self._timeouts["command"])
        except (smtplib.SMTPException, OSError):
            code = -1
        if code // 100 not in (2, 4, 5):  # no reply, or one that says neither yes nor no
            self.close()
            return "unknown", ""
        self._used, self._sent = time.monotonic(), self._sent + 1
        return ("sent", codes(code, words)) if code // 100 == 2 else self._refused(code, words)

    def _whole(self, data, following):
        """Return a message as it goes over the line and, where the server takes that, who is next (RFC 2920 section 3.1)."""
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        whole = [b"." if data.startswith(b".") else b"", stuffed, b"" if data.endswith(b"\r\n") else b"\r\n", b".\r\n"]
        if following and self._smtp.has_extn("pipelining") and self._sent + 1 < PER_CONNECTION:
            whole += self._commands(*following)
            self._announced = following
        return b"".join(whole)

    def _commands(self, sender, recipient):
        if not (sender + recipient).isprintable():
            raise ValueError("an address is one line")
        body = b" BODY=8BITMIME" if self._smtp.has_extn("8bitmime") else b""
        return b"MAIL FROM:<%b>%b\r\n" % (sender.encode("ascii"), body), b"RCPT TO:<%b>\r\n" % recipient.encode("ascii"), b"DATA\r\n"

    def _announce(self, smtp, sender, recipient):
        """Say from whom to whom; return None once the server waits for the message, else what it refused the recipient with.

        In one breath where the server takes that (RFC 2920), or said already behind the message before, else command by command.
        """
        commands, said, self._announced = self._commands(sender, recipient), self._announced, None
        at_once = smtp.has_extn("pipelining")
        try:
            if at_once and not said:
                smtp.sock.sendall(b"".join(commands))
            replies = []
            for command in commands:
                if not at_once:
                    smtp.sock.sendall(command)
                replies.append(self._reply())
                if replies[-1][0] == 421 or (not at_once and replies[-1][0] // 100 not in (2, 3)):
                    break
        except (smtplib.SMTPException, OSError):
            raise _Cut from None
        (code, words), *others = replies
        if code == 421:
            raise _Cut
        if code // 100 != 2:
            self.close()
            raise Unreachable(codes(code, words))  # it refuses us, not the recipient: no message is to be lost by that
        refused = next((reply for reply in others if reply[0] // 100 not in (2, 3)), None)
        if refused and others[-1][0] == 354:  # RFC 2920 section 3.1: it waits for the message of a recipient whom it refused
            smtp.sock.sendall(b".\r\n")
            self._reply()
        return refused

    def _reply(self):
        """Return (code, words) of the server's next reply (RFC 5321 section 4.2.1); -1 for what is none."""
        said = []
        while True:
            line, end, rest = self._heard.partition(b"\n")
            if end:
                self._heard = rest
                said.append(line[4:].strip())
                if line[3:4] != b"-":
                    return int(line[:3]) if line[:3].isdigit() else -1, b"\n".join(said)
            elif len(line) > LONGEST or not (more := self._smtp.sock.recv(LONGEST)):
                raise smtplib.SMTPServerDisconnected
            else:
                self._heard += more

    def _refused(self, code, words):
        try:
            if code == 421:
                self.close()
            elif not self._announced:  # else the next transaction has begun, which clears what was before as well
                self._smtp.sock.sendall(b"RSET\r\n")
                self._reply()
        except (smtplib.SMTPException, OSError):
            self.close()
        return ("failed" if code // 100 == 5 else "deferred"), codes(code, words)

    def _connection(self, envelope):
        if self._smtp and (self._sent >= PER_CONNECTION or self._announced not in (None, envelope) or not self._alive()):
            self.close()
        if self._smtp is None:
            connect = smtplib.SMTP_SSL if settings.EMAIL_USE_SSL else smtplib.SMTP
            options = {"context": ssl.create_default_context()} if settings.EMAIL_USE_SSL else {}
            self._timeouts = timeouts = settings.MAIL_TIMEOUTS
            self._smtp = connect(settings.EMAIL_HOST, settings.EMAIL_PORT, DNS_NAME.get_fqdn(), timeout=timeouts["connect"], **options)
            self._smtp.sock.settimeout(timeouts["command"])
            if settings.EMAIL_USE_TLS:
                self._smtp.starttls(context=ssl.create_default_context())
            self._smtp.ehlo_or_helo_if_needed()
            if settings.EMAIL_HOST_USER:
                self._smtp.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
            self._used, self._sent = time.monotonic(), 0
        return self._smtp

    def _alive(self):
        if time.monotonic() - self._used < IDLE:
            return True
        if self._announced:
            return False  # it waits for a message, and takes every command for one
        try:
            return self._smtp.noop()[0] == 250
        except (smtplib.SMTPException, OSError):
            return False

    def close(self):
        if self._smtp:
            self._smtp.close()
        self._smtp, self._announced, self._heard = None, None, b""

    def rest(self):
        """Keep the connection for later; a message that was announced and does not come is taken back by hanging up."""
        if self._announced:
            self.close()
