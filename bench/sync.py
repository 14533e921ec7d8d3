"""The cost of a sync: 100 new events on short and long histories, nothing new, and a hop.

    python bench/sync.py [ROUNDS] [SIZE]…

Two stores of each size share a bare remote on the local disk: one sends 100 new events, the other
receives them. Demands: the largest takes at most 1.5 times as long as the smallest; a sync without
news takes at most 2.5 bare Pythons in addition to `git ls-remote`, and makes no commit or push.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import history
import measure
import peers
from measure import PYTHON, Place, Row

SIZES = (history.SIZES[0], history.SIZES[-1])
NEW, GROWTH, QUIET = 100, 1.5, 2.5
EVENTS = b'{"type":"bench.tick","body":{"pad":"' + b"x" * 60 + b'"}}\n'
REFS, HOP = "refs/coord/*", 3.0


class Pair:
    """Two stores of `count` events each, with a remote between them."""

    def __init__(self, scratch: str, count: int) -> None:
        self.remote = f"{scratch}/remote-{count}.git"
        self.giver = _copied(history.place(scratch, count), f"{scratch}/giver-{count}")
        self.giver.run(*peers.program("git"), "init", "--quiet", "--bare", self.remote)
        self.first_s = self.sync(self.giver)
        self.taker = _copied(self.giver, f"{scratch}/taker-{count}")
        self.sync(self.taker)
        self.sync(self.giver)

    def sync(self, place: Place) -> float:
        return place.time(*self.words)

    @property
    def words(self) -> tuple[str, ...]:
        return ("ev", "sync", "--remote", self.remote, "--budget", "15m")

    def give(self) -> float:
        self.giver.run("ev", "emit", stdin=EVENTS * NEW)
        return self.giver.cpu(*self.words)

    def take(self) -> float:
        return self.taker.cpu(*self.words)

    def look(self) -> float:
        return self.giver.time("git", "ls-remote", "--refs", self.remote, REFS)

    def state(self) -> list[bytes]:
        """What a commit or a push would change: refs and objects of both sides."""
        state = []
        for path in (self.remote, f"{self.giver.store}/.git"):
            state.append(self.giver.run("git", f"--git-dir={path}", "for-each-ref"))
            state.append(str(sorted(Path(path, "objects").rglob("*"))).encode())
        return state


def _copied(place: Place, path: str) -> Place:
    shutil.copytree(place.path, path)
    return Place(path)


class Clones:
    """Two clones of a repository with a commit each round: plain git, as a peer."""

    def __init__(self, scratch: str) -> None:
        self.place = Place(f"{scratch}/clones")
        git, remote = self.place.run, f"{scratch}/plain.git"
        git("git", "init", "--quiet", "--bare", "--initial-branch=main", remote)
        for name in ("one", "two"):
            git("git", "clone", "--quiet", remote, name)
        for setting in ("user.name=Ada", "user.email=ada@example.org"):
            git("git", "-C", "one", "config", *setting.split("="))

    def hop(self) -> float:
        """Push and fetch of one commit; the time to make the commit does not count."""
        with open(f"{self.place.path}/one/events", "ab") as file:
            file.write(EVENTS * NEW)
        self.place.run("git", "-C", "one", "add", "events")
        self.place.run("git", "-C", "one", "commit", "--quiet", "-m", "more")
        sent = self.place.cpu("git", "-C", "one", "push", "--quiet", "origin", "HEAD:main")
        return sent + self.place.cpu("git", "-C", "two", "fetch", "--quiet", "origin")


def rows(rounds: int, scratch: str, sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    pairs = {size: Pair(scratch, size) for size in sizes}
    small, large = min(sizes), max(sizes)
    acts = {f"give {size}": pair.give for size, pair in pairs.items()}
    acts |= {f"take {size}": pair.take for size, pair in pairs.items()}
    acts["git"] = Clones(scratch).hop
    took = measure.interleaved(rounds, acts)
    for act, direction in (("give", "sent"), ("take", "received")):
        what = f"CPU of a sync of {NEW} new events, {direction}, {large:,} held"
        yield took.row(what, f"{act} {large}", f"{act} {small}", GROWTH, label=f"{small:,} held")
    rounds_of_both = zip(took.seconds[f"give {small}"], took.seconds[f"take {small}"], strict=True)
    both = measure.Took(
        took.seconds | {"hop": [sent + received for sent, received in rounds_of_both]}
    )
    what = f"CPU of a hop of {NEW} events: `ev sync` here, `ev sync` there"
    why = "Python starts twice, and refs are looked at before they are fetched and pushed"
    yield both.row(what, "hop", "git", HOP, why, "`git push`, `git fetch`")
    yield _quiet(rounds, pairs[large], large)
    yield Row(f"first sync of {large:,} events", measure.shown(pairs[large].first_s))
    yield _fresh(pairs[large], large)


def _fresh(pair: Pair, count: int) -> Row:
    """The first question in a clone that a sync has filled."""
    for path in Path(pair.taker.store, "local").glob("work.sqlite*"):
        path.unlink()
    first = pair.taker.time("wk", "ready", "-n", "1")
    again = pair.taker.time("wk", "ready", "-n", "1")
    what, peer = f"the first `wk ready` in a clone of {count:,} events", "the second"
    return Row(what, measure.shown(first), f"{peer} {measure.shown(again)}", f"{first / again:.0f}")


def _quiet(rounds: int, pair: Pair, count: int) -> Row:
    pair.sync(pair.taker)
    pair.sync(pair.giver)
    before = pair.state()
    acts = {
        "sync": pair.giver.act("ev sync"),
        "look": pair.look,
        "bare": lambda: pair.giver.time(*PYTHON),
    }
    took = measure.interleaved(rounds, acts)
    ratio, clean = took.ratio("sync", "bare", less="look"), pair.state() == before
    peer = f"`git ls-remote` {took.shown('look')}, bare Python {took.shown('bare')}"
    row = Row(
        f"quiet sync, {count:,} held, beside `git ls-remote`",
        took.shown("sync"),
        peer,
        f"{ratio:.2f}",
    )
    why = (
        "a second git reads the settings of the remote"
        if clean
        else "it changed a ref or an object"
    )
    return row.must(clean and ratio <= QUIET, f"≤ {QUIET}, no commit", why)


if __name__ == "__main__":
    sizes = tuple(int(size) for size in sys.argv[2:]) or SIZES
    sys.exit(measure.alone("sync", lambda rounds, scratch: rows(rounds, scratch, sizes)))
