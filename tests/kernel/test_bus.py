"""What every bus promises. A backend joins by a line in BACKENDS: how it is made over the store of a repository."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live.engines import Server, serving
from live.proxy import Proxy
from support import ME, Json, Shell, drafts, git, open_journal, open_store, segment

from coord_envelope import BadData, Cursor, Event, Fault, Filter, Unreachable
from coord_kernel.bus import backends
from coord_kernel.bus.backends import Batch, FileBus, GitBus, LiveBus
from coord_kernel.bus.stdio import StdioBus
from coord_kernel.sync.union import union

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.bus.backends import Bus

SERVE = [sys.executable, "-m", "coord_kernel.cli.serve"]
LATE = {"agent_id": "agent:late"}


def remote(repo: Path) -> str:
    path = repo.parent / "remote.git"
    if not path.exists():
        git("init", "-q", "--bare", str(path), cwd=repo)
    return str(path)


def git_bus(repo: Path) -> Bus:
    return GitBus(open_journal(repo), ME, remote(repo), interval_s=0.2)


class OnServer:
    """Makes buses over a log of their own, for each test, on a server of an engine."""

    servers = contextlib.ExitStack()

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._server: Server | None = None
        self._logs = dict[Path, LiveBus]()

    def __call__(self, repo: Path) -> Bus:
        """The bus of a store; the same one again."""
        if repo not in self._logs:
            self._logs[repo] = self.bus(repo, self.url(repo))
        return self._logs[repo]

    def bus(self, repo: Path, url: str, interval_s: float = 30.0) -> LiveBus:
        return LiveBus(open_journal(repo), ME, url, interval_s, asked=True)

    def url(self, repo: Path) -> str:
        """Of the log of this test."""
        if self._server is None:
            data = Path(self.servers.enter_context(tempfile.TemporaryDirectory())) / "data"
            self._server = self.servers.enter_context(serving(self._engine, data))
        name = hashlib.sha256(bytes(repo.parent)).hexdigest()[:16]
        if self._engine == "ws":  # a token is of one log
            from coord_relay import tokens

            path = f"{self._server.data}/tokens"
            os.environ["COORD_WS_PASSWORD"] = tokens.add(path, name, name, [tokens.ANY])
        return f"{self._server.url.rpartition('/')[0]}/{name}"

    @property
    def server(self) -> Server:
        assert self._server
        return self._server

    def forget(self) -> None:
        while self._logs:
            self._logs.popitem()[1].close()


LIVE = {engine: OnServer(engine) for engine in ("nats", "redis", "ws")}
BACKENDS: dict[str, Callable[[Path], Bus]] = {
    "file": lambda repo: FileBus(open_journal(repo), ME),
    "stdio": lambda _: StdioBus(SERVE),
    "git": git_bus,
    **LIVE,
}
each_backend = pytest.mark.parametrize("make", BACKENDS.values(), ids=BACKENDS)


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    with OnServer.servers:
        yield


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    yield
    for engine in LIVE.values():
        engine.forget()


@pytest.fixture(autouse=True)
def acting(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORD_AGENT", "tester")


def tick(n: int, **fields: object) -> Json:
    return {"type": "test.tick", "body": {"n": n}, **fields}


def numbers(events: list[Event]) -> list[int]:
    return [one["body"]["n"] for one in events]


class Taken:
    """What came in some batches."""

    def __init__(
        self, batches: Iterator[Batch], enough: Callable[[Taken], bool] = lambda _: False
    ) -> None:
        self.events: list[Event] = []
        self.gaps: list[Json] = []
        for batch in batches:
            self.events += batch.events
            self.gaps += batch.gaps
            self.cursor = batch.cursor
            if enough(self):
                break


def has(count: int) -> Callable[[Taken], bool]:
    return lambda taken: len(taken.events) >= count


@pytest.fixture
def other(shell: Shell) -> Shell:
    """A second store, with which ours has not met."""
    away = Shell(shell.cwd.parent / "other")
    away.cwd.mkdir()
    git("init", "-q", cwd=away.cwd)
    (away.cwd / "coord.toml").write_text(f'project = "{open_store(shell.cwd).project}"\n')
    away("ev init")
    return away


def arrive(shell: Shell, other: Shell, make: Callable[[Path], Bus]) -> None:
    """What the other store has comes here: through the remote, where the bus has one."""
    if make is git_bus:
        GitBus(open_journal(other.cwd), ME, remote(shell.cwd)).publish(
            {"type": "test.sent", "body": {"n": -1}}
        )
    elif isinstance(make, OnServer):
        there = make.bus(other.cwd, make.url(shell.cwd))
        there.publish({"type": "test.sent", "body": {"n": -1}})
        there.close()
    else:
        union(open_store(shell.cwd), open_store(other.cwd))


@each_backend
def test_an_acked_event_is_on_the_disk_as_it_was_acked(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    made = make(shell.cwd).publish(tick(1, to=["agent:qa"]))
    assert segment(shell.cwd).read_bytes() == made.raw + b"\n"
    assert (made["to"], made["seq"]) == (["agent:qa"], 1)
    assert made.stream == "" or made.stream == made["writer"]


@each_backend
def test_a_bad_draft_is_refused_and_nothing_is_published(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    with pytest.raises(Fault) as refusal:
        make(shell.cwd).publish({"type": "No", "body": {}})
    assert (refusal.value.status, "namespace.verb" in refusal.value.what) == (
        BadData.status,
        True,
    )
    assert Taken(make(shell.cwd).snapshot(None, Cursor())).events == []


@each_backend
def test_a_key_is_published_once(shell: Shell, make: Callable[[Path], Bus]) -> None:
    found = make(shell.cwd)
    first, again = (found.publish(tick(1, idempotency_key="k")) for _ in range(2))
    assert again == first | {"$dup": True}
    assert len(Taken(found.snapshot(None, Cursor())).events) == 1


@each_backend
def test_the_events_of_a_writer_come_in_order(shell: Shell, make: Callable[[Path], Bus]) -> None:
    for n in range(4):
        make(shell.cwd).publish(tick(n))
        open_journal(shell.cwd).append(LATE, [tick(n)])
    taken = Taken(make(shell.cwd).subscribe(None, Cursor()), has(8))
    for writer in {one["writer"] for one in taken.events}:
        assert numbers([one for one in taken.events if one["writer"] == writer]) == list(range(4))
    assert taken.gaps == []


@each_backend
def test_from_a_cursor_nothing_is_lost_and_nothing_repeated(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    seen, cursor = list[int](), Cursor()
    for n in range(4):
        make(shell.cwd).publish(tick(n))
        taken = Taken(make(shell.cwd).subscribe(None, cursor), has(1))
        seen, cursor = seen + numbers(taken.events), Cursor(json.loads(json.dumps(taken.cursor)))
    assert seen == list(range(4))


@each_backend
@pytest.mark.parametrize("before", BACKENDS.values(), ids=BACKENDS)
def test_a_cursor_means_the_same_on_another_backend(
    shell: Shell, make: Callable[[Path], Bus], before: Callable[[Path], Bus]
) -> None:
    open_journal(shell.cwd).append(ME, drafts(3))
    cursor = Taken(before(shell.cwd).snapshot(None, Cursor())).cursor
    open_journal(shell.cwd).append(ME, drafts(2))
    taken = Taken(make(shell.cwd).snapshot(None, cursor))
    assert [one["seq"] for one in taken.events] == [4, 5]
    assert taken.cursor == open_journal(shell.cwd).end(live=False)


@each_backend
def test_a_late_writer_with_smaller_ids_is_delivered(
    shell: Shell, other: Shell, make: Callable[[Path], Bus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORD_NOW", "2020-01-01T00:00:00Z")
    late = open_journal(other.cwd).append(LATE, drafts(2))
    monkeypatch.delenv("COORD_NOW")
    mine = make(shell.cwd).publish(tick(7))
    wanted = Filter(types=["test.tick"])
    subscription = make(shell.cwd).subscribe(wanted, Cursor())
    assert numbers(Taken(subscription, has(1)).events) == [7]
    arrive(shell, other, make)
    taken = Taken(subscription, has(2))
    assert [one.id for one in taken.events] == [one.id for one in late]
    assert all(one.id < mine.id for one in taken.events)


@each_backend
def test_a_filter_passes_the_same_events_everywhere(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    journal = open_journal(shell.cwd)
    (item,) = journal.append(ME, [tick(0)])
    journal.append(LATE, [tick(1, refs={"work_id": item.id}), {"type": "ci.x.y", "body": {"n": 2}}])
    (last,) = journal.append(ME, [tick(3, refs={"thread_id": "t"})])
    for wanted, expected in (
        (Filter(), [0, 1, 2, 3]),
        (Filter(types=["ci.*"]), [2]),
        (Filter(not_types=["ci.*"], agents=["agent:late"]), [1]),
        (
            Filter(not_agents=["agent:late"], since=last["ts"]),
            [3] if item["ts"] < last["ts"] else [0, 3],
        ),
        (Filter(work=item.id), [0, 1]),
        (Filter(thread="t"), [3]),
    ):
        taken = Taken(make(shell.cwd).snapshot(wanted, Cursor()))
        assert numbers(taken.events) == expected
        assert taken.cursor == journal.end(live=False)


@each_backend
def test_a_hole_is_a_gap_and_is_filled_when_its_events_come(
    shell: Shell, other: Shell, make: Callable[[Path], Bus]
) -> None:
    open_journal(shell.cwd).append(ME, drafts(5))
    union(open_store(shell.cwd), open_store(other.cwd))
    path = segment(shell.cwd)
    rows = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([rows[0], b"x" * len(rows[1]), b"x" * len(rows[2]), *rows[3:]]))
    shutil.rmtree(shell.cwd / ".coord/local/oids", ignore_errors=True)
    subscription = make(shell.cwd).subscribe(Filter(types=["test.tick"]), Cursor())
    taken = Taken(subscription, has(3))
    assert numbers(taken.events) == [0, 3, 4]
    assert taken.gaps == [{"stream": taken.events[0]["writer"], "from": 2, "to": 3}]
    arrive(shell, other, make)
    filled = Taken(subscription, lambda found: {1, 2} <= set(numbers(found.events)))
    assert filled.gaps == []


@each_backend
def test_a_snapshot_and_a_subscription_behind_it_are_everything_once(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    found = make(shell.cwd)
    for n in range(3):
        found.publish(tick(n))
    snapshot = Taken(found.snapshot(None, Cursor()))
    found.publish(tick(3))
    subscription = found.subscribe(None, snapshot.cursor)
    after = Taken(subscription, has(1))
    found.publish(tick(4))
    assert numbers(snapshot.events + after.events + Taken(subscription, has(1)).events) == list(
        range(5)
    )


@each_backend
def test_a_snapshot_of_nothing_has_a_cursor(shell: Shell, make: Callable[[Path], Bus]) -> None:
    (batch,) = make(shell.cwd).snapshot(None, Cursor())
    assert (batch.events, batch.cursor, batch.gaps) == ([], {}, [])


@each_backend
def test_much_comes_in_batches_and_each_has_a_cursor(
    shell: Shell, make: Callable[[Path], Bus]
) -> None:
    open_journal(shell.cwd).append(ME, drafts(backends.MOST + 500))
    open_journal(shell.cwd).append(LATE, drafts(backends.MOST))
    first, *rest = list(make(shell.cwd).snapshot(None, Cursor()))
    assert [len(batch.events) for batch in (first, *rest)] == [backends.MOST, backends.MOST, 500]
    again = Taken(make(shell.cwd).snapshot(None, first.cursor))
    assert [one.id for one in again.events] == [one.id for batch in rest for one in batch.events]


@each_backend
def test_an_event_arrives_with_its_own_bytes(shell: Shell, make: Callable[[Path], Bus]) -> None:
    made = make(shell.cwd).publish(tick(1))
    odd = made.raw[:-1] + ', "later" : 1.50, "event":{"stream":"é"} }'.encode()
    segment(shell.cwd).write_bytes(odd + b"\n")
    found = {one.raw: one.stream for one in Taken(make(shell.cwd).snapshot(None, Cursor())).events}
    assert (
        found[odd] == made["writer"]
    )  # over git the line as it was comes back beside it, as a fork


@each_backend
def test_what_was_redacted_comes_as_a_tombstone(shell: Shell, make: Callable[[Path], Bus]) -> None:
    target = make(shell.cwd).publish({"type": "note.made", "body": {"text": "hunter2"}})
    shell(f"ev redact {target.id} --reason x")
    first, _ = Taken(make(shell.cwd).snapshot(None, Cursor())).events
    assert first["body"]["redacted"] is True
    assert b"hunter2" not in first.raw


def test_without_its_remote_a_git_bus_publishes_here_and_says_so(shell: Shell) -> None:
    found = GitBus(open_journal(shell.cwd), ME, "https://localhost:1/none.git", interval_s=0.2)
    made = found.publish(tick(1))
    assert isinstance(found.trouble, Unreachable)
    assert [one.id for one in Taken(found.subscribe(None, Cursor()), has(1)).events] == [made.id]


def test_what_was_published_without_the_remote_is_sent_later(shell: Shell, other: Shell) -> None:
    gone = shell.cwd.parent / "gone"
    path = Path(remote(shell.cwd))
    path.rename(gone)
    found = GitBus(open_journal(shell.cwd), ME, f"file://{path}")
    made = found.publish(tick(1))
    assert found.trouble
    gone.rename(path)
    found.publish(tick(2))
    assert found.trouble is None
    there = GitBus(open_journal(other.cwd), ME, str(path))
    assert made.id in [one.id for one in Taken(there.snapshot(None, Cursor())).events]


@pytest.mark.parametrize("argv", [["true"], ["sh", "-c", "read line; echo '{\"cursor\":{}}'"]])
def test_a_server_that_is_gone_is_unreachable(argv: list[str]) -> None:
    with pytest.raises(Unreachable, match="the server of the bus is gone"):
        Taken(StdioBus(argv).subscribe(None, Cursor()))


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "[]",
        '{"op":"snapshot","filter":{"x":1}}',
        '{"op":"snapshot","cursor":{"a":"b"}}',
        '{"op":"rm"}',
    ],
)
def test_a_bad_request_is_a_fault_and_the_next_one_is_answered(shell: Shell, request_: str) -> None:
    lines = f'{request_ or "x"}\n{{"op":"snapshot"}}\n'
    fault, cursor, end = shell(f"{' '.join(SERVE)}", stdin=lines).lines
    assert fault["fault"]["status"] == 65
    assert (cursor, end) == ({"cursor": {}}, {"end": True})


def test_a_subscription_through_pipes_ends_with_its_reader(shell: Shell) -> None:
    subscription = StdioBus(SERVE).subscribe(None, Cursor())
    assert next(subscription).events == []
    subscription.close()  # type: ignore[attr-defined]  # waits for the server


def test_without_a_store_the_server_says_so(shell: Shell) -> None:
    done = shell(" ".join(SERVE), expect=69, COORD_DIR="/nonexistent")
    assert "no store here" in done.err


@pytest.mark.parametrize("engine", LIVE)
def test_over_a_line_that_is_cut_everything_comes_once_in_the_end(
    shell: Shell, other: Shell, engine: str
) -> None:
    make = LIVE[engine]
    name = make.url(shell.cwd).rpartition("/")[2]
    proxy = Proxy(make.server, seed=7)
    url = f"{proxy.url.rpartition('/')[0]}/{name}"
    proxy.cuts, proxy.delay_s = (2_000, 12_000), 0.01
    try:
        here, there = (make.bus(repo, url, 0.2) for repo in (shell.cwd, other.cwd))
        sent = [here.publish(tick(n)).id for n in range(10)]
        arrived = list[str]()
        for batch in there.subscribe(Filter(types=["test.tick"]), Cursor()):
            arrived += [event.id for event in batch.events]
            if len(arrived) >= len(sent):
                break
            here.publish({"type": "test.again", "body": {}})
        assert proxy.broken
        assert arrived == sent
    finally:
        here.close()
        there.close()
        proxy.close()


@pytest.mark.parametrize("engine", LIVE)
def test_without_its_server_a_live_bus_publishes_here_and_says_so(
    shell: Shell, engine: str
) -> None:
    scheme = LIVE[engine].url(shell.cwd).partition(":")[0]
    bus = LiveBus(open_journal(shell.cwd), ME, f"{scheme}://127.0.0.1:1/acme", asked=True)
    published = bus.publish(tick(1))
    assert isinstance(bus.trouble, Unreachable)
    snapshot = Taken(bus.snapshot(None, Cursor()))
    assert [event.id for event in snapshot.events] == [published.id]
    bus.close()
