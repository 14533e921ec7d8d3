"""A repository with a merge queue, branches to land, and what must be true of it afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

from proof.land_batches import Batch, poisoned
from proof.witness import Watched
from support import Json, Shell, git

from coord_envelope.bodies import check_body

GATE = """\
grep -ls poison file* >&2 && exit 1
[ "$(grep -ls half file* | wc -l)" -lt 2 ] || exit 1
echo "$(ls test* | wc -l) tests passed"
"""
SETTINGS = """\
[land]
protect = ["gate.sh"]
[[land.gate]]
run = ["sh", "gate.sh"]
proof = '^([0-9]+) tests passed$'
[patrol]
overseer = "human:eve"
"""
ENDS = ("land.landed", "land.rejected", "land.withdrawn")


class Town:
    """A repository whose `main` has a queue."""

    def __init__(self, shell: Shell, settings: str = SETTINGS) -> None:
        self.shell, self.cwd = shell, shell.cwd
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.commit(
            "base", {"coord.toml": settings, "gate.sh": GATE, "test1": "x", "README": "1\n"}
        )
        self.main = self.tip()

    @classmethod
    def at(cls, shell: Shell, like: Town) -> Town:
        """A copy of another one."""
        town = cls.__new__(cls)
        town.shell, town.cwd, town.main = shell, shell.cwd, like.main
        return town

    def git(self, *words: str) -> str:
        return git(*words, cwd=self.cwd).strip()

    def tip(self, ref: str = "main") -> str:
        return self.git("rev-parse", ref)

    def commit(self, subject: str, files: dict[str, str | None]) -> str:
        """Commit files on what is checked out; None removes one."""
        for name, text in files.items():
            if text is None:
                (self.cwd / name).unlink()
            else:
                (self.cwd / name).write_text(text)
        self.git("add", "-A", "--", *files)
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.tip("HEAD")

    def branch(self, name: str, files: dict[str, str | None], base: str = "main") -> str:
        """A branch with one commit; nothing stays checked out of it."""
        self.git("checkout", "-q", "-B", name, base)
        commit = self.commit(f"Change {name}", files)
        self.git("checkout", "-q", "main")
        return commit

    def add(self, name: str, words: str = "") -> str:
        """The id of a request."""
        return self.shell(f"coord-land add {name} {words} -o id").out.strip()

    def ask(self, name: str, files: dict[str, str | None], words: str = "") -> str:
        """A branch, and a request for it."""
        self.branch(name, files)
        return self.add(name, words)

    def land(self, now: str | None = None) -> list[Json]:
        """What a queue writes until it is empty."""
        return self.shell(f"{f'COORD_NOW={now} ' if now else ''}coord-land run --once").lines

    def events(self, kind: str = "land.*") -> list[Json]:
        return self.shell(f"ev replay --type '{kind}'").lines

    def ends(self) -> dict[str, str]:
        """Branch → how its request ended, and why."""
        rows = self.shell("coord-land ls --all").lines
        return {
            row["branch"]: ":".join(filter(None, (row["status"], row.get("why")))) for row in rows
        }

    def wait(self, kind: str, count: int) -> None:
        """Wait for so many events of a type, those that are there included."""
        with Watched(self.shell, f"ev tail -f -n 100 --type {kind}") as tail:
            for _ in range(count):
                tail.line(110)

    def runs(self) -> int:
        """How many tests there were."""
        return len(self.events("land.tested"))

    def has(self, name: str) -> bool:
        """Is a file in main?"""
        return name in self.git("ls-tree", "--name-only", "main").split()

    def land_subset(self, count: int, mask: int) -> None:
        """Land so many branches; those of the mask are culprits, leave, and are not in main."""
        for at in range(count):
            self.ask(f"b{at}", {f"file{at}": "poison" if mask >> at & 1 else "good"})
        self.land()
        for at in range(count):
            bad = bool(mask >> at & 1)
            assert self.ends()[f"b{at}"] == ("rejected:gate" if bad else "landed")
            assert self.has(f"file{at}") == (not bad), (at, self.git("log", "--graph", "main"))
        culprits = {str(at) for at in range(count) if mask >> at & 1}
        assert self.runs() == Batch(count).demand(poisoned(culprits), culprits), "no test too many"
        self.check()

    def check(self, where: Path | None = None) -> None:
        """Every commit that main was has passed as exactly that commit; each request has one end."""
        events = self.events()
        for event in events:
            check_body(event["type"], event["body"])
        passed = {e["body"]["commit"] for e in events if e["body"].get("outcome") == "pass"}
        moves = git("reflog", "show", "--format=%H %gs", "main", cwd=where or self.cwd).splitlines()
        landed = [move.split(" ")[0] for move in moves if move.split(" ", 1)[1].startswith("push")]
        assert set(landed) <= passed, "what landed was not tested as it is"
        requests = {event["event_id"] for event in events if event["type"] == "land.requested"}
        ended = [event["body"]["request"] for event in events if event["type"] in ENDS]
        assert sorted(ended) == sorted(requests), "each request ends once"
        refs = git("for-each-ref", "refs/land", "refs/heads/coord-land", cwd=where or self.cwd)
        assert refs == "", "what was kept for requests is removed"
        assert subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=self.cwd).returncode == 0
