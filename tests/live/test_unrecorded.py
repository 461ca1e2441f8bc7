"""While the trail cannot be written a real worker sends nothing and keeps calm, commands say so, and later all of it arrives once."""

from datetime import date

import psycopg
import pytest

from tests import exports
from tests.live.test_sending import addresses, open_messages, wait_until
from tests.test_unrecorded import BREAK, MEND

pytestmark = pytest.mark.fault


def execute(office, sql):
    with psycopg.connect(office.env["DATABASE_URL"]) as db:
        db.execute(sql)


def test_a_real_worker_and_the_commands_wait_for_the_trail_and_then_everything_arrives_once(office, tmp_path):
    made = exports.write(tmp_path, 120, date.today())
    office.imported(tmp_path)
    office.staff()
    due = {ref for ref, days in made.expiring.items() if set(days) & {30, 7, 1}} & made.allowed("service_renewal")

    execute(office, BREAK)
    said = office.manage("create_staff", "dung", "--role", "clerk", check=False)
    assert said.returncode == 1 and said.stderr.count("\n") == 1 and "audit trail" in said.stderr
    assert not office.query("SELECT 1 FROM privacy_office_staff WHERE username = 'dung'")
    execute(office, MEND)

    office.campaign(wait=False)
    office.json("send_renewals")
    execute(office, BREAK)
    with office.worker():
        said = office.manage("send_renewals", "--wait", check=False)
        assert said.returncode == 1 and "audit trail" in said.stderr.splitlines()[-1] and "Traceback" not in said.stderr
        wait_until(lambda: "audit trail" in (tmp_path / "processes.log").read_text())
        assert not office.sink.mails
        assert office.query("SELECT DISTINCT state FROM mailings_message") == [("queued",)]
        execute(office, MEND)
        wait_until(lambda: not open_messages(office), 120)
    assert office.sink.recipients == sorted(addresses(made, made.allowed("promotions")) + addresses(made, due))
    log = (tmp_path / "processes.log").read_text()
    assert "Traceback" not in log and not [value for value in made.personal if value in log]
    assert log.count("audit trail") < 40, "a worker that cannot work does not spin"
