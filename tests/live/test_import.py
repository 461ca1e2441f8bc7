"""The company's untidy export, from the files to the audience."""

import csv
import subprocess
import sys
from datetime import date

import pytest

from tests import exports
from tests.live.conftest import ROOT

pytestmark = pytest.mark.fault


def test_an_untidy_export_gives_the_audience_that_its_files_plainly_say(office, tmp_path):
    export = exports.write(tmp_path, 20_000, date.today())
    first = office.imported(tmp_path)
    assert first["customers"]["created"] == len(export.taken)
    assert first["customers"]["rejected"] == export.rejected
    assert first["services"]["rejected"] == 2
    assert first["consents"]["rejected"] == 7
    for purpose in exports.PURPOSES:
        assert set(office.manage("audience", purpose, "--refs").split()) == export.allowed(purpose)

    second = office.imported(tmp_path)
    for kind in ("customers", "services", "consents"):
        assert second[kind]["created"] == second[kind]["amended"] == 0
        assert second[kind]["unchanged"] == first[kind]["created"]
        assert second[kind]["rejected"] == first[kind]["rejected"]
    assert office.query("SELECT count(*) FROM audit_entry WHERE action = 'customer.enrol'") == [(len(export.taken),)]

    with (tmp_path / "rejected.csv").open(encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    assert {row["field"] for row in rejected} >= {"email", "phone", "customer_ref", "expires_on", "purpose", "decided_at", "policy_version"}
    assert not [value for value in export.personal for row in rejected if value in row["reason"]]


def test_a_killed_import_is_finished_by_running_it_again(office, tmp_path):
    export = exports.write(tmp_path, 5000, date.today())
    command = [sys.executable, ROOT / "manage.py", "import_customers", "--customers", tmp_path / "customers.csv"]
    killed = subprocess.Popen(command, env=office.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (taken := office.query("SELECT count(*) FROM customers_customer")[0][0]):
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    summary = office.imported(tmp_path)["customers"]
    assert 0 < taken <= summary["unchanged"] < len(export.taken)
    assert summary["unchanged"] + summary["created"] == len(export.taken)


def test_a_dry_run_writes_nothing(office, tmp_path):
    exports.write(tmp_path, 200, date.today())
    summary = office.json("import_customers", "--customers", tmp_path / "customers.csv", "--dry-run")
    assert summary["customers"]["created"] > 100
    assert office.query("SELECT count(*) FROM customers_customer") == [(0,)]


@pytest.mark.parametrize(
    "content,said",
    [
        (b"ref,full_name\r\nKH1,A\r\n", "the header lacks email"),
        (b"ref,full_name,email,shoe_size\r\n", "unknown columns: shoe_size"),
        (b"ref,full_name,email,email\r\n", "names a column twice"),
        (b"", "the header lacks ref, full_name, email"),
        ("ref,full_name,email\r\nKH1,Bình,b@example.com\r\n".encode("utf-16"), "not a CSV file in UTF-8"),
        (b"ref,full_name,email\r\nKH1,An,an@example.com\r\nKH2,\xff\xfe,b@example.com\r\n", "not a CSV file in UTF-8"),
    ],
)
def test_an_unreadable_file_is_refused_as_a_whole(office, tmp_path, content, said):
    (tmp_path / "customers.csv").write_bytes(content)
    done = office.manage("import_customers", "--customers", tmp_path / "customers.csv", check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert office.query("SELECT count(*) FROM customers_customer") == [(0,)]


def test_an_import_without_the_file_says_so_in_one_line(office, tmp_path):
    done = office.manage("import_customers", "--customers", tmp_path / "none.csv", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "No such file" in done.stderr
