"""Resources: what is one, and which overlap, held against brute force."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from coord_envelope import BadData
from coord_lease.resource import all_parsed, key, near, of_path, overlap, parsed

WORDS = [*"ab?*", *map("".join, itertools.product("ab?*", repeat=2)), "**"]
SEGMENTS = [*"ab", *map("".join, itertools.product("ab", repeat=2))]
PATHS = [
    "/".join(path) for depth in range(1, 5) for path in itertools.product(SEGMENTS, repeat=depth)
]
"""Two patterns of at most 3 words overlap in one of these or nowhere: 2 literal segments each, and 2 characters."""


def matches(pattern: str) -> frozenset[int]:
    """The paths that match, by regular expression: which ones, as numbers."""
    parts = []
    for word in pattern.split("/"):
        inner = "".join({"*": "[^/]*", "?": "[^/]"}.get(c, c) for c in word)
        parts.append("(?:[^/]+/)*" if word == "**" else f"(?=[^/]){inner}/")
    found = re.compile("".join(parts))
    return frozenset(n for n, path in enumerate(PATHS) if found.fullmatch(f"{path}/"))


def test_overlap_is_what_brute_force_says_over_5000_pairs() -> None:
    chance = random.Random(7)
    patterns = {"/".join(chance.choices(WORDS, k=chance.randint(1, 3))) for _ in range(400)}
    matched = [(f"file:{pattern}", matches(pattern)) for pattern in sorted(patterns)]
    pairs = [chance.choices(matched, k=2) for _ in range(5_000)]
    wrong = [(a, b) for (a, in_a), (b, in_b) in pairs if overlap(a, b) != bool(in_a & in_b)]
    assert wrong == []
    assert 500 < sum(overlap(a, b) for (a, _), (b, _) in pairs) < 4_500


def test_what_overlaps_is_found_by_key_over_5000_pairs() -> None:
    """A look-up that missed one would grant what is held."""
    chance = random.Random(8)
    for _ in range(5_000):
        a, b = (f"file:{'/'.join(chance.choices(WORDS, k=chance.randint(1, 3)))}" for _ in "ab")
        exact, (begin, end) = near(a)
        assert not overlap(a, b) or key(b) in exact or begin <= key(b) < end, (a, b)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("file:src/**", "file:src/a.py", True),
        ("file:src/**", "file:src", True),
        ("file:src", "file:src/a.py", False),
        ("file:src/*.py", "file:src/a/b.py", False),
        ("file:src/*.py", "file:src/test_*", True),
        ("file:src/**/test.py", "file:src/test.py", True),
        ("file:**", "file:.git/config", True),
        ("file:a[b]", "file:ab", False),
        ("file:src2/x", "file:src/**", False),
        ("env:staging", "env:stag*", False),
        ("env:file", "file:env", False),
        ("file:a", "work:a", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) == overlap(other, one) == expected


def test_the_longest_patterns_are_compared_in_a_moment() -> None:
    long = "*a" * 120
    assert overlap(f"file:{long}b", f"file:{long}") is False
    assert overlap(f"file:{'*/' * 120}b", f"file:{'**/' * 80}b") is True


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("file:src/**", "file:src/**"),
        ("file:README.md", "file:readme.md"),
        ("file:Straße/E\u0301", "file:strasse/\u00e9"),
        ("port:08080", "port:8080"),
        ("x-gpu:A0", "x-gpu:A0"),
        ("work:acme-2", "work:acme-2"),
    ],
)
def test_a_resource_is_stored_in_one_form(text: str, stored: str) -> None:
    assert parsed(text) == stored == parsed(stored)


@pytest.mark.parametrize(
    "text",
    ["", "src/a.py", "file:", "file:/etc/passwd", "file:a//b", "file:../x", "file:./x", "file:a/", "gpu:0", "x-:0",
     "x-GPU:0", "port:0", "port:65536", "port:http", "port:²", "env:a\nb", f"env:{'x' * 253}", ":"],
)  # fmt: skip
def test_what_is_no_resource_is_refused(text: str) -> None:
    with pytest.raises(BadData):
        parsed(text)


def test_a_lease_has_each_resource_once_and_at_most_32() -> None:
    assert all_parsed(["env:b", "env:a", "env:b"]) == ["env:a", "env:b"]
    with pytest.raises(BadData, match="33 resources"):
        all_parsed([f"env:{n}" for n in range(33)])


def test_a_star_in_a_file_name_is_no_wildcard() -> None:
    assert overlap("file:a*", of_path("a*"))
    assert overlap("file:a?", of_path("A?"))
    assert not overlap("file:ab", of_path("a*"))
    assert not overlap("file:a/b", of_path("a?b"))


@pytest.mark.parametrize(
    ("text", "resources"),
    [
        ("file:lib/{a,b}.py", ["file:lib/a.py", "file:lib/b.py"]),
        ("file:{a,b{c,d}}/{x}/y", ["file:a/{x}/y", "file:bc/{x}/y", "file:bd/{x}/y"]),
        ("file:{{x}}", ["file:{{x}}"]),
        ("file:{a,}b", ["file:ab", "file:b"]),
        ("file:}a{b", ["file:}a{b"]),
        ("port:{80,443}", ["port:443", "port:80"]),
        ("file:Shot 9.41\u202fAM.png", ["file:shot 9.41\u202fam.png"]),
        ("file:a\u00a0b", ["file:a\u00a0b"]),
        (
            "file:family-\U0001f468\u200d\U0001f469.png",
            ["file:family-\U0001f468\u200d\U0001f469.png"],
        ),
        ("file:\u3000\u00ad\u2009", ["file:\u3000\u00ad\u2009"]),
    ],
)
def test_braces_stand_for_words_and_names_are_any_text(text: str, resources: list[str]) -> None:
    assert all_parsed([text]) == resources


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file:{1..3}.py", "the range {1..3} is not expanded"),
        ("file:" + "{a,b}" * 20, "stand for more than 256"),
        ("file:" + "{" * 5000, "exceeds 4,096 characters"),
        ("file:" + "x" * 300, "exceeds 256 bytes"),
        ("file:a\nb", "the control character U+000A"),
        ("file:a\u2028b", "the control character U+2028"),
        ("file:a\u202eb", "the control character U+202E"),
        ("file:a\udcffb", "is not UTF-8"),
    ],
)
def test_a_refusal_names_one_reason(text: str, reason: str) -> None:
    with pytest.raises(BadData, match=re.escape(reason)) as refused:
        all_parsed([text])
    assert ", or " not in refused.value.what


def test_a_path_that_is_no_resource_yet_is_told_how_to_be_one() -> None:
    with pytest.raises(BadData) as refused:
        parsed("src/x.py")
    assert refused.value.todo == "a file is file:src/x.py"
