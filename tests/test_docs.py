"""The documents name what exists: the clause table every clause that decisions cite, the security document a test for each control."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.utils import translation

from privacy_office.clauses import CLAUSES

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


def test_the_clause_table_is_that_of_the_admins_page():
    assert [(clause, asks) for clause, asks, *_rest in TABLE] == [(clause.number, clause.asks) for clause in en(CLAUSES)]
    assert {row[0] for row in TABLE if row[2] == "not yet"} == {clause.number for clause in CLAUSES if clause.checks is None}


def en(clauses):
    with translation.override("en"):
        return [clause._replace(asks=str(clause.asks)) for clause in clauses]


def test_what_is_enforced_is_shown_by_a_test():
    for clause, _asks, enforced, shown in TABLE:
        assert bool(shown) == ("`" in enforced), clause


def test_every_clause_that_the_code_cites_is_in_the_table():
    cited = set()
    for app in ("privacy_office", "audit", "customers", "consent", "mailings", "disclosures"):
        for path in (ROOT / app).rglob("*.py"):
            cited |= set(re.findall(r"§\d(?:\.\d\w?)?", path.read_text()))
    assert cited <= {row[0] for row in TABLE}


def test_the_overview_lists_every_refusal_of_the_gate():
    overview, source = (ROOT / "docs" / "OVERVIEW.md").read_text(), (ROOT / "consent" / "gate.py").read_text()
    reasons = set(re.findall(r'Decision\(False, "(\w+)"', source)) | set(re.findall(r'"(address_\w+|no_\w+)"', source))
    assert not {reason for reason in reasons if f"`{reason}`" not in overview}


def test_the_operators_document_names_commands_and_files_that_are_there():
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    commands = set(re.findall(r"\bmanage (\w+)", text)) | set(re.findall(r"`(\w+_\w+)`(?: \(|[ ,.;:])", text))
    named = {command for command in commands if command in get_commands() or f"manage {command}" in text} - {"COMMAND"}
    assert len(named) > 8 and not named - get_commands().keys()
    files = set(re.findall(r"\bdeploy/[\w.\-]+", text + (ROOT / "README.md").read_text()))
    assert not {path for path in files if not (ROOT / path).exists()}
    assert not {path.name for path in (ROOT / "deploy").glob("*.service") if f"`{path.stem}`" not in text}


@pytest.mark.parametrize("name", ["SECURITY.md", "ACCESS.md"])
def test_documents_name_tests_and_documents_that_are_there(name):
    text = (ROOT / "docs" / name).read_text()
    paths = set(re.findall(r"`((?:tests|docs)/[\w/.]+)", text))
    assert paths and not {path for path in paths if not (ROOT / path).exists()}


def test_every_control_of_the_security_document_is_shown_by_a_test():
    rows = [line.strip("|").split("|") for line in (ROOT / "docs" / "SECURITY.md").read_text().splitlines() if line.count("|") == 4]
    controls = [row for row in rows if row[0].strip() not in ("threat", "---")]
    assert len(controls) > 15 and not [row[0] for row in controls if "`tests/" not in row[2]]
