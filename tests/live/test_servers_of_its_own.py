"""The main job on a machine where no server is named: every command brings its own, and what they keep tells of nobody."""

import subprocess
from datetime import date

import pytest

from tests import exports
from tests.live.conftest import POLICY, ROOT, Office
from tests.sink import Sink

pytestmark = pytest.mark.fault


@pytest.fixture
def office(tmp_path):
    """An office in a checkout of its own, with nothing in its var/ yet."""
    root = tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        source, target = ROOT / name, root / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    with Sink() as sink:
        yield Office(tmp_path, sink, root=root)


def test_import_campaign_and_renewals_work_and_leave_nothing_personal_in_any_file(office, tmp_path):
    export = exports.write(tmp_path, 150, date.today())
    office.manage("migrate", "-v0")
    office.manage("setup")
    text = POLICY if POLICY.exists() else ROOT / "tests" / "live" / "policy.txt"
    office.manage("load_policy", text, "--number", "1", "--language", "vi", "--publish")
    office.imported(tmp_path)
    office.staff()
    assert set(office.manage("audience", "promotions", "--refs").split()) == export.allowed("promotions")

    promotion, renewals = office.campaign(), office.json("send_renewals", "--wait")
    due = {ref for ref, days in export.expiring.items() if set(days) & {30, 7, 1}} & export.allowed("service_renewal")
    addresses = [export.taken[ref]["email"] for refs in (export.allowed("promotions"), due) for ref in refs]
    assert office.sink.recipients == sorted(addresses)
    assert promotion["sent"] + renewals["sent"] == len(addresses)
    assert office.campaign()["sent"] == office.json("send_renewals", "--wait")["sent"] == 0
    assert len(office.sink.mails) == len(addresses)

    kept = {path.relative_to(office.root): path.read_bytes() for path in (office.root / "var").rglob("*") if path.is_file()}
    kept["commands"] = (office.folder / "commands.log").read_bytes()
    assert sum(map(len, kept.values())) > 10**7  # PostgreSQL's own files, its log of writes included
    assert any("redis" in str(path) for path in kept)
    found = {str(path) for path, content in kept.items() for value in export.personal if value.encode() in content}
    assert not found
