"""Each benchmark still runs on the office as it is; whether it reaches its goals is for a machine of its own to say."""

import json
import subprocess
import sys

import pytest

from tests.live.conftest import ROOT

pytestmark = pytest.mark.fault
SMALL = {
    "audit": "--clients 2 --seconds 6 --entries 2000",
    "consent": "--customers 200 --seconds 2",
    "gate": "--customers 1000 --consents 3000 --decisions 2000",
    "import": "--rows 100 --few 50",
    "lighthouse": "--pages front --tries 1",
    "mail": "--messages 100",
    "pages": "--customers 200 --few 100 --looks 3",
    "rotate": "--customers 20",
}


def test_every_benchmark_is_tried():
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert there - {"database", "mail_sink", "mail_post_office"} == set(SMALL), "these three are what others use"


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_to_its_end_and_prints_a_line_of_json(name):
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *SMALL[name].split()]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode in (0, 1), ran.stderr
    said = json.loads((ran.stdout.splitlines() or [ran.stderr])[-1])
    assert said["benchmark"] == name and "reached" in said
