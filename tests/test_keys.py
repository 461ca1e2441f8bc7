"""A key that is missing, weak, malformed or another database's stops the start, and no message shows it."""

import base64
import itertools
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from customers.models import Customer
from privacy_office import keys
from privacy_office.models import Canary

ROOT = Path(__file__).resolve().parent.parent
GOOD = {name: new() for name, (new, _) in keys.NAMES.items()}


def base64_of(raw):
    return base64.urlsafe_b64encode(raw).decode()


WEAK_32_BYTES = {
    "empty": "",
    "short": base64_of(os.urandom(16)),
    "long": base64_of(os.urandom(64)),
    "constant": base64_of(bytes(32)),
    "typed by hand": base64_of(b"secretsecretsecretsecretsecretse"),
    "no base64": "*" * 44,
    "not ascii": "khoá" * 11,
}
WEAK = {
    "SECRET_KEY": {
        "empty": "",
        "short": "Ab1-" * 12,
        "constant": "a" * 64,
        "Django's placeholder": "django-insecure-" + GOOD["SECRET_KEY"],
    },
    **{
        name: {
            **WEAK_32_BYTES,
            "a comma": ",",
            "second is weak": f"{GOOD[name]},weak",
            "third is constant": f"{GOOD[name]},{GOOD['AUDIT_SIGNING_KEY']},{base64_of(bytes(32))}",
            "one twice": f"{GOOD[name]},{GOOD['AUDIT_SIGNING_KEY']},{GOOD[name]}",
            "with a semicolon": f"{GOOD[name]};{GOOD['AUDIT_SIGNING_KEY']}",
        }
        for name in keys.LISTS
    },
}


@pytest.fixture(autouse=True)
def no_key_given(monkeypatch, tmp_path):
    for name in keys.NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("KEYS_DIR", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(name, value, id=f"{name}: {why}") for name, cases in WEAK.items() for why, value in cases.items()]
)
def test_a_weak_or_malformed_key_is_refused_by_name_and_never_by_value(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is weak") as refusal:
        keys.read(name)
    assert len(value) < 2 or value not in str(refusal.value)


@pytest.mark.parametrize("name", keys.LISTS)
def test_several_keys_are_taken_newest_first(name, monkeypatch):
    other = base64_of(bytes(range(100, 132)))
    monkeypatch.setenv(name, f" {GOOD[name]} ,\n{other}, ")
    assert keys.split(keys.read(name)) == [GOOD[name], other]


def test_two_index_keys_that_their_digests_would_not_tell_apart_are_refused(monkeypatch):
    ours = GOOD["BLIND_INDEX_KEY"]
    like_ours = next(key for key in map(base64_of, map(os.urandom, itertools.repeat(32))) if keys.version(key) == keys.version(ours))
    monkeypatch.setenv("BLIND_INDEX_KEY", f"{like_ours},{ours}")
    with pytest.raises(ImproperlyConfigured, match=r"^BLIND_INDEX_KEY is weak"):
        keys.read("BLIND_INDEX_KEY")


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(list(keys.NAMES)[1:], 2)))
def test_one_key_for_two_purposes_is_refused_by_their_names(one, other, monkeypatch):
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    if one in keys.LISTS:
        monkeypatch.setenv(one, f"{GOOD[one]},{GOOD[other]}")
    else:
        monkeypatch.setenv(one, GOOD[other])
    with pytest.raises(ImproperlyConfigured, match=" share a key: ") as refusal:
        keys.read_all()
    assert {one, other} <= set(str(refusal.value).split())
    assert GOOD[other] not in str(refusal.value)


@pytest.mark.parametrize("name", keys.NAMES)
def test_a_missing_key_is_refused_by_name(name):
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is missing"):
        keys.read(name)


@pytest.mark.parametrize("name", keys.NAMES)
def test_a_key_may_lie_in_a_file_that_the_environment_names(name, monkeypatch, tmp_path):
    (tmp_path / "key").write_text(GOOD[name] + "\n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "key"))
    assert keys.read(name) == GOOD[name]


def test_a_key_file_that_is_not_there_is_refused_without_looking_further(monkeypatch, tmp_path):
    keys.make(tmp_path)
    monkeypatch.setenv("KEYS_DIR", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "elsewhere"))
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is missing"):
        keys.read("SECRET_KEY")


def test_a_key_file_that_is_no_text_is_refused_by_name(monkeypatch, tmp_path):
    (tmp_path / "key").write_bytes(b"\xff" * 32)
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        keys.read("SECRET_KEY")


