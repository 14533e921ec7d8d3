"""Which paths of a store are synced, against the grammar of spec/sync.md as a pattern."""

from __future__ import annotations

import random
import re

import pytest

from coord_kernel.sync import layout

WORD = "[a-z0-9][a-z0-9._-]*"
STREAM = (
    r"(?:agent|human|bridge|arbiter)\.(?=[^~]{1,160}~)"
    rf"{WORD}(?:%2f{WORD})*(?:%2f)?~[0-9a-z]{{8}}(?:![0-9a-f]{{8}}(?:[0-9a-f]{{56}})?)?"
)
SEGMENT = re.compile(rf"journal/({STREAM})/([0-9]{{12}})\.jsonl")
BLOB = re.compile(r"blobs/sha256/[0-9a-f]{2}/[0-9a-f]{62}")
DIRECTORY = re.compile(rf"journal|blobs|blobs/sha256|blobs/sha256/[0-9a-f]{{2}}|journal/{STREAM}")
SOUND = (
    "journal/agent.ada~k3f9x2ab/000000000001.jsonl",
    "journal/human.web%2fada.b-_%2f~k3f9x2ab!0123abcd/000000012345.jsonl",
    f"journal/bridge.{'a' * 160}~00000000!{'0f' * 32}/999999999999.jsonl",
    f"blobs/sha256/0f/{'ab' * 31}",
)
PIECES = (
    "~",
    "!",
    "%2f",
    "/",
    ".",
    "%",
    "-",
    "_",
    "0",
    "a",
    "A",
    "\n",
    "\0",
    "é",
    "٣",
    ".jsonl",
    "",
)


def changed(path: str, chance: random.Random) -> str:
    """The path with a few characters inserted, deleted or replaced."""
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(path) + 1)
        path = path[:at] + chance.choice(PIECES) + path[at + chance.randrange(3) :]
    return path


@pytest.mark.parametrize("seed", range(4))
def test_a_path_is_synced_if_the_grammar_has_it(seed: int) -> None:
    chance, found = random.Random(seed), set[bool]()
    for _ in range(20_000):
        path = changed(chance.choice(SOUND), chance)
        if chance.random() < 0.3:
            path = path.rpartition("/")[0]
        segment = SEGMENT.fullmatch(path)
        assert layout.segment(path) == (segment and (segment[1], int(segment[2]))), path
        assert layout.is_blob(path) == bool(BLOB.fullmatch(path)), path
        assert layout.is_directory(path) == bool(DIRECTORY.fullmatch(path)), path
        found.add(bool(segment))
    assert found == {True, False}


def test_a_name_of_more_than_160_characters_is_of_no_stream() -> None:
    for size, sound in ((160, True), (161, False)):
        path = f"journal/agent.{'a' * size}~k3f9x2ab/000000000001.jsonl"
        assert bool(layout.segment(path)) == bool(SEGMENT.fullmatch(path)) == sound
