"""What live remotes promise, under load: short here, `make live` is the long form.

Random runs print their seed.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, copied, put_back, serving
from live.test_mirror import clone
from live.world import Replica, converge, same_files, same_replay
from support import Json, git

from coord_envelope.errors import Fault, TryAgain

ENGINES = [name for name in SERVERS if name != "fake"]


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Was the long form asked for?"""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def together(acts: list[Callable[[], None]]) -> None:
    """Run each in a thread. Raises what the first of them raised."""
    failed = list[BaseException]()

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_stores_on_git_on_an_engine_and_on_both_have_the_same_files(
    engine: str, tmp_path: Path, long: bool, chance: random.Random
) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    with serving(engine, tmp_path / "server") as server:
        names = ("ongit", "onbus", "onboth")
        ongit, onbus, onboth = shells = [clone(tmp_path, name, server, False) for name in names]
        remotes = {ongit: ["../hub.git"], onbus: [server.url], onboth: ["../hub.git", server.url]}
        for shell, urls in remotes.items():
            for url in urls:
                shell(f"ev sync --remote {url}")
        sent = 0
        for _ in range(30 if long else 3):
            shell, count = chance.choice(shells), chance.randrange(1, 12)
            sent += count
            sync = chance.choice(("ev sync", "true"))
            shell(f'yes \'{{"type":"a.b"}}\' | head -n {count} | ev emit >emitted; {sync}')
        onbus("head -c 70000 /dev/urandom | base64 | wk new long --desc - -o id || true")
        for shell in (ongit, onbus, onboth, onboth, ongit, onbus):
            shell("ev sync")
        for shell in shells:
            shell("ev verify")
            assert len(shell("ev replay --type a.b").lines) == sent
            assert not list((shell.cwd / ".coord/journal").glob("*!*"))
            for part in ("journal", "blobs"):
                ongit(f"diff -r .coord/{part} {shell.cwd}/.coord/{part}")


@pytest.mark.parametrize("engine", SERVERS)
def test_of_eight_who_claim_at_once_one_is_confirmed(
    engine: str, tmp_path: Path, long: bool
) -> None:
    rounds = 6 if not long or engine == "fake" else 200
    with serving(engine, tmp_path / "server") as server:
        stores = [Replica(tmp_path / f"r{n}", server, f"r{n}") for n in range(8)]
        items = [stores[0].new() for _ in range(rounds)]
        converge(*stores, rounds=1)
        barrier = threading.Barrier(len(stores))

        def race(store: Replica) -> None:
            try:
                for item in items:
                    barrier.wait(60)
                    store.claim(item)
                    synced(store)
            except BaseException:
                barrier.abort()
                raise

        together([lambda store=store: race(store) for store in stores])  # type: ignore[misc]
        converge(*stores, rounds=2)
        same_replay(*stores)
        same_files(*stores)
        for item in items:
            state = stores[0].claims(item)
            assert len(state["confirmed"]) == 1
            assert len(state["ended"]) == len(stores) - 1
        assert len(list(stores[0].path.glob("journal/arbiter.*"))) == 1


def synced(store: Replica) -> None:
    """However often others are faster."""
    while True:
        try:
            store.sync()
            return
        except TryAgain:
            continue


@pytest.mark.parametrize("engine", SERVERS)
def test_the_arbiter_moves_while_stores_claim(engine: str, tmp_path: Path, long: bool) -> None:
    if engine != "fake" and not long:
        pytest.skip("the long form: make live")
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    with serving(engine, tmp_path / "server") as server:
        names = ("ongit", "onbus", "ada", "bob")
        ongit, onbus, ada, bob = shells = [clone(tmp_path, name, server, False) for name in names]
        for shell in (ongit, ada, bob):
            shell("ev sync --remote ../hub.git")
        for shell in (onbus, ada, bob):
            shell(f"ev sync --remote {server.url}")
        ada("wk claim --require confirmed $(wk new first -o id)")  # it is born in git
        homes, items, moves = [server.url, "../hub.git"], list[str](), 0
        while moves < (20 if long else 3):
            items.append(ada("wk new item -o id").out.strip())
            for shell in (ada, ongit, onbus, bob):
                shell("ev sync", expect=None)
            racing = [shell.popen(f"wk claim {items[-1]}") for shell in shells]
            moved = ada(f"ev sync --move-arbiter {homes[moves % 2]}", expect=None)
            assert moved.status in (0, 69, 75), moved.err
            moves += moved.status == 0
            for process in racing:
                process.wait()
        for _ in range(3):
            for shell in (ada, bob, onbus, ongit):
                shell("ev sync", expect=None)
        for shell in shells:
            shell("ev verify")
            assert len(list((shell.cwd / ".coord/journal").glob("arbiter.*"))) == 1
        confirmed: list[Json] = ada("ev replay --type work.confirmed").lines
        assert sorted(line["refs"]["work_id"] for line in confirmed[1:]) == sorted(items)
        assert len({shell("ev replay").out for shell in shells}) == 1
        assert len(ada("ev replay --type coord.arbiter_moved").lines) >= moves


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_is_killed_wiped_put_back_and_cut_loses_nothing(
    engine: str, tmp_path: Path, long: bool, chance: random.Random
) -> None:
    with serving(engine, tmp_path / "server") as server:
        stores = [Replica(tmp_path / f"r{n}", server, f"r{n}") for n in range(3)]
        acked = list[str]()
        converge(*stores, rounds=1)
        for accident in ("kill", "wipe", "older", "kill", "cut", "kill", "kill", "kill"):
            strike = partial(break_, accident, server, tmp_path)
            under_load(stores, acked, 40 if long else 6, strike)
            if not long and accident == "cut":
                break
        stores = [store.again() for store in stores]
        converge(*stores)
        same_replay(*stores)
        same_files(*stores)
        replayed = [event["body"].get("ack") for event in stores[0].journal.replay()]
        assert sorted(filter(None, replayed)) == sorted(acked)
        assert not stores[0].forks()


def under_load(
    stores: list[Replica], acked: list[str], rounds: int, accident: Callable[[], None]
) -> None:
    """Each store appends and syncs; the accident happens meanwhile."""
    begun = threading.Semaphore(0)

    def work(store: Replica) -> None:
        for number in range(rounds):
            ack = f"{store.actor['agent_id']}-{len(acked)}-{number}"
            store.append(1, body={"ack": ack})
            acked.append(ack)
            with contextlib.suppress(Fault):  # it is not there: the next one sends it
                store.sync()
            if number == rounds // 3:
                begun.release()

    def strike() -> None:
        for _ in stores:
            begun.acquire()
        accident()

    together([strike, *((lambda store=store: work(store)) for store in stores)])


def break_(accident: str, server: Server, scratch: Path) -> None:
    """What happens to the server."""
    if accident == "wipe":
        server.wipe()
    elif accident == "cut":
        server.truncate(5)
    elif accident == "kill":
        server.kill()
        server.start()
    else:
        older = scratch / "older"
        server.kill()
        if not older.exists():
            copied(server, older)
        put_back(server, older)
        server.start()
