"""gunicorn's own lines in the office's words: its master process reads no settings, and would write down a broken request as it came."""

from gunicorn import glogging

from privacy_office import logs


class Logger(glogging.Logger):
    def _set_handler(self, log, output, fmt, stream=None):
        super()._set_handler(log, output, logs.Formatter(), stream)
