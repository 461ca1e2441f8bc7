"""The order of the house: apps form one line, edges sit on top, and what a model keeps it keeps by its own verbs."""

import ast
from graphlib import TopologicalSorter
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from simple_history.models import HistoricalChanges

from privacy_office.querysets import TrackedQuerySet
from privacy_office.roles import ROLES

ROOT = Path(__file__).resolve().parent.parent
LINE = ["privacy_office", "audit", "customers", "consent", "mailings", "disclosures"]
# What an edge may import beside domain modules; everything in this table is an edge.
EDGES = {
    "accounts": set(),
    "adapters": {"accounts"},
    "admin": {"accounts", "admin", "clauses", "dashboard", "errors", "forms", "tasks"},
    "apps": set(),
    "clauses": set(),
    "bootstrap": {"embedded", "supervisor"},
    "commands": {"accounts", "bootstrap", "commands", "demo", "embedded", "forms", "supervisor", "tasks"},
    "dashboard": {"dashboard", "health", "metrics"},
    "demo": set(),
    "embedded": {"servers"},
    "errors": set(),
    "forms": {"accounts"},
    "gunicorn": set(),
    "health": set(),
    "mailbox": {"forms"},
    "metrics": {"health"},
    "middleware": {"accounts", "errors"},
    "my": {"accounts"},
    "servers": set(),
    "settings": set(),
    "supervisor": {"embedded"},
    "tasks": {"health"},
    "urls": {"admin", "errors", "health", "mailbox", "metrics", "views"},
    "views": {"accounts", "errors", "forms", "my", "tasks", "views"},
    "wsgi": set(),
}
LATE_IMPORTS = {}  # {"app/module.py:function": why it cannot stand at the top}
NAMES_THAT_SAY_NOTHING = {"services", "selectors", "managers", "utils", "helpers", "mixins", "common", "misc"}


def sources():
    found = [p.relative_to(ROOT) for app in LINE for p in (ROOT / app).rglob("*.py")]
    return sorted(p for p in found if "migrations" not in p.parts)


def tree(path):
    return ast.parse((ROOT / path).read_text())


