"""Who may go where: docs/ACCESS.md says it, every address is tried as everybody, and what differs fails. No page shows a person.

After a change that is meant, WRITE_ACCESS=1 ./test tests/test_access.py writes the table anew; git diff then shows what it opened.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from django.db import transaction
from django.shortcuts import resolve_url
from django.test import Client

from tests.walk import SECRETS, VISITORS, Links, make_office, make_visitor, payload, sign_in, walk

TABLE = Path(__file__).resolve().parent.parent / "docs" / "ACCESS.md"
NOTHING, LED_ON, SEES, ACTS, ONLY_ACTS = "·", "on", "see", "act", "act only"
MOST = 60  # pages that one visitor's crawl looks at, beyond the addresses themselves
# What differs each time a page is made; and the switch of the language, which an answer to a form has not.
CHANGING = (r'name="csrfmiddlewaretoken" value="\w+"', r'<time class="clock.*?</time>', r'<form method="post" action="/language/.*?</form>')
TOKEN = re.compile("|".join(CHANGING), re.DOTALL)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]


def said(answer):
    """Return an answer as text; of a file, what can be read of it."""
    return answer.content.decode("utf-8", "replace")


class Tour:
    """One visitor at every address, looking and posting; what a form changed is undone."""

    def __init__(self, visitor):
        self.client, self.member = Client(), make_visitor(visitor)
        self.sign_in_pages = {resolve_url(url) for url in (settings.LOGIN_URL, "admin:login", "customers:sign_in")}
        self.body = urlencode(payload(), doseq=True)
        self.linked = set()
        self.walked = walk()
        self.cells = {line: self.cell(urls) for line, urls in self.walked.items()}

    def get(self, url):
        if self.member:
            sign_in(self.client, self.member)
        return self.checked(self.client.get(url), url)

    def post(self, url, body):
        with transaction.atomic():
            answer = self.client.post(url, body, "application/x-www-form-urlencoded")
            transaction.set_rollback(True)
        if self.member and answer.status_code == 302:
            session = self.client.session  # not undone with the rest: its message would stand on the next page
            if session.pop("_messages", None):
                session.save()
        return self.checked(answer, url)

    def checked(self, answer, url):
        """Return an answer that is no failure and shows nobody, after noting where it leads."""
        method = answer.request["REQUEST_METHOD"]
        assert answer.status_code < 500, f"{method} {url}"
        assert not [secret for secret in SECRETS if secret in said(answer) + str(answer.headers)], f"{method} {url} shows a person"
        if answer.headers["Content-Type"].startswith("text/html"):
            self.linked |= Links(url, answer.text).found
        return answer

    def led_on(self, answer):
        return answer.status_code in (301, 302) and urlsplit(answer.url).path not in self.sign_in_pages

    def cell(self, urls):
        """Return what the visitor may do at one line's addresses: the most that any of the rows allows."""
        found = set()
        for url in urls:
            if ACTS not in found:
                found.add(self.at(url))
        return next(cell for cell in (ACTS, ONLY_ACTS, SEES, LED_ON, NOTHING) if cell in found)

    def at(self, url):
        looked = self.get(url)
        if self.led_on(looked):
            return LED_ON
        sees = looked.status_code == 200
        for body in ("", self.body):
            posted = self.post(url, body)
            read = posted.status_code == 200 and not (sees and TOKEN.sub("", said(posted)) == TOKEN.sub("", said(looked)))
            if read or self.led_on(posted):
                return ACTS if sees else ONLY_ACTS
            if posted.status_code in (302, 403, 405):
                break  # refused whatever it says
        return SEES if sees else NOTHING

    def crawl(self):
        """Look at what the pages link to beside these addresses, and at what those link to, as far as `MOST`."""
        seen = {url for urls in self.walked.values() for url in urls}
        while len(seen) < MOST + len(self.walked):
            waiting = {link for link in self.linked - seen if not link.startswith("/static/") and "logout" not in link}
            if not waiting:
                break
            url = min(waiting)
            seen.add(url)
            self.get(url)
        return seen


def written():
    """Return {line: its cells} of the table in the file."""
    rows = [[word.strip() for word in row.strip("|").split("|")] for row in TABLE.read_text().splitlines() if row.startswith("| `/")]
    return {row[0].strip("`"): row[1:] for row in rows}


def write(columns):
    """Write the table anew, the words above it kept; `columns` is {visitor: {line: cell}}."""
    words = TABLE.read_text().partition("\n| address")[0]
    head = ["address", *columns]
    lines = sorted(next(iter(columns.values())))
    rows = [head, ["---"] * len(head), *([f"`{line}`", *(column[line] for column in columns.values())] for line in lines)]
    TABLE.write_text(words + "\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")


@pytest.mark.skipif("WRITE_ACCESS" not in os.environ, reason="WRITE_ACCESS=1 asks for it")
def test_write_the_table():
    make_office()
    write({visitor: Tour(visitor).cells for visitor in VISITORS})


def test_the_table_has_a_line_for_every_address_and_no_other():
    make_office()
    there, told = set(walk()), set(written())
    assert not there - told, f"addresses that docs/ACCESS.md does not tell of: {sorted(there - told)}"
    assert not told - there, f"lines of docs/ACCESS.md without an address: {sorted(told - there)}"


@pytest.mark.walk
@pytest.mark.parametrize("visitor", VISITORS)
def test_everybody_gets_as_far_as_the_table_says_and_no_page_or_link_shows_a_person(visitor):
    make_office()
    tour = Tour(visitor)
    told = {line: cells[VISITORS.index(visitor)] for line, cells in written().items()}
    differ = [f"{line}: the table says {told.get(line)}, it is {cell}" for line, cell in tour.cells.items() if told.get(line) != cell]
    assert not differ, "\n".join(["WRITE_ACCESS=1 writes docs/ACCESS.md anew, once these are as they should be:", *differ])
    assert tour.crawl() > {"/", "/admin/"}
