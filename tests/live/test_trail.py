"""The audit trail of a working office: sealed by its own workers, verified as a whole, and whole again after a sealer was killed."""

import subprocess
import sys
import time
from datetime import date

import pytest

from tests import exports
from tests.live.conftest import ROOT

pytestmark = pytest.mark.fault


def test_a_trail_of_thousands_verifies_after_sealers_were_killed_at_any_moment(office, tmp_path):
    exports.write(tmp_path, 3000, date.today())
    office.imported(tmp_path)
    ((waiting,),) = office.query("SELECT count(*) FROM audit_unsealed")
    assert waiting > 5000
    for pause in (0.8, 1.2, 1.6, 2.0, 2.4):  # while it starts, reads, signs, writes, and afterwards
        sealer = subprocess.Popen([sys.executable, ROOT / "manage.py", "seal_audit"], env=office.env, stdout=subprocess.DEVNULL)
        time.sleep(pause)  # not a wait for anything: the moment of the kill
        sealer.kill()
        sealer.wait()
    office.manage("seal_audit")
    said = office.json("verify_audit")
    assert said["ok"] and said["entries"] == office.query("SELECT count(*) FROM audit_entry")[0][0] - 1, "all but its own"
    assert said["rows"] >= waiting - 100


def test_workers_seal_what_the_office_does_within_a_minute(office):
    office.staff()
    with office.worker():
        end = time.monotonic() + 60
        while office.query("SELECT count(*) FROM audit_unsealed") != [(0,)]:
            assert time.monotonic() < end
            time.sleep(0.2)
    assert office.query("SELECT count(*) > 0 FROM audit_checkpoint") == [(True,)]
    assert office.json("verify_audit")["ok"]
    assert (office.folder / "anchors.jsonl").read_text().count("\n") == office.query("SELECT count(*) FROM audit_checkpoint")[0][0]
