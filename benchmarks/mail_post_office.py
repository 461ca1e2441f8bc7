"""What django-post_office does with as many messages on the same sink: run by benchmarks/mail.py in an environment that has it."""

import os
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

import django
from django.conf import settings

database, port, count = urlsplit(os.environ["DATABASE_URL"]), int(sys.argv[1]), int(sys.argv[2])
host = dict(pair.split("=") for pair in database.query.split("&")).get("host") if database.query else database.hostname
settings.configure(
    INSTALLED_APPS=["post_office"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": database.path[1:], "USER": database.username, "PASSWORD": database.password,
            "HOST": host, "PORT": database.port or "",
        }
    },
    EMAIL_BACKEND="post_office.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=port, DEFAULT_FROM_EMAIL="a@example.org",
    SECRET_KEY="x" * 50,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True, LOGGING_CONFIG=None,
    POST_OFFICE={"BATCH_SIZE": count, "MESSAGE_ID_ENABLED": True, "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}},
)  # fmt: skip
django.setup()
from django.core.management import call_command  # noqa: E402  (only now)
from django.db import OperationalError, connection  # noqa: E402
from post_office import mail  # noqa: E402
from post_office.models import STATUS, Email  # noqa: E402

call_command("migrate", verbosity=0)
text, page = sys.stdin.read().split("\0")
one = {"sender": "a@example.org", "subject": "[QC] Ưu đãi", "message": text, "html_message": page}
mail.send_many([{**one, "recipients": [f"b{number}@example.org"], "headers": {"List-Id": "x"}} for number in range(count)])
start = time.perf_counter()
with suppress(OperationalError):  # its processes close the connection that they inherited, and with it their parent's
    mail.send_queued(processes=4)
connection.close()
seconds = time.perf_counter() - start
assert Email.objects.filter(status=STATUS.sent).count() == count
print(count / seconds)
