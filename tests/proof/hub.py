"""What the proofs of sync share: clones of one bare remote, a git whose network fails, and the bytes of a user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from proof.witness import bytes_of
from support import BIN, Done, Json, Shell, git

_GIT = """#!/bin/bash
# git. What goes over the network is late by up to LATE ms; of it FLAKY percent fail before, as many after the server
# did it, in silence, and as many come to the server twice.
words=("$@")
while [[ ${{words[0]}} == -[Cc] ]]; do words=("${{words[@]:2}}"); done  # the options of git itself
case ${{words[0]}} in push|fetch|ls-remote) ;; *) exec {real} "$@" ;; esac
dice=$((RANDOM % 100)) said=$(mktemp {scratch}/said.XXXXXXXX)
((LATE)) && sleep "$(printf 0.%03d $((RANDOM % LATE)))"
((dice < FLAKY)) && {{ echo "fatal: the line is cut" >&2; exit 128; }}
((dice >= 100 - FLAKY)) && {real} "$@" >/dev/null && echo "${{words[0]}}" >>{scratch}/repeated
{real} "$@" >"$said"; status=$?
grep '^!' "$said" >>{scratch}/rejected
((dice < 2 * FLAKY)) && exit 128
cat "$said"
exit $status
"""


class Hub:
    """A bare remote, the clones of it, and what its network did."""

    def __init__(self, path: Path, clones: int) -> None:
        self.path, self._scratch = path / "hub.git", path / "bin"
        self._scratch.mkdir()
        wrapper = self._scratch / "git"
        wrapper.write_text(_GIT.format(real=shutil.which("git"), scratch=self._scratch))
        wrapper.chmod(0o755)
        git("init", "-q", "--bare", "-b", "main", str(self.path), cwd=path)
        self.clones = [Clone(path / f"clone-{number}", self._scratch) for number in range(clones)]

    def rejected(self) -> list[str]:
        """The refs of the rejected pushes, but for the arbiter's, where it is the rule."""
        file = self._scratch / "rejected"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if "refs/coord/arbiter" not in line]

    def repeated(self) -> int:
        """How many pushes, fetches and looks came to the server twice."""
        file = self._scratch / "repeated"
        return len(file.read_text().split()) if file.exists() else 0

    def settle(self) -> list[bytes]:
        """Sync all clones until nothing moves any more; what all of them replay then."""
        moved = True
        while moved:
            done = at_once(self.clones, "ev sync")
            assert all(one.status in (0, 1) for one in done), [one.err for one in done]
            moved = any(one.one["received"] or one.one["sent"] for one in done)
        replays = {bytes_of(clone, "ev replay") for clone in self.clones}
        assert len(replays) == 1, "two replicas hold the same and replay it in two ways"
        return replays.pop().split(b"\n")[:-1]


class Clone(Shell):
    """A clone of the hub with a store, `agent:NAME` in it, and the failing git before the real one."""

    def __init__(self, path: Path, wrapper: Path) -> None:
        path.mkdir()
        super().__init__(path)
        self.name = path.name
        self.env |= {"PATH": f"{wrapper}:{BIN}:{os.environ['PATH']}", "COORD_AGENT": self.name}
        self.env |= {"FLAKY": "0", "LATE": "0"}
        git("init", "-q", "-b", "main", cwd=path)
        git("remote", "add", "origin", "../hub.git", cwd=path)
        (path / "coord.toml").write_text('[sync]\nremote = "origin"\n')
        (path / "file").write_text("begin\n")
        git("add", ".", cwd=path)
        git("commit", "-qm", "begin", cwd=path)
        self("ev init && ev trust")

    def held(self) -> dict[str, int]:
        """The segments of the store, and their sizes."""
        return {
            str(path): path.stat().st_size
            for path in (self.cwd / ".coord/journal").glob("*/*.jsonl")
        }

    def theirs(self) -> dict[str, tuple[object, ...]]:
        """All that is the user's, .git and the work tree: each directory and file, when it changed, and its bytes."""
        found: dict[str, tuple[object, ...]] = {}
        for above, directories, files in os.walk(self.cwd):
            if ".coord" in directories:
                directories.remove(".coord")
            for path in (above, *(os.path.join(above, name) for name in files)):
                info = os.lstat(path)
                data = Path(path).read_bytes() if path != above else b""
                found[path] = (info.st_ino, info.st_mode, info.st_mtime_ns, data)
        return found


def at_once(clones: Sequence[Shell], line: str, **env: Any) -> list[Done]:
    """Run it in each of them (one may be there twice) at the same time; how each ended."""
    with ThreadPoolExecutor(len(clones)) as threads:
        return list(threads.map(lambda clone: clone(line, expect=None, **env), clones))


def events(lines: Sequence[bytes], kind: str) -> list[Json]:
    """Those of a type among replayed lines."""
    import json

    return [json.loads(line) for line in lines if b'"type":"%s"' % kind.encode() in line]
