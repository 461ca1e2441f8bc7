"""A real browser before a real web server: what staff and customers see, with every complaint of the browser kept."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.checks import Looks
from tests.live.conftest import ROOT, office, template  # noqa: F401

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture
def site(office):  # noqa: F811
    """The office with its web server; `office.env["BASE_URL"]` says where."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # opened here, so that nobody has to wait until the server is up
        office.env["BASE_URL"] = f"http://localhost:{listening.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "privacy_office.wsgi", "--bind", f"fd://{listening.fileno()}", "--no-control-socket"]
        with (office.folder / "web.log").open("wb") as log:
            web = subprocess.Popen(command, cwd=ROOT, env=office.env, pass_fds=[listening.fileno()], stdout=log, stderr=log)
        try:
            yield office
        finally:
            web.terminate()
            web.wait(20)


@pytest.fixture
def page(site):
    """A page of a browser that reads English. Whatever it complains of, the content policy too, fails the test at its end.

    So does every request to another host, and every cookie but those of a session and of the chosen language.
    """
    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: apt-get install chromium")
    complaints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(base_url=site.env["BASE_URL"], locale="en-GB")
        page.on("console", lambda m: complaints.append(f"{page.url}: {m.text}") if m.type in ("error", "warning") else None)
        ours = (f"{site.env['BASE_URL']}/", "data:", "blob:", "file:", "about:")
        page.on("request", lambda request: None if request.url.startswith(ours) else complaints.append(f"asked elsewhere: {request.url}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("response", lambda response: complaints.append(f"{response.status} {response.url}") if response.status >= 400 else None)
        yield page
        cookies = {cookie["name"] for cookie in page.context.cookies()}
        complaints += [f"a cookie of its own: {name}" for name in cookies - {"session", "csrf", "language", "my"}]
        browser.close()
    assert not complaints


@pytest.fixture
def look(page, tmp_path):
    """Looks at pages: `look.at("/", "front")`, or `look.now("name")` at the one that is open. Any error fails the test."""
    looks = Looks(page, tmp_path)
    yield looks
    looks.end()
