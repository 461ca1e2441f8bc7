#!/usr/bin/env python3
"""Runs one command of the office, on servers of its own where none is named, in the .venv that ./run made where it is needed."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv" / "bin" / "python"

if importlib.util.find_spec("django") is None and VENV.exists():
    os.execv(VENV, [str(VENV), *sys.argv])

import environ  # noqa: E402  (these are there only now)
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402

from audit.unrecorded import Unrecorded  # noqa: E402
from privacy_office import embedded, logs  # noqa: E402


def main():
    environ.Env.read_env(ROOT / ".env")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")
    sys.excepthook = logs.hook
    try:
        with embedded.servers():
            execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, Unrecorded, embedded.Unavailable) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
