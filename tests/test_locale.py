"""Every word we show is in both catalogues, whole, and compiled: a machine without gettext shows what the .po files say."""

import ast
import gettext
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation.template import templatize

from tests.test_house_rules import ROOT, sources, tree
from tests.test_letters import ADVERTISING, make_letter, parts

LANGUAGES = ["vi", "en"]
CALLS = {f"{kind}gettext{lazy}" for kind in ("", "n", "p", "np") for lazy in ("", "_lazy")} | {"_"}
LITERAL = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
IN_TEMPLATE = re.compile(rf"\b(_|n?p?gettext)\(u?{LITERAL}(?:, u?{LITERAL})?")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\w*\}|</?\w+>")
SAME_IN_VIETNAMESE = {"e-mail", "E-mail", "SMS", "Website"}
# What Django translates too: ours comes first, in its own pages as well.
OURS_FIRST = {
    "History": "Django's says 'a note that is kept'",
    "active": "Django's says 'to activate'; here it is a customer's state",
    "Add": "as Django's",
    "Date/time": "as Django's",
    "Home": "as Django's",
    "New password": "as Django's",
    "Password": "as Django's",
    "Remove": "as Django's",
    "Search": "as Django's",
    "name": "as Django's",
    "Show all": "as Django's",
    "password": "as Django's",
    "salt": "as Django's, but for its capital",
}


def key(call, *texts):
    """Return the key of a message in a catalogue: (context, text)."""
    return (texts[0], texts[1]) if "p" in call.removesuffix("_lazy") else ("", texts[0])


def used_in_code(path):
    for node in ast.walk(tree(path)):
        call = isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", ""))
        if call in CALLS:
            texts = [getattr(arg, "value", None) for arg in node.args[: 2 if "p" in call else 1]]
            assert all(isinstance(text, str) for text in texts), f"{path}:{node.lineno}: makemessages finds plain strings alone"
            yield key(call, *texts)


def used_in_template(text):
    for call, *literals in IN_TEMPLATE.findall(templatize(text)):
        yield key(call, *(ast.literal_eval(literal) for literal in literals if literal))


def used():
    for path in sources():
        yield from used_in_code(path)
    for path in (ROOT / "templates").rglob("*.*"):
        yield from used_in_template(path.read_text())


def read(language):
    """Return {(context, text): (plural or None, [translations], fuzzy)} of a .po file."""
    entries = {}
    for block in catalogue(language, "po").read_text().split("\n\n"):
        parts, name = {}, None
        for line in block.splitlines():
            if match := re.match(r'(msg\S+) (".*")$', line):
                name = match[1]
                parts[name] = ast.literal_eval(match[2])
            elif line.startswith('"'):
                parts[name] += ast.literal_eval(line)
        said = [text for name, text in parts.items() if name.startswith("msgstr")]
        fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
        if "msgid" in parts:
            entries[parts.get("msgctxt", ""), parts["msgid"]] = (parts.get("msgid_plural"), said, fuzzy)
    return entries


def catalogue(language, ending):
    return ROOT / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def compiled(path):
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_of_code_and_templates_is_translated(language):
    entries = read(language)
    missing = set(used()) - set(entries)
    assert not missing, "run makemessages and translate"
    assert not {key for key, (_plural, said, fuzzy) in entries.items() if fuzzy or not all(said)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_and_tags_are_those_of_the_source(language):
    for (_context, text), (plural, said, _fuzzy) in read(language).items():
        for translated in said if text else ():
            assert Counter(PLACEHOLDER.findall(translated)) == Counter(PLACEHOLDER.findall(plural or text)), translated


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language):
    expected = {}
    for (context, text), (plural, said, _fuzzy) in read(language).items():
        name = f"{context}\4{text}" if context else text
        expected |= {(name, number): form for number, form in enumerate(said)} if plural else {name: said[0]}
    assert compiled(catalogue(language, "mo")) == expected, "run compilemessages"


def test_english_says_what_the_source_says_and_vietnamese_does_not():
    english, vietnamese = read("en"), read("vi")
    assert set(english) == set(vietnamese)
    assert all(said in ([text], [text, plural]) for (_context, text), (plural, said, _fuzzy) in english.items() if text)
    assert {text for (_context, text), (_plural, said, _fuzzy) in vietnamese.items() if text in said and text} == SAME_IN_VIETNAMESE


def test_no_word_of_djangos_own_pages_is_changed_by_accident():
    django, theirs = Path(find_spec("django").origin).parent, set()
    for app in ("conf", "contrib/admin", "contrib/auth"):
        theirs |= set(compiled(django / app / "locale" / "vi" / "LC_MESSAGES" / "django.mo"))
    assert {text for context, text in read("vi") if text and not context} & theirs == set(OURS_FIRST)


def test_a_new_string_is_found_wherever_it_stands(tmp_path):
    code = tmp_path / "code.py"
    code.write_text('_("one")\nx = f"{gettext_lazy(\'two\')}"\ntranslation.pgettext("of three", "three")\nngettext("four", "fours", n)')
    assert set(used_in_code(code)) == {("", "one"), ("", "two"), ("of three", "three"), ("", "four")}
    template = (
        '{% load i18n %}{% translate "one" %}{% translate "two" context "of two" %}{{ _("three (3)") }}'
        "{% blocktranslate count n=x %}{{ n }} four{% plural %}{{ n }} fours{% endblocktranslate %}"
        "{% blocktranslate %}it's {{ five }}{% endblocktranslate %}"
    )
    assert set(used_in_template(template)) == {("", "one"), ("of two", "two"), ("", "three (3)"), ("", "%(n)s four"), ("", "it's %(five)s")}
    code.write_text('_(f"{x}")')
    with pytest.raises(AssertionError, match="plain strings"):
        list(used_in_code(code))


SPOT = [("vi", "Quý khách có thể từ chối", "Từ chối nhận: Khuyến mãi"), ("en", "You may refuse these messages", "Refuse: Promotions")]


@pytest.mark.parametrize(("language", "in_letter", "on_page"), SPOT)
def test_a_customer_is_written_to_in_the_customers_language(language, in_letter, on_page):
    with translation.override("en" if language == "vi" else "vi"):  # the worker's own language does not matter
        for part in parts(make_letter(locale=language)):
            assert in_letter in part
    with translation.override(language):
        page = render_to_string("mailings/unsubscribe.html", {"purpose": ADVERTISING})
    assert on_page in page
    assert f'<html lang="{language}">' in page
