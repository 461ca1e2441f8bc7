"""What differs between two texts, paragraph by paragraph and word by word, and how a text is laid out. Plain data: pages escape it."""

import re
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

AROUND = 1  # unchanged paragraphs shown beside a changed one
WORDS = re.compile(r"\S+\s*")
MOST_WORDS = 2000  # in one paragraph; a longer one is shown as changed in whole
HEADING = re.compile(r"\d+(\.\d+)*\.?\s+\S.{0,98}[^.;:,\s]")
BULLET = re.compile(r"\s*[•\-–*]\s+")


def paragraphs(text):
    return [line for line in map(str.rstrip, text.splitlines()) if line.strip()]


def layout(text):
    """Return [(kind, words)] of a plain text: its title, headings with a number, lists of items, paragraphs."""
    blocks = []
    for number, line in enumerate(paragraphs(text)):
        if bullet := BULLET.match(line):
            if not blocks or blocks[-1][0] != "list":
                blocks.append(("list", []))
            blocks[-1][1].append(line[bullet.end() :])
        elif number == 0 and len(line) < 100:
            blocks.append(("title", line))
        else:
            blocks.append(("heading" if HEADING.fullmatch(line.strip()) else "paragraph", line.strip()))
    return blocks


@lru_cache(64)  # what was published never changes, and anybody may ask for it
def differences(old, new):
    """Return rows (kind, old pieces, new pieces), where a piece is (changed, words); kind is same, changed, or skipped with a count."""
    a, b, rows = paragraphs(old), paragraphs(new), []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            rows += [("same", [(False, line)], [(False, line)]) for line in a[i1:i2]]
        else:
            rows += [compared(*pair) for pair in matched(a[i1:i2], b[j1:j2])]
    return shortened(rows)


def matched(old, new):
    """Yield pairs of paragraphs, one after the other; None where a side has no more."""
    for number in range(max(len(old), len(new))):
        yield old[number] if number < len(old) else None, new[number] if number < len(new) else None


def compared(old, new):
    """Return one row for two paragraphs, with the words that differ marked."""
    if old is None or new is None:
        return "changed", [(True, old)] if old else [], [(True, new)] if new else []
    a, b = WORDS.findall(old), WORDS.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if max(len(a), len(b)) > MOST_WORDS or matcher.ratio() < 0.4:
        return "changed", [(True, old)], [(True, new)]
    left, right = [], []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if i2 > i1:
            left.append((kind != "equal", "".join(a[i1:i2])))
        if j2 > j1:
            right.append((kind != "equal", "".join(b[j1:j2])))
    return "changed", left, right


def shortened(rows):
    """Return the rows with long runs of unchanged ones folded to their number."""
    changed = [-1 - AROUND, *(number for number, row in enumerate(rows) if row[0] == "changed"), len(rows) + AROUND]
    if len(changed) == 2:
        return []
    kept = []
    for before, after in pairwise(changed):
        run = rows[max(before + 1, 0) : after]
        head, tail = (run[:AROUND] if before >= 0 else []), (run[-AROUND:] if after < len(rows) else [])
        if len(run) > len(head) + len(tail):
            kept += [*head, ("skipped", len(run) - len(head) - len(tail), None), *tail]
        else:
            kept += run
        if after < len(rows):
            kept.append(rows[after])
    return kept
