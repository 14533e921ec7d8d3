"""Whoever can push writes any seq: only a line that joins its stream at a seq has that place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from kernel.test_signing_judge import (
    ADA,
    ARBITER,
    FILE,
    NAME,
    SIGNER,
    SIGNERS,
    Ada,
    judged,
    put,
)

from coord_envelope import Event, event, ids
from coord_kernel.store.directory import Store
from coord_kernel.streams.redaction import Redactions
from coord_kernel.streams.stream import Stream, backwards
from coord_kernel.streams.trusted import OWN, Trusted, loaded
from coord_kernel.sync import seat as seats
from coord_kernel.sync import tree
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, Source
from coord_kernel.sync.live.intake import Intake as LiveIntake
from coord_kernel.sync.live.pending import Pending
from coord_kernel.sync.live.state import State


@pytest.fixture
def store(repo: Path) -> Store:
    (repo / ".coord").mkdir(mode=0o700)
    store = Store(str(repo / ".coord"), "acme", new=True)
    store.save(SIGNERS.encode(), "local", ".git", "allowed_signers")
    return store


def at(place: int, seq: int, writer: str = NAME, kind: str = "a.b", **body: Any) -> bytes:
    """A line whose id fits its place in the file, whatever seq it claims."""
    stamp, head = (1_700_000_000_000 + place) << 16, ("acme", writer, seq)
    draft: Any = {"type": kind, "body": body}
    actor = {"agent_id": "agent:ada"}
    return event.build(draft, ids.mint(stamp, b"%08d" % place), 0, head, actor).raw + b"\n"


def redacting(place: int, seq: int, target: str) -> bytes:
    return at(place, seq, kind="coord.redacted", target=target, reason="secret")


def moving(place: int, seq: int, to: str, forced: bool = False) -> bytes:
    return at(place, seq, ARBITER, seats.MOVED, to=to, forced=forced)


def taken(store: Store, path: str, data: bytes) -> None:
    """Take in a file of an exchange."""
    intake = Intake(store, Held(store))
    intake.take(Source("x", {path: tree.blob_id(data)}, lambda oid, most: data))


def given_live(store: Store, path: str, held: int, data: bytes) -> None:
    """Take in what a live remote has of a file behind what is held."""
    intake = LiveIntake(store, State(store, "x"), Pending(store, "x"))
    intake._segment("x", path, held, data[held:])


CLAIMED: dict[str, tuple[list[int], list[int], int]] = {
    "too great, and refuted by the next one": ([1, 2, 3], [900, 4, 5], 3),
    "too great, twice": ([1, 2, 3], [900, 901, 6], 3),
    "the store's first": ([1, 2, 3], [1], 3),
    "one of the store's, then a great one": ([1, 2, 3], [2, 900, 4, 5], 3),
    "the next one": ([1, 2, 3], [4, 5], 3),
    "one in a hole of the store's": ([1, 2, 5], [3, 4, 5, 6], 2),
    "the last one behind a hole": ([1, 2, 5], [5, 6], 2),
    "its number in the segment, behind a hole": ([1, 5, 6], [900, 5, 6], 1),
    "its number in the segment": ([1, 5, 6], [4, 5, 900, 7, 8], 1),
}
"""The seqs that are held, those that a remote's lines claim, and up to which events stay own."""


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("what", CLAIMED)
def test_no_line_of_a_remote_is_the_stores_own_whatever_seq_it_claims(
    store: Store, what: str, live: bool
) -> None:
    held, claimed, stays = CLAIMED[what]
    with store.lock():
        own = f"agent.ada~{store.replica()}"
    ours = [at(place, seq, own) for place, seq in enumerate(held)]
    theirs = [at(len(held) + place, seq, own) for place, seq in enumerate(claimed)]
    put(store, own, b"".join(ours))
    path, data = f"journal/{own}/{FILE}", b"".join(ours + theirs)
    if live:
        given_live(store, path, len(b"".join(ours)), data)
    else:
        taken(store, path, data)
    assert (Path(store.path) / path).read_bytes() == data and loaded(store, *OWN)
    trusted, read = Trusted(store).refresh(), Stream(store, "journal", own)
    readings: list[list[Any]] = [list(read.read()), list(backwards(Stream(store, "journal", own)))]
    readings += [list(Stream(store, "journal", own).after(seq).read()) for seq in range(1, 9)]
    for item in (item for reading in readings for item in reading if isinstance(item, Event)):
        is_ours = item.raw + b"\n" in ours
        assert not trusted.own(own, item["seq"]) or is_ours, f"{item['seq']} is the remote's"
        assert not is_ours or item["seq"] > stays or trusted.own(own, item["seq"])


def test_a_segment_that_begins_within_another_one_is_not_taken_in(store: Store) -> None:
    """A reader that begins there would find its lines in the place of those that are signed."""
    begin = b"".join(at(seq, seq) for seq in (1, 2, 3))
    within, behind = (f"journal/{NAME}/{first:012d}.jsonl" for first in (2, 4))
    files = {f"journal/{NAME}/{FILE}": begin, within: at(4, 2), behind: at(5, 4)}
    oids = {tree.blob_id(data): data for data in files.values()}
    for names in (files.keys() - {behind}, files.keys() - {within}):
        intake = Intake(store, Held(store))
        source = {path: tree.blob_id(files[path]) for path in names}
        intake.take(Source("x", source, lambda oid, most: oids[oid]))
        assert bool(intake.warnings) is (within in names)
    assert store.listdir("journal", NAME) == [FILE, "000000000004.jsonl"]


@pytest.mark.parametrize("agreed_first", [True, False])
@pytest.mark.parametrize("claims", [1, 2, 3])
def test_a_redaction_that_claims_a_signed_place_hides_nothing(
    store: Store, claims: int, agreed_first: bool
) -> None:
    if not agreed_first:
        os.unlink(Path(store.path) / "local/.git/allowed_signers")
    ada, redactions = Ada(), Redactions(store)
    ada.data = at(1, 1) + at(2, 2)
    one, two = (event.parse(row).id for row in ada.data.split(b"\n")[:2])
    ada.data += (genuine := redacting(3, 3, two))
    forged = redacting(4, claims, one)
    put(store, NAME, ada.data + forged)
    put(store, SIGNER, ada.signs())
    redactions.refresh()
    if not agreed_first:
        assert redactions.targets.keys() == {one, two}, "as ever"
        store.save(SIGNERS.encode(), "local", ".git", "allowed_signers")
    judged(store)
    for _ in range(2):  # from the bytes, and from what is remembered
        assert redactions.refresh().targets.keys() == {two}
        redactions = Redactions(store)
    put(store, NAME, redacting(5, 3, one) + genuine)
    assert redactions.refresh().targets.keys() == {two}
    store.save(f"agent:nobody {ADA}\n".encode(), "local", ".git", "allowed_signers")
    judged(store)
    assert redactions.refresh().targets == {}


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("claims", [1, 2, 3])
def test_a_move_that_claims_a_place_before_or_among_the_signed_moves_nothing(
    store: Store, claims: int, forced: bool
) -> None:
    ada = Ada(file=f"journal/{ARBITER}/{FILE}")
    ada.data = at(1, 1, ARBITER)
    ada.signed = len(ada.data)
    ada.data += moving(2, 2, "here") + at(3, 3, ARBITER)
    put(store, ARBITER, ada.data)
    put(store, SIGNER, ada.signs())
    put(store, ARBITER, moving(4, claims, "mallory", forced))
    judged(store)
    for _ in range(2):
        assert seats.seat(store) == (ARBITER, "here", False)
