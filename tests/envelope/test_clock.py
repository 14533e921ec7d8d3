"""Ids never go back, and are ULIDs to anyone else."""

from __future__ import annotations

import json

import ulid
from hypothesis import given
from hypothesis import strategies as st
from support import SPEC

from coord_envelope import ids

STAMPS = st.integers(0, (1 << 64) - 2)
MOMENTS = st.integers(0, (1 << 48) - 2)


@given(STAMPS, st.binary(min_size=8, max_size=8))
def test_an_id_is_a_ulid_with_our_stamp_in_it(stamp: int, randomness: bytes) -> None:
    event_id = ids.mint(stamp, randomness)
    assert ids.valid(event_id)
    assert ids.stamp_of(event_id) == stamp
    assert event_id == str(ulid.ULID(stamp.to_bytes(8, "big") + randomness))


@given(st.lists(MOMENTS, min_size=1), STAMPS.filter(lambda s: s < 1 << 63))
def test_ticks_increase_whatever_the_wall_clock_does(moments: list[int], last: int) -> None:
    for now in moments:
        stamp = ids.tick(last, now)
        assert stamp > last
        assert stamp >> 16 >= now
        last = stamp


@given(MOMENTS)
def test_a_wall_clock_that_moved_on_is_followed_with_counter_0(now: int) -> None:
    assert ids.tick((now << 16) - 1, now) == now << 16


def test_the_counters_overflow_adds_a_millisecond() -> None:
    assert ids.tick((7 << 16) + 0xFFFF, 7) == 8 << 16


@given(STAMPS, STAMPS)
def test_ids_sort_as_their_stamps(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert ids.mint(low, b"\xff" * 8) < ids.mint(high, b"\0" * 8) or low == high


def test_only_canonical_ulids_are_valid() -> None:
    good = ids.mint(1 << 60, bytes(8))
    assert ids.valid(good)
    for bad in (
        good.lower() + "x",
        good[:-1],
        good + "0",
        "8" + good[1:],
        "I" + good[1:],
        good[:-1] + "U",
        7,
        None,
    ):
        assert not ids.valid(bad)


def test_the_spec_vectors_of_ids() -> None:
    for line in (SPEC / "vectors/ids.jsonl").read_text().splitlines():
        vector = json.loads(line)
        assert ids.mint(vector["stamp"], bytes.fromhex(vector["random"])) == vector["id"]
        assert (
            ids.stamp_of(vector["id"]) == vector["stamp"] == vector["ms"] << 16 | vector["counter"]
        )


def test_a_key_that_is_too_long_is_not_that_of_another_text() -> None:
    assert ids.key("k" * 256) == "k" * 256
    first, second = (ids.key("é" * 300 + end) for end in "ab")
    assert first != second
    assert len(first) == len(second) == 256
