"""Live remotes, on Redis: claims through the mirror, a hop between two stores, many events.

    python bench/mirrors.py [ROUNDS]

In turn: a claim that the arbiter confirms through the mirror, a claim without a remote, one that
is confirmed through git on this disk, `redis-cli XADD`, and bare Python. Then a hop: an append in
one store until `ev tail -f` prints it in another, beside the same in one store and beside `XREAD
BLOCK`. Then events given to a log and taken by a new store. The server syncs every answer.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import history
import measure
import peers
from follow import READER, REDIS, Follower, adder, appender
from measure import PYTHON, Act, Place, Row

EACH, COUNT = 5, 100_000
CLAIM, HOP, IDLE_S = 4.0, 3.0, 20.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def mirror(place: Place) -> Iterator[Popen[bytes]]:
    """`ev sync --watch` in the background, from when it answers commands."""
    process = Popen(["ev", "sync", "--watch"], cwd=place.path, env=place.env, stdout=PIPE)
    try:
        peers.until(lambda: Path(place.store, "local/bus.sock").exists())
        yield process
    finally:
        process.terminate()
        process.communicate()


def joined(path: str, remote: str, agent: str) -> Place:
    """A store of project acme that syncs with a remote."""
    place = Place(path, agent)
    Path(path, "coord.toml").write_text('project = "acme"\n')
    place.run("ev", "init")
    place.run("ev", "sync", "--remote", remote)
    return place


def claimer(place: Place, *options: str) -> Act:
    """Times `wk claim` of an item that was made, and given, before."""

    def act() -> float:
        item = place.run("wk", "new", "x", "-o", "id").decode().strip()
        time.sleep(0.05)  # the mirror gives the item
        return place.time("wk", "claim", item, *options)

    return act


def claims(rounds: int, scratch: str, url: str, path: str) -> Iterator[Row]:
    """What a confirmed claim costs."""
    live, alone = joined(f"{scratch}/live", url, "one"), Place(f"{scratch}/alone", "one")
    alone.run("ev", "init")
    hub = f"{scratch}/hub.git"
    alone.run(*peers.program("git"), "init", "--quiet", "--bare", hub)
    git = joined(f"{scratch}/git", hub, "one")
    ours, bare = "wk claim --require confirmed", "bare Python"
    add = [*peers.program("redis-cli"), "-s", path, "XADD", "events", "*", "body", "x" * 200]
    with mirror(live):
        acts = {
            ours: claimer(live, "--require", "confirmed"),
            "wk claim": claimer(alone),
            "through git": claimer(git, "--require", "confirmed"),
            "redis-cli XADD": alone.act(*add),
            bare: alone.act(*PYTHON),
        }
        took = measure.interleaved(rounds, acts)
    why = "the network, the server and two writes to the disk are in it"
    yield took.row(f"`{ours}`, through the mirror", ours, bare, CLAIM, why)
    yield took.row(f"`{ours}`, through the mirror", ours, "wk claim", label="without a remote")
    yield took.row(f"`{ours}`, through the mirror", ours, "through git")
    yield took.row(
        f"`{ours}`, through the mirror", ours, "redis-cli XADD", label="`redis-cli XADD`"
    )


def hops(rounds: int, scratch: str, url: str, path: str) -> Iterator[Row]:
    """From an append in one store to a line in another one; then all of it idle."""
    one, other = joined(f"{scratch}/one", url, "one"), joined(f"{scratch}/other", url, "other")
    Path(one.path, "reader.py").write_text(READER)
    with ExitStack() as stack:
        first = stack.enter_context(mirror(one))
        stack.enter_context(mirror(other))
        names = ("hop", "one store", REDIS)
        followers = {
            "hop": Follower(other, "exec ev tail -n 0 -f --type bench.hop"),
            "one store": Follower(one, "exec ev tail -n 0 -f --type bench.here"),
            REDIS: Follower(one, f"exec {sys.executable} reader.py {path}"),
        }
        stack.enter_context(measure.running(*(follower.process for follower in followers.values())))
        writes = dict(
            zip(
                names,
                (appender(one, "bench.hop"), appender(one, "bench.here"), adder(path)),
                strict=True,
            )
        )
        for name in names:
            followers[name].settle(writes[name])
        took = measure.interleaved(
            rounds * EACH, {name: rested(followers[name].act(writes[name])) for name in names}
        )
        what = "append → line of `ev tail -f` in another store"
        yield took.row(what, "hop", "one store", HOP, "two mirrors and the server are in it")
        yield took.row(what, "hop", REDIS, label=f"`{REDIS}`")
        before = cpu_s(first)
        time.sleep(IDLE_S)
        share = (cpu_s(first) - before) / IDLE_S
        row = Row(f"idle CPU of the mirror, {IDLE_S:.0f} s", f"{share:.3%}")
        yield row.must(share < 0.001, "< 0.1%")


def rested(act: Act) -> Act:
    """The act, when the mirrors are done with what was before it."""

    def after() -> float:
        time.sleep(0.1)
        return act()

    return after


def cpu_s(process: Popen[bytes]) -> float:
    """CPU time of the threads of a process so far."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def many(scratch: str, url: str) -> Iterator[Row]:
    """Events given to an empty log, and taken by a new store, without views."""
    giver = history.place(scratch, COUNT)
    Path(giver.path, "coord.toml").write_text('project = "bench"\n')
    log = url.replace("/acme", "/many")
    seconds = giver.time("ev", "sync", "--remote", log)
    yield Row(f"{COUNT:,} events given to a log", f"{seconds:.2f} s, {COUNT / seconds:,.0f}/s")
    taker = Place(f"{scratch}/taker")
    Path(taker.path, "coord.toml").write_text('project = "bench"\n')
    taker.run("ev", "init")
    seconds = taker.time("ev", "sync", "--remote", log)
    yield Row(
        f"{COUNT:,} events taken by a new store", f"{seconds:.2f} s, {COUNT / seconds:,.0f}/s"
    )


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    """All rows of this theme."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        with peers.redis(scratch, "--port", str(port), "--bind", "127.0.0.1", *DURABLE) as path:
            url = f"redis://127.0.0.1:{port}/acme"
            yield from claims(rounds, scratch, url, path)
            yield from hops(rounds, scratch, url, path)
            yield from many(scratch, url)
    except peers.MissingError as why:
        yield Row("live remotes", note=str(why))


if __name__ == "__main__":
    sys.exit(measure.alone("live", rows))
