"""Gives a test run servers and keys of its own, before Django's settings are read. Leaves nothing, and never uses the office's keys.

Loaded by `-p tests.servers`, as a conftest would be too late; the workers of pytest-xdist inherit the controller's environment, and take
a database each: of PostgreSQL's pytest-django sees to that.
"""

import atexit
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from privacy_office import embedded, keys

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in the background of a script, and so every process started here would have it: none could be told to end by Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if "PYTEST_XDIST_WORKER" not in os.environ:
    ending = ExitStack()
    atexit.register(ending.close)
    ending.enter_context(embedded.servers(throwaway=True, durable=False))
    folder = Path(tempfile.mkdtemp(prefix="po-keys-"))
    ending.callback(shutil.rmtree, folder, ignore_errors=True)
    keys.make(folder)
    # As values too: a developer's .env must not come before them.
    os.environ.update({name: (folder / name).read_text().strip() for name in keys.NAMES}, KEYS_DIR=str(folder))
    os.environ["AUDIT_ANCHORS"] = str(folder / "anchors.jsonl")
    os.environ["ERASURE_JOURNAL"] = str(folder / "erasures.jsonl")
else:
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    url = urlsplit(os.environ["REDIS_URL"])
    own = url._replace(query=f"db={number}") if url.scheme == "unix" else url._replace(path=f"/{number}")
    os.environ["REDIS_URL"] = own.geturl()
