"""What can be done to replicas, and what must be so after each step of it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from proof.replicas import History, Memory, Replica, Stage
from proof.replicas_oracle import Oracle
from support import Done, Json, git

from coord_envelope import world

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the stores stand: what a disk does is not what is tried here."""
SEEN: Counter[str] = Counter()
"""What was done, in all runs."""


class World:
    """Three stores, a backup of each, and the history that only the witness knows."""

    signs = False
    """Do they sign what they give, and believe only what is signed?"""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="replicas-", dir=MEMORY))
        self.ended = contextlib.ExitStack()
        self.ended.callback(shutil.rmtree, self.place)
        self.ended.enter_context(mock.patch.dict(os.environ, {"HOME": str(self.place)}))
        self.ended.enter_context(mock.patch.object(world, "entropy", random.Random(0).randbytes))
        for name in ("COORD_DIR", "COORD_SESSION"):
            os.environ.pop(name, None)
        self.stage = Stage(self.place)
        self.ended.callback(self.stage.close)
        self.history, self.cuts = History(), 0
        self.replicas: list[Replica] = []
        self.backups: dict[int, Memory] = {}

    def sign(self) -> None:
        """Give each store a key, and have it agree to who may write as whom."""
        signers = []
        for replica in self.replicas:
            key = self.place / f"{replica.path.name}.key"
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(make, check=True)
            signers.append(f"*,!bridge:signer {key.with_suffix('.key.pub').read_text()}")
            git("init", "-q", cwd=replica.path)
            git("config", "user.signingkey", f"{key}.pub", cwd=replica.path)
        for replica in self.replicas:
            (replica.path / "signers").write_text("".join(signers))
            settings = 'project = "acme"\n[sync]\nsign = true\nallowed_signers = "signers"\n'
            (replica.path / "coord.toml").write_text(settings)
            done = replica("ev trust")
            assert done.status == 0, done.err

    def act(self, at: int, line: str, *more: str, agent: str = "ada", **given: Any) -> Done:
        """A command, after which everything it printed is on the disk, and nothing that was there is gone."""
        replica = self.replicas[at]
        before = replica.memory.held
        done = replica(line, *more, agent=agent, **given)
        assert done.status in (0, 1, 65), f"{line} {more}: {done.status} {done.err}"
        fresh = self.history.look(replica)
        SEEN["events"] += len(fresh)
        for event in done.lines:
            if event.get("type") == "coord.signed":
                continue
            if "event_id" in event and not event["writer"].endswith("+live"):
                told = self.history.by_id.get(event["event_id"])
                assert told and told.bit & replica.memory.held, f"acked, not there: {event}"
        taken = {
            (one.event["type"], one.event.get("idempotency_key")) for one in self.history.of(before)
        }
        for one in fresh:
            key = (one.event["type"], one.event.get("idempotency_key"))
            assert key[1] is None or key not in taken, f"{key} was used twice in one store"
            taken.add(key)
        return done

    def oracle(self, at: int) -> Oracle:
        return Oracle(self.history.of(self.replicas[at].memory.held))

    def item(self, at: int, which: int) -> str:
        """One of the few newest items that a replica has; it gets one if there is none."""
        found = sorted({item.id for item in self.oracle(at).items.values()})
        return found[-1 - which % len(found)] if found else self.written(self.act(at, "wk new w"))

    def event(self, at: int, which: int, kind: str, line: str) -> str:
        """One of the newest events of a type that a replica has; one that the line makes if there is none."""
        found = [
            one.event["event_id"] for one in self.oracle(at).events if one.event["type"] == kind
        ]
        return found[-1 - which % len(found)] if found else self.written(self.act(at, line))

    def writer(self, event_id: str) -> str | None:
        told = self.history.by_id.get(event_id)
        return told.event["writer"] if told else None

    def written(self, done: Done) -> str:
        return str(done.one["event_id"])

    def read(self, at: int, line: str, name: str, dies: bool, agent: str = "ada") -> None:
        """Read on from a cursor. Who dies before it is saved has read it for nothing, and does so again."""
        replica = self.replicas[at]
        cursors = replica.store / "local/cursors"
        shutil.copytree(cursors, self.place / "cursors", dirs_exist_ok=True)
        printed = replica.memory.printed.setdefault((agent, name), Counter())
        rows = self.act(at, line, name, agent=agent).lines
        ids = [one["event_id"] for one in rows if one["type"] != "coord.signed"]
        if dies:
            shutil.rmtree(cursors)
            shutil.copytree(self.place / "cursors", cursors)
        else:
            printed.update(ids)
        shutil.rmtree(self.place / "cursors")
        forked = {one.name.partition("!")[0] for one in replica.store.glob("journal/*!*")}
        again = [
            one for one, count in printed.items() if count > 1 and self.writer(one) not in forked
        ]
        assert not again, f"printed twice: {again}"  # of a fork both histories are read

    def meet(self, one: int, other: int) -> Json:
        """Sync two stores: both have what either had. Its summary."""
        here, there = self.replicas[one], self.replicas[other]
        both = here.memory.held | there.memory.held
        done = here("ev sync --with", str(there.path))
        assert done.status == 0, done.err
        for replica in (here, there):
            assert self.history.look(replica, came=both) == []
            missing = self.history.of(both & ~replica.memory.held)
            assert not missing, f"did not come: {[told.event['event_id'] for told in missing]}"
        SEEN["syncs"] += 1
        SEEN["forks"] += done.err.count("kept as")
        return done.one

    def cut_off(self, at: int, part: float, newline: bool) -> None:
        """A writer is killed in its write: some of the line is there, and nobody was told."""
        replica = self.replicas[at]
        held = replica.memory.held
        replica("ev emit crash.made --body", '{"text":"half of this"}')
        written = self.history.look(replica)
        assert len(written) == 1, "acked, not there"
        (told,) = written
        (file,) = (one for one in replica.segments() if one.read_bytes().endswith(told.raw + b"\n"))
        end = file.stat().st_size
        begin = end - len(told.raw) - 1
        os.truncate(file, end - 1 if newline else begin + int(part * (end - 2 - begin)))
        replica.memory.held = held
        if newline:
            replica.memory.cut |= told.bit
        else:
            self.history.forget(told)
            self.cuts += 1
        assert self.history.look(replica) == []
        SEEN["crashes"] += 1

    def damage(self, at: int, how: str) -> None:
        """The index is lost, is garbage, or is one that was there before."""
        replica = self.replicas[at]
        older = self.place / f"index{at}"
        now = {file.name: file.read_bytes() for file in replica.store.glob("local/*.sqlite")}
        if how != "older" or older.exists():
            replica.forget()
        if how == "garbage":
            for name in now:
                (replica.store / "local" / name).write_bytes(
                    b"SQLite format 3\0" + bytes(range(256)) * 20
                )
        if how == "older":
            if older.exists():
                shutil.copytree(older, replica.store / "local", dirs_exist_ok=True)
            older.mkdir(exist_ok=True)
            for name, data in now.items():
                (older / name).write_bytes(data)
        SEEN["indexes"] += 1

    def back_up(self, at: int) -> None:
        """What its disk is now, it can be set back to."""
        self.backups[at] = self.replicas[at].saved(self.place / f"backup{at}")