def test_made_keys_are_strong_and_readable_by_their_owner_alone(monkeypatch, tmp_path):
    folder = tmp_path / "keys"
    keys.make(folder)
    monkeypatch.setenv("KEYS_DIR", str(folder))
    assert all(keys.read(name) for name in keys.NAMES)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_making_keys_never_overwrites_one(tmp_path):
    (tmp_path / "SECRET_KEY").write_text("mine")
    keys.make(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    keys.make(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    assert before["SECRET_KEY"] == "mine"


CELERY = ["-m", "celery", "-A", "privacy_office"]
WAYS_IN = {
    "manage.py": ["manage.py", "check"],
    "shell": ["manage.py", "shell", "-c", "print('in')"],
    "rotate_keys": ["manage.py", "rotate_keys"],
    "wsgi": ["-c", "import privacy_office.wsgi"],
    "worker": [*CELERY, "worker", "--concurrency", "1"],
    "beat": [*CELERY, "beat", "--pidfile="],
}

# Starts with another key: real processes against this test's database, whose canary `setup` made.


@pytest.fixture
def start(db, settings):
    """Return a function that runs Python with other keys in its environment on the test's database."""
    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"]))
    own = {
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEY": ",".join(settings.FIELD_ENCRYPTION_KEY),
        "BLIND_INDEX_KEY": ",".join(settings.BLIND_INDEX_KEY),
        "AUDIT_SIGNING_KEY": ",".join(settings.AUDIT_SIGNING_KEY),
    }

    def run(*arguments, **others):
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "privacy_office.settings", "DATABASE_URL": url, **own, **others}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )

    return run


@pytest.mark.parametrize("name", ["FIELD_ENCRYPTION_KEY", "BLIND_INDEX_KEY"])
@pytest.mark.parametrize("way_in", WAYS_IN.values(), ids=WAYS_IN)
def test_a_start_with_another_key_is_refused_by_name(start, tmp_path, name, way_in):
    schedule = ["--schedule", str(tmp_path / "beat")] if "beat" in way_in else []
    started = start(*way_in, *schedule, **{name: GOOD[name]})
    assert started.returncode != 0
    assert f"{name} does not fit this database" in started.stdout + started.stderr
    assert GOOD[name] not in started.stdout + started.stderr


@pytest.mark.parametrize("way_in", ["wsgi", "worker", "beat"])
def test_a_start_whose_keys_cannot_be_checked_is_refused(start, tmp_path, way_in):
    schedule = ["--schedule", str(tmp_path / "beat")] if way_in == "beat" else []
    started = start(*WAYS_IN[way_in], *schedule, DATABASE_URL="postgresql://office:a-password@127.0.0.1:9/office")
    assert started.returncode != 0
    assert "OperationalError" in started.stdout + started.stderr
    assert "a-password" not in started.stdout + started.stderr


@pytest.mark.parametrize("name", keys.LISTS)
def test_a_rotated_list_of_keys_starts_as_long_as_it_holds_the_old_one(start, settings, name):
    rotated = ",".join([GOOD[name], *getattr(settings, name)])
    started = start("-c", "import privacy_office.wsgi", **{name: rotated})
    assert started.returncode == 0, started.stderr


@pytest.mark.parametrize("way_in", [WAYS_IN["manage.py"], WAYS_IN["worker"]], ids=["manage.py", "worker"])
def test_a_start_with_one_weak_key_among_several_is_refused_by_name(start, settings, way_in):
    started = start(*way_in, FIELD_ENCRYPTION_KEY=",".join([*settings.FIELD_ENCRYPTION_KEY, base64_of(bytes(32))]))
    assert started.returncode != 0
    assert "FIELD_ENCRYPTION_KEY is weak" in started.stdout + started.stderr
    assert settings.FIELD_ENCRYPTION_KEY[0] not in started.stdout + started.stderr


def test_a_start_with_one_key_for_two_purposes_is_refused(start, settings):
    started = start("manage.py", "check", FIELD_ENCRYPTION_KEY=f"{settings.FIELD_ENCRYPTION_KEY[0]},{settings.BLIND_INDEX_KEY[0]}")
    assert started.returncode != 0
    assert "FIELD_ENCRYPTION_KEY and BLIND_INDEX_KEY share a key" in started.stderr


@pytest.mark.django_db
def test_a_database_that_lost_its_canary_is_refused_where_it_holds_customers():
    Canary.objects.all().delete()
    Canary.check_keys()  # an office before its set-up
    Customer.objects.enrol([Customer(ref="ann", full_name="Ann", email="ann@example.org")], by=None, source="test")
    with pytest.raises(ImproperlyConfigured, match="The canary is gone"):
        Canary.check_keys()


@pytest.mark.django_db
def test_a_canary_under_another_key_is_refused_in_this_process_too():
    Canary.check_keys()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE privacy_office_canary SET token = %s", [Fernet(Fernet.generate_key()).encrypt(b"x").decode()])
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEY does not fit"):
        Canary.check_keys()