def module(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def edge(name):
    """Return what kind of edge a module is, None for a domain module."""
    parts = name.split(".")[1:]
    return next((part for part in parts if part in EDGES), None)


def imported(path):
    """Yield the modules of ours that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in LINE:
                yield name if is_module(name) else name.rpartition(".")[0]


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def broken(me, other):
    """Return why module `me` may not import module `other`, or None."""
    kind, theirs = edge(me), edge(other)
    if kind:
        return f"{kind} may not import {theirs}" if theirs and theirs not in EDGES[kind] else None
    if theirs:
        return "a domain module imports an edge"
    if LINE.index(other.split(".")[0]) > LINE.index(me.split(".")[0]):
        return "a domain module imports a higher app"
    return None


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_follow_the_order_of_the_house(path):
    assert not {name: why for name in imported(path) if (why := broken(module(path), name))}


@pytest.mark.parametrize(
    ("me", "other"),
    [
        ("privacy_office.fields", "audit.models"),
        ("audit.models", "customers.models"),
        ("customers.models", "consent.models"),
        ("consent.gate", "mailings.models"),
        ("mailings.models", "mailings.tasks"),
        ("mailings.models", "customers.forms"),
        ("mailings.postman", "mailings.mailbox"),
        ("customers.models", "privacy_office.embedded"),
        ("mailings.tasks", "mailings.admin"),
        ("mailings.forms", "mailings.views"),
        ("mailings.views", "privacy_office.management.commands.setup"),
    ],
)
def test_the_rule_bites(me, other):
    assert broken(me, other)


@pytest.mark.parametrize(
    ("me", "other"),
    [
        ("customers.admin", "consent.gate"),
        ("customers.admin", "privacy_office.admin"),
        ("mailings.admin", "mailings.tasks"),
        ("mailings.models", "consent.gate"),
        ("disclosures.models", "mailings.models"),
        ("mailings.views", "customers.forms"),
        ("privacy_office.management.commands.setup", "mailings.models"),
    ],
)
def test_the_rule_allows(me, other):
    assert not broken(me, other)


def test_domain_modules_import_each_other_in_no_circle():
    graph = {module(p): set(imported(p)) - {module(p)} for p in sources() if not edge(module(p))}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("consent.models") < order.index("consent.gate") < order.index("mailings.models")


def late_imports(path):
    for function in ast.walk(tree(path)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from (f"{path}:{function.name}" for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom))


def test_nothing_is_imported_inside_a_function():
    assert {where for path in sources() for where in late_imports(path)} == set(LATE_IMPORTS)


def assigned(path):
    """Yield the lines that set a `.status` or `.state`."""
    for node in ast.walk(tree(path)):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        flat = [t for target in targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])]
        if any(isinstance(t, ast.Attribute) and t.attr in ("status", "state") for t in flat):
            yield node.lineno


@pytest.mark.parametrize("path", [p for p in sources() if "models" not in p.with_suffix("").parts], ids=str)
def test_only_models_set_a_status(path):
    assert not list(assigned(path))


def test_no_module_has_a_name_that_says_nothing():
    assert not {p for p in sources() if p.stem in NAMES_THAT_SAY_NOTHING}


def test_every_module_says_in_its_first_line_what_it_is_for():
    assert not {str(p) for p in sources() if p.name != "apps.py" and tree(p).body and not ast.get_docstring(tree(p))}


# Models

WITHOUT_HISTORY = {
    "Staff": "Django keeps it; a history would keep password hashes, and every change leaves an entry",
    "StaffNotice": "an outbox row: written once, then marked as sent",
    "SavedFilter": "a member's own link; each leaves an entry when it is kept and when it is deleted",
    "Canary": "made once, never changed",
    "Entry": "append-only: it is the record",
    "Unsealed": "a queue of the entries that wait for a checkpoint",
    "Checkpoint": "append-only: it is the record",
    "Verification": "written once",
    "RetentionRun": "written once",
    "Evidence": "written once, blanked at erasure",
    "Attachment": "written once, blanked at erasure",
    "Anomaly": "written once",
    "EmailChange": "each step leaves an entry; its addresses are taken away after a week, and a history would keep them",
    "Notice": "an outbox row: written once, then marked as posted",
    "Link": "written once, then marked as spent; both leave entries",
    "Session": "written once, then marked as seen and ended; beginning and end leave entries",
    "AccessRequest": "a question that waits for seconds; the answer leaves an entry",
    "Reminder": "written once",
    "ConsentEvent": "append-only: it is the record",
    "ConsentState": "a projection of the consent events",
    "ConsentCount": "a projection of the consent events, by day",
    "Suppression": "a projection of the consent events, by address",
    "Approach": "asked once and made once, each with its entry",
    "AdvertisingContacts": "a counter of the last 24 hours",
    "SignUp": "written once, then confirmed or ended; each leaves an entry",
    "Acknowledgement": "append-only: it is the record",
    "Announcement": "how far a task is; each batch leaves an entry",
    "IncomingMail": "a mark: written once",
    "Message": "an outbox row; every outcome leaves an entry",
    "MessageCount": "a projection of the outbox, by day",
    "RelayState": "a counter of the last minute, and of failures in a row",
    "RenewalItem": "written once",
    "RenewalRun": "written once",
    "DryRun": "asked once and counted once, each with its entry",
    "Document": "written once",
    "PermissionEvent": "append-only: it is the record",
    "Disclosure": "append-only: it is the record",
    "Package": "ciphertext on its way out; every step leaves an entry",
}


def ours():
    return [m for m in apps.get_models() if m._meta.app_label in LINE and not issubclass(m, HistoricalChanges)]


@pytest.mark.parametrize("model", ours(), ids=lambda m: m.__name__)
def test_every_model_has_history_or_a_reason_for_none(model):
    assert hasattr(model, "history") != (model.__name__ in WITHOUT_HISTORY)
    if hasattr(model, "history"):
        assert isinstance(model.objects.all(), TrackedQuerySet), "update() would leave no history"
        assert model.history.model._meta.pk.get_internal_type() == "BigAutoField"


def test_foreign_keys_point_left():
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if field.many_to_one and field.concrete and model._meta.app_label in LINE and field.related_model._meta.app_label in LINE:
                assert LINE.index(field.related_model._meta.app_label) <= LINE.index(model._meta.app_label), field


def bulk_writes(path):
    """Yield (model's name, line) of every bulk write that is not the one of simple-history."""
    for cls in [None, *(n for n in ast.walk(tree(path)) if isinstance(n, ast.ClassDef))]:
        for node in ast.walk(cls or tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("bulk_create", "bulk_update"):
                of = node.func.value
                if isinstance(of, ast.Name) and of.id in ("self", "super") and cls:
                    yield cls.name.removesuffix("QuerySet"), node.lineno
                elif isinstance(of, ast.Attribute) and of.attr == "objects":
                    yield of.value.id, node.lineno


def test_rows_with_history_are_written_in_bulk_with_history_alone():
    tracked = {m.__name__ for m in ours() if hasattr(m, "history")}
    assert not {(str(path), *write) for path in sources() for write in bulk_writes(path) if write[0] in tracked}


def test_every_field_that_staff_see_tells_what_it_is():
    seen = {label.replace("historical", "") for rights in ROLES.values() for label in rights}
    silent = {
        f"{model.__name__}.{field.name}"
        for model in ours()
        if model._meta.label_lower in seen
        for field in model._meta.concrete_fields
        # Not the number, not an index nobody sees, not what Django's own user has.
        if not (field.help_text or field.primary_key or hasattr(field, "source") or field.model is not model or model.__name__ == "Staff")
    }
    assert not silent


@pytest.mark.django_db
def test_migrations_are_complete():
    said = StringIO()
    try:
        call_command("makemigrations", check=True, dry_run=True, stdout=said)
    except (SystemExit, CommandError):
        pytest.fail(said.getvalue())
