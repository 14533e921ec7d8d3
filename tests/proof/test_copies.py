"""A store that is copied while it is written, and one that is set back to a backup.

Tried: `cp -a` again and again while several agents write; the repository's store replaced by an older copy of itself
after others have its events, then synced.

A failure would mean that a copy cannot be opened or writes in the name of the first, or that a restored backup loses
what others have, or gives a token twice.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from proof.hub import Hub, at_once
from proof.witness import bad_lines
from support import Shell, check_invariants, open_store


def writers(shell: Shell) -> set[str]:
    return {one["writer"] for one in shell("ev replay").lines}


def test_a_copy_of_a_store_in_use_opens_and_is_another_replica(
    shell: Shell, tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    copies, acked, over = 12 if long else 2, list[str](), threading.Event()
    shell("wk new First")

    def write(number: int) -> None:
        while not over.is_set():
            drafts = "".join(f'{{"type":"copy.passed","body":{{"n":{n}}}}}\n' for n in range(100))
            acked.extend(shell(f"ev emit --as w{number} -o id", drafts).out.split())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    torn = events = 0
    try:
        for number in range(copies):
            before, place = list(acked), tmp_path / f"copy-{number}"
            shell(f"cp -a . {place}")
            copy = Shell(place)
            copied = {one["event_id"] for one in copy("ev replay").lines}
            assert set(before) <= copied, "an event that was printed before is not in the copy"
            torn, events = torn + len(bad := bad_lines(copy)), events + len(copied)
            assert all(one["reason"] == "torn" or "torn" in json.dumps(one) for one in bad), bad
            known = writers(copy)
            assert copy("wk new 'In the copy' --as w0").one["writer"] not in known, (
                "it writes as the first"
            )
            assert len(copy("wk ls").lines) == 2
            check_invariants(open_store(place), bad_at_most=len(bad))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    say(
        f"copies: {copies} of a store in use, {events:,} events in them, {torn} torn lines reported"
    )


def test_a_restored_backup_loses_nothing_and_gives_no_token_twice(
    tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    rounds = 8 if long else 1
    hub = Hub(tmp_path, 2)
    one, two = hub.clones
    item = one("wk new Wanted -o id").out.strip()
    store, backup, acked, tokens = one.cwd / ".coord", tmp_path / "backup", list[str](), list[int]()
    for _ in range(rounds):
        at_once((one, two), "ev sync")
        shutil.rmtree(backup, ignore_errors=True)
        shutil.copytree(store, backup, symlinks=True)
        acked += one("ev emit a.b -o id", '{"type":"a.b"}\n' * 5).out.split()
        claim = one(f"wk claim {item}").one
        tokens.append(claim["$token"])
        acked += [claim["event_id"], one(f"wk release {item} -o id").out.strip()]
        one("ev sync")
        two("ev sync")
        shutil.rmtree(store)
        shutil.copytree(backup, store, symlinks=True)
        acked += one("ev emit after.restore -o id").out.split()
        claim = one(f"wk claim {item}").one  # it has not heard of the first claim any more
        tokens.append(claim["$token"])
        acked += [claim["event_id"], one(f"wk release {item} -o id").out.strip()]
        one("ev sync", expect=None)
        one("ev sync", expect=None)
        two("ev sync", expect=None)
        claim = two(f"wk claim {item}").one
        tokens.append(claim["$token"])
        acked += [claim["event_id"], two(f"wk release {item} -o id").out.strip()]
        two("ev sync", expect=None)
    hub.settle()
    for clone in (one, two):
        stored = {event["event_id"] for event in clone("ev replay").lines}
        assert set(acked) <= stored, "the backup took printed events away"
    say(
        f"backups: {rounds} restored, {len(acked)} events printed, none lost; tokens {tokens}",
        acked=len(acked),
        lost=0,
    )
    assert len(set(tokens)) == len(tokens), f"a token was given twice: {tokens}"
