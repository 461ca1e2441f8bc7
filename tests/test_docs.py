"""The clause table names what exists, and every clause that decisions cite."""

import importlib
import re
from functools import reduce
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "CLAUSES.md").read_text().splitlines()
    if line.startswith("| §")
]


def exists(name):
    """Return whether a dotted name is a module of ours or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        try:
            reduce(getattr, parts[length:], module)
        except AttributeError:
            return False
        return True
    return False


def test_the_clause_table_names_what_is_there():
    for _clause, _asks, enforced, shown in TABLE:
        for name in re.findall(r"`((?:privacy_office|audit|customers|consent|mailings|disclosures)\.[\w.]+)`", enforced):
            assert exists(name), name
        for path in re.findall(r"`(tests/[\w/.]+)`", shown):
            assert (ROOT / path).exists(), path


def test_what_is_enforced_is_shown_by_a_test():
    for clause, _asks, enforced, shown in TABLE:
        assert bool(shown) == ("`" in enforced), clause


def test_every_clause_that_the_code_cites_is_in_the_table():
    cited = set()
    for app in ("privacy_office", "audit", "customers", "consent", "mailings", "disclosures"):
        for path in (ROOT / app).rglob("*.py"):
            cited |= set(re.findall(r"§\d(?:\.\d\w?)?", path.read_text()))
    assert cited <= {row[0] for row in TABLE}


def test_the_readme_lists_every_refusal_of_the_gate_and_every_rule():
    readme, source = (ROOT / "README.md").read_text(), (ROOT / "consent" / "gate.py").read_text()
    reasons = set(re.findall(r'Decision\(False, "(\w+)"', source)) | set(re.findall(r'"(address_\w+|no_\w+)"', source))
    assert not {reason for reason in reasons if f"`{reason}`" not in readme}
