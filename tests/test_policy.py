"""A policy version is drafted, published once and never changed; whoever changes a purpose says so."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from audit.models import Entry
from consent.models import PolicyVersion
from tests.make import make_policy, make_staff

GIVEN_POLICY = Path(__file__).resolve().parents[2] / "shared" / "policy" / "privacy_policy.vi.txt"


@pytest.fixture
def text(tmp_path):
    """Return a function that writes a text to a file."""

    def write(words, encoding="utf-8"):
        path = tmp_path / "policy.txt"
        path.write_text(words, encoding=encoding)
        return path

    return write


def load(path, *options, number=1, language="vi"):
    out = StringIO()
    call_command("load_policy", str(path), f"--number={number}", f"--language={language}", *options, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_publishing_leaves_an_entry_a_version_and_a_digest():
    officer = make_staff("officer")
    policy = make_policy(1)
    assert (policy.published_at is not None, len(policy.digest)) == (True, 64)
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor, entry.detail["digest"]) == ("policy.publish", f"staff:{officer.pk}", policy.digest)
    assert policy.history.latest("history_id").history_user == officer


@pytest.mark.django_db
def test_a_published_version_is_neither_drafted_nor_published_again():
    policy = make_policy(1)
    for verb in (lambda p: p.draft(by=None, text_vi="x"), lambda p: p.publish(by=None)):
        with pytest.raises(ValidationError):
            verb(PolicyVersion.objects.get(pk=policy.pk))
    assert PolicyVersion.objects.get().text_vi == policy.text_vi


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "why"),
    [({"text_vi": ""}, "no text"), ({"severity": "major"}, "names no purpose"), ({"number": 1}, "an older number")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_version_is_not_published_with(fields, why):
    make_policy(2)
    with pytest.raises(ValidationError):
        make_policy(**{"number": 3, **fields})


@pytest.mark.django_db
def test_what_was_shown_is_known_by_the_digest_of_its_language():
    policy = make_policy(1, text_vi="Chính sách", text_en="Policy")
    assert len({policy.shown_digest("vi"), policy.shown_digest("en"), policy.digest}) == 3
    only = make_policy(2, text_vi="Chính sách")
    assert only.shown_digest("en") == only.shown_digest("vi") == policy.shown_digest("vi")


# load_policy


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_is_loaded_and_published(text, encoding):
    said = load(text("Chính sách\n", encoding), "--publish")
    policy = PolicyVersion.objects.get()
    assert (policy.number, policy.text_vi, policy.published_at is not None) == (1, "Chính sách", True)
    assert policy.digest in said


@pytest.mark.django_db
@pytest.mark.parametrize("options", [[], ["--publish"]], ids=["draft", "published"])
def test_the_same_text_may_be_loaded_again(text, options):
    load(text("Chính sách"), *options)
    entries = Entry.objects.count()
    load(text("Chính sách"), *options)
    assert PolicyVersion.objects.count() == 1
    assert Entry.objects.count() == entries


@pytest.mark.django_db
def test_another_text_under_a_published_number_is_refused(text):
    load(text("Chính sách"), "--publish")
    with pytest.raises(CommandError):
        load(text("Chính sách khác"), "--publish")
    assert PolicyVersion.objects.get().text_vi == "Chính sách"


@pytest.mark.django_db
def test_a_draft_takes_both_languages_and_is_then_published(text):
    load(text("Chính sách"))
    load(text("Policy"), "--publish", language="en")
    policy = PolicyVersion.objects.get()
    assert (policy.text_vi, policy.text_en, policy.published_at is not None) == ("Chính sách", "Policy", True)


@pytest.mark.django_db
def test_a_major_version_names_the_purposes_it_changes(text):
    load(text("Chính sách"), "--publish")
    with pytest.raises(CommandError):
        load(text("Mới"), "--severity=major", "--publish", number=2)
    load(text("Mới"), "--severity=major", "--changes", "promotions", "surveys", "--publish", number=2)
    assert {p.code for p in PolicyVersion.objects.get(number=2).changes.all()} == {"promotions", "surveys"}


@pytest.mark.django_db
def test_a_failed_load_leaves_nothing(text):
    with pytest.raises(CommandError, match="unknown purpose: gifts"):
        load(text("Mới"), "--changes", "gifts")
    with pytest.raises(CommandError):
        load(text("Mới"), "--severity=major", "--publish")
    assert not PolicyVersion.objects.exists()


@pytest.mark.django_db
def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "policy.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("policy.txt", "nothing.txt"):
        with pytest.raises(CommandError, match=f"{name} cannot be read"):
            load(tmp_path / name)


@pytest.mark.django_db
@pytest.mark.skipif(not GIVEN_POLICY.exists(), reason="the published policy does not lie beside this checkout")
def test_the_given_policy_is_loaded_as_it_is():
    load(GIVEN_POLICY, "--publish")
    assert PolicyVersion.objects.get().text_vi == GIVEN_POLICY.read_text(encoding="utf-8-sig").strip()
