"""Live remotes, on each engine: claims through the mirror, a hop between two stores, many events.

    python bench/mirrors.py [ROUNDS] [--long]

In turn: a claim that the arbiter confirms through the mirror, a claim without a remote, one that
is confirmed through git on this disk, `redis-cli XADD`, and bare Python. Then a hop: an append in
one store until `ev tail -f` prints it in another, beside the same in one store, beside `XREAD
BLOCK`, and beside bare clients of the same engine on a server of their own. Then a claim whose
mirror is stopped; a server that is killed and comes back; and events given to a log and taken by a
new store (--long: 1,000,000 of them). The server syncs every answer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen

import bare
import engines
import history
import measure
import peers
from engines import Engine
from follow import READER, REDIS, Follower, adder, appender
from measure import PYTHON, Act, Place, Row

EACH, COUNTS, LONG = 5, (100_000,), (100_000, 1_000_000)
CLAIM, HOP, IDLE_S = 4.0, 3.0, 20.0
TENTATIVE_S, TAKEN = 2.0, 200_000
LOG, BARE = "live", "a bare client puts, another prints"
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


def joined(path: str, remote: str, agent: str, env: dict[str, str] | None = None) -> Place:
    """A store of project acme that syncs with a remote."""
    place = Place(f"{path}/acme", agent)  # without a coord.toml: to load tomllib takes 20 ms
    place.env |= env or {}
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


def claims(rounds: int, scratch: str, engine: Engine, path: str) -> Iterator[Row]:
    """What a confirmed claim costs; and what one does whose mirror is stopped."""
    live = joined(f"{scratch}/live", engine.url(LOG), "one", engine.env)
    alone = Place(f"{scratch}/alone", "one")
    alone.run("ev", "init")
    hub = f"{scratch}/hub.git"
    alone.run(*peers.program("git"), "init", "--quiet", "--bare", hub)
    git = joined(f"{scratch}/git", hub, "one")
    ours, bare = "wk claim --require confirmed", "bare Python"
    add = [*peers.program("redis-cli"), "-s", path, "XADD", "events", "*", "body", "x" * 200]
    with mirror(live) as process:
        acts = {
            ours: claimer(live, "--require", "confirmed"),
            "wk claim": claimer(alone),
            "through git": claimer(git, "--require", "confirmed"),
            "redis-cli XADD": alone.act(*add),
            bare: alone.act(*PYTHON),
        }
        took = measure.interleaved(rounds, acts)
        item = live.run("wk", "new", "x", "-o", "id").decode().strip()
        process.send_signal(signal.SIGSTOP)
        stopped_s = live.time("wk", "claim", item)
        process.send_signal(signal.SIGCONT)
    why = "the network, the server and two writes to the disk are in it"
    yield took.row(f"{engine.name}: `{ours}`, through the mirror", ours, bare, CLAIM, why)
    yield took.row(f"`{ours}`, through the mirror", ours, "wk claim", label="without a remote")
    yield took.row(f"`{ours}`, through the mirror", ours, "through git")
    yield took.row(
        f"`{ours}`, through the mirror", ours, "redis-cli XADD", label="`redis-cli XADD`"
    )
    row = Row(f"{engine.name}: `wk claim` while the mirror is stopped", f"{stopped_s:.2f} s")
    yield row.must(stopped_s < TENTATIVE_S, f"< {TENTATIVE_S:.0f} s")


def hops(rounds: int, scratch: str, engine: Engine, path: str) -> Iterator[Row]:
    """From an append in one store to a line in another one; then idle, then without the server."""
    url = engine.url(LOG)
    one = joined(f"{scratch}/one", url, "one", engine.env)
    other = joined(f"{scratch}/other", url, "other", engine.env)
    Path(one.path, "reader.py").write_text(READER)
    with ExitStack() as stack:
        floor = stack.enter_context(engines.running(engine.name, scratch))
        password = floor.env.get("COORD_WS_PASSWORD", "")
        put, plain = bare.writer(floor.url(LOG), password), Place(f"{scratch}/bare")
        plain.env |= floor.env
        first = stack.enter_context(mirror(one))
        stack.enter_context(mirror(other))
        names = ("hop", "one store", REDIS, BARE)
        followers = {
            "hop": Follower(other, "exec ev tail -n 0 -f --type bench.hop"),
            "one store": Follower(one, "exec ev tail -n 0 -f --type bench.here"),
            REDIS: Follower(one, f"exec {sys.executable} reader.py {path}"),
            BARE: Follower(plain, f"exec {sys.executable} {bare.__file__} {floor.url(LOG)}"),
        }
        stack.enter_context(measure.running(*(follower.process for follower in followers.values())))
        writes = dict(
            zip(
                names,
                (appender(one, "bench.hop"), appender(one, "bench.here"), adder(path), put),
                strict=True,
            )
        )
        for name in names:
            followers[name].settle(writes[name])
        took = measure.interleaved(
            rounds * EACH, {name: rested(followers[name].act(writes[name])) for name in names}
        )
        what = f"{engine.name}: append → line of `ev tail -f` in another store"
        yield took.row(what, "hop", "one store", HOP, "two mirrors and the server are in it")
        yield took.row(what, "hop", REDIS, label=f"`{REDIS}`")
        yield took.row(what, "hop", BARE)
        yield took.row(f"{engine.name}: the floor: {BARE}", BARE, "one store")
        before = cpu_s(first)
        time.sleep(IDLE_S)
        share = (cpu_s(first) - before) / IDLE_S
        row = Row(f"{engine.name}: idle CPU of the mirror, {IDLE_S:.0f} s", f"{share:.3%}")
        yield row.must(share < 0.001, "< 0.1%")
        engine.kill()
        writes["hop"]()
        engine.start()
        begin = time.perf_counter()
        followers["hop"].read.get(timeout=60)
        seconds = time.perf_counter() - begin
        yield Row(
            f"{engine.name}: from a listening server to what was held back", f"{seconds:.2f} s"
        )


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


def many(scratch: str, engine: Engine, count: int) -> Iterator[Row]:
    """Events given to an empty log, and taken by a new store, without views."""
    giver = history.place(os.path.dirname(scratch), count)
    giver.env |= engine.env
    Path(giver.path, "coord.toml").write_text('project = "bench"\n')
    seconds = giver.time("ev", "sync", "--remote", engine.url(LOG), "--budget", "10m")
    giver.run("ev", "sync", "--forget", engine.url(LOG))
    shown = f"{seconds:.2f} s, {count / seconds:,.0f}/s"
    yield Row(f"{engine.name}: {count:,} events given to a log, its view of claims included", shown)
    taker = Place(f"{scratch}/taker-{count}")
    taker.env |= engine.env
    Path(taker.path, "coord.toml").write_text('project = "bench"\n')
    taker.run("ev", "init")
    seconds = taker.time("ev", "sync", "--remote", engine.url(LOG), "--budget", "10m")
    shown = f"{seconds:.2f} s, {count / seconds:,.0f}/s"
    row = Row(f"{engine.name}: {count:,} events taken by a new store", shown)
    yield row.must(count < max(LONG) or count / seconds >= TAKEN, f"1,000,000 at {TAKEN:,}/s")


def rows(rounds: int, scratch: str, counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    """All rows of this theme."""
    for name in engines.MAKERS:
        place = f"{scratch}/live-{name}"
        os.mkdir(place)
        try:
            with peers.redis(place, *DURABLE) as path:
                with engines.running(name, place) as engine:
                    yield from claims(rounds, place, engine, path)
                with engines.running(name, place) as engine:
                    yield from hops(rounds, place, engine, path)
                for count in counts:
                    with engines.running(name, place) as engine:
                        yield from many(place, engine, count)
        except peers.MissingError as why:
            yield Row(f"live remotes on {name}", note=str(why))


if __name__ == "__main__":
    long = "--long" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--long"]
    sys.exit(measure.alone("live", partial(rows, counts=LONG if long else COUNTS)))
