#!/usr/bin/env python3
"""Runs one command of the office, on servers of its own where none is named."""

import os
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from privacy_office import embedded


def main():
    environ.Env.read_env(Path(__file__).resolve().with_name(".env"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "privacy_office.settings")
    try:
        with embedded.servers():
            execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, embedded.Unavailable) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
