"""The reader of a real Maildir is killed at each step, and at random moments: every mail counts once, and none is lost."""

import random
import subprocess
import sys
import time
from mailbox import Maildir

import pytest

from tests.arrived import letter
from tests.live.conftest import ROOT

pytestmark = pytest.mark.fault
PEOPLE = 40
# Where the reader dies: it is the real one, told to kill itself as it comes there for the third time.
STEPS = {
    "before a mail is read": "inbox.Maildir.read",
    "before anything is written": "incoming.take",
    "with everything written and nothing committed": "audit.record",
    "after the commit, before the mail is gone": "inbox.Maildir.done",
    "after the mail is gone": "inbox.Maildir.done+",
}
DYING = """
import os, signal, sys
import django
django.setup()
from audit import models as audit
from mailings import inbox, incoming

where, after = sys.argv[1].rstrip("+"), sys.argv[1].endswith("+")
owner, name = where.rpartition(".")[::2]
owner = {{"inbox.Maildir": inbox.Maildir, "incoming": incoming, "audit": audit}}[owner]
real, times = getattr(owner, name), [0]

def dying(*args, **kwargs):
    counts = name != "record" or args[0] == "mail.read"
    times[0] += counts
    if counts and times[0] == 3 and not after and name != "record":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(*args, **kwargs)
    if counts and times[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

setattr(owner, name, dying)
inbox.read(60)
"""


@pytest.fixture
def maildir(office, tmp_path):
    """A Maildir with one mail of each customer."""
    rows = "".join(f"K{number},Khách {number},k{number}@example.org\n" for number in range(PEOPLE))
    (tmp_path / "customers.csv").write_text("ref,full_name,email\n" + rows)
    office.json("import_customers", "--customers", tmp_path / "customers.csv")
    office.env["INCOMING_MAILDIR"] = str(tmp_path / "Maildir")
    made = Maildir(office.env["INCOMING_MAILDIR"], create=True)
    for number in range(PEOPLE):
        made.add(letter(f"k{number}@example.org", f"Thư {number}"))
    return made


def killed(office, *words):
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=office.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def counted(office):
    """Return how many mails have a mark, how many requests there are, and of how many customers."""
    requests = "SELECT count(*), count(DISTINCT customer_id) FROM customers_supportrequest"
    return office.query("SELECT count(*) FROM mailings_incomingmail")[0] + office.query(requests)[0]


def test_a_mail_counts_once_wherever_the_reader_dies(office, maildir):
    office.env["DJANGO_SETTINGS_MODULE"] = "privacy_office.settings"
    for number, step in enumerate(STEPS.values()):
        dying = killed(office, "-c", DYING.format(), step)
        assert dying.wait(60) == -9, step
        marks, requests, customers = counted(office)
        assert marks == requests == customers, step
        assert 0 < marks < PEOPLE, number
    office.json("read_mail")
    assert counted(office) == (PEOPLE, PEOPLE, PEOPLE)
    assert len(maildir) == 0
    entries = office.query("SELECT count(*) FROM audit_entry WHERE action IN ('mail.read', 'support.receive')")
    assert entries == [(2 * PEOPLE,)]
    assert office.query("SELECT count(*) FROM customers_notice") == [(PEOPLE,)]


def test_a_mail_counts_once_where_the_reader_dies_at_random_moments(office, maildir):
    for _ in range(8):
        reader = killed(office, "manage.py", "read_mail")
        time.sleep(random.uniform(0.8, 2.2))
        reader.kill()
        reader.wait()
    office.json("read_mail")
    assert counted(office) == (PEOPLE, PEOPLE, PEOPLE)
    assert len(maildir) == 0
