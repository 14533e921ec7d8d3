"""What is taken in of another replica's files: forks, and the bounds that hostile ones meet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Shell, open_store

from coord_envelope import codec, event, ids
from coord_kernel import Journal, Store
from coord_kernel.store import disk
from coord_kernel.streams.rows import readable
from coord_kernel.streams.stream import OVER, BadLine, Stream
from coord_kernel.sync import intake as rules
from coord_kernel.sync import tree
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, Source
from coord_kernel.views.index import Index

WRITER = "agent.m~00000000"


def line(seq: int, note: str = "", writer: str = WRITER) -> bytes:
    stamp = (1_700_000_000_000 + seq) << 16
    draft = {"type": "test.tick", "body": {"note": note}}
    random = hashlib.sha256(note.encode()).digest()[:8]
    made = event.build(
        draft, ids.mint(stamp, random), stamp >> 16, ("p", writer, seq), {"agent_id": "agent:m"}
    )
    return made.raw + b"\n"


def file(stream: str = WRITER, first: int = 1) -> str:
    return f"journal/{stream}/{first:012d}.jsonl"


def take(store: Store, files: dict[str, bytes], size: Callable[[], int] | None = None) -> list[str]:
    """Take these files in; the warnings."""
    data = {tree.blob_id(data): data for data in files.values()}
    oids = {path: tree.blob_id(data) for path, data in files.items()}
    intake = Intake(store, Held(store))
    intake.take(Source("x", oids, lambda oid, most: data[oid], size))
    intake.finish()
    return [*intake.warnings, *intake.early.values()]


def notes(store: Store) -> list[str]:
    return [each["body"]["note"] for each in Journal(store).replay()]


@pytest.fixture
def store(shell: Shell) -> Store:
    return open_store(shell.cwd)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    path = tmp_path / "other"
    path.mkdir()
    Shell(path)("ev init", COORD_DIR=str(path / ".coord"))
    return open_store(path)


def test_forks_get_the_whole_hash_of_their_first_line(store: Store, other: Store) -> None:
    base, forks = line(1), [line(2, note) for note in "abc"]
    for at, order in ((store, forks), (other, forks[::-1])):
        for fork in order:
            take(at, {file(): base + fork})
    assert notes(store) == notes(other)
    assert sorted(notes(store)) == ["", "a", "b", "c"]
    forked = [name.partition("!")[2] for name in store.listdir("journal") if "!" in name]
    hashes = {hashlib.sha256(fork[:-1]).hexdigest() for fork in forks}
    assert len(forked) == 2
    assert {*forked} < hashes


def test_the_place_of_a_fork_cannot_be_occupied(store: Store) -> None:
    fork = line(2, "right")
    name = f"{WRITER}!{hashlib.sha256(fork[:-1]).hexdigest()}"
    take(store, {file(): line(1) + line(2, "held")})
    for squat in ({file(name, 2): line(2, "wrong")}, {file(name, 1): fork + line(900)}):
        assert take(store, squat)
        assert not Stream(store, "journal", name).segments()
    take(store, {file(): line(1) + fork + line(3, "next")})
    assert sorted(notes(store)) == ["", "held", "next", "right"]


def test_a_fork_goes_on_in_later_segments_and_is_taken_in_as_it_is_elsewhere(
    store: Store, other: Store
) -> None:
    begin, fork, later = line(1), line(2, "fork") + line(3, "3"), line(4, "4")
    take(store, {file(): begin + line(2, "held")})
    take(store, {file(): begin + fork, file(first=4): later})
    name = f"{WRITER}!{hashlib.sha256(line(2, 'fork')[:-1]).hexdigest()}"
    segments = {file(name, first): store.load(*file(name, first).split("/")) for first in (2, 4)}
    assert segments == {file(name, 2): fork, file(name, 4): later}
    assert take(other, {file(name, 4): later})  # waits: nothing shows that it belongs there
    assert notes(other) == []
    assert not take(other, {file(name, 2): fork, file(name, 4): later})
    assert notes(other) == ["fork", "3", "4"]


def test_a_fork_of_an_earlier_version_is_read_and_continued(store: Store) -> None:
    fork = line(2, "fork")
    old = f"{WRITER}!{hashlib.sha256(fork[:-1]).hexdigest()[:8]}"
    take(store, {file(): line(1) + line(2, "held")})
    take(store, {file(old, 2): fork})
    take(store, {file(): line(1) + fork + line(3, "3")})
    assert sorted(store.listdir("journal")) == [WRITER, old]
    assert notes(store).count("fork") == 1
    assert "3" in notes(store)


HOSTILE = [
    pytest.param(b"\n" * 3_000_000, id="newlines"),
    pytest.param(b"{}\n" * 1_000_000, id="objects"),
    pytest.param(b"x\n" * 1_000_000, id="letters"),
    pytest.param((b"y" * 70_000 + b"\n") * 500, id="long lines"),
    pytest.param(b"z" * 40_000_000 + b"\n", id="one line"),
    pytest.param(b'{"event_id":"' + b"\n" + b'{"event_id":"}\n' * 200_000, id="beginnings"),
    pytest.param(line(1, writer="agent.m~11111111") * 20_000, id="another's"),
]


@pytest.mark.parametrize("data", HOSTILE)
def test_a_segment_without_an_event_is_not_stored(store: Store, data: bytes) -> None:
    assert take(store, {file(): data, file("agent.n~00000000"): line(1, "n", "agent.n~00000000")})
    assert store.listdir("journal") == ["agent.n~00000000"]
    assert notes(store) == ["n"]


@pytest.mark.parametrize("data", HOSTILE)
def test_what_is_behind_too_many_bad_lines_is_passed_over_by_every_reader(
    store: Store, data: bytes
) -> None:
    names = file().split("/")
    store.directory(*names[:-1], make=True)
    path = Path(store.path, *names)
    path.write_bytes(line(1, "one") + data + line(2, "two"))
    bad = [item for item in Stream(store, "journal", WRITER).read() if isinstance(item, BadLine)]
    assert len(bad) < 8_000
    assert bad[-1].reason.startswith("too many bad lines")
    assert notes(store) == ["one"]
    last = Stream(store, "journal", WRITER).last()
    assert last and last["seq"] == 1
    for _ in range(2):
        index = Index(store).refresh()
        (row,) = index.query("SELECT segment, offset FROM position")
        assert row == (1, OVER)
        assert index.by_id(last.id)
    path.write_bytes(line(1, "one") + line(2, "two"))  # it is another journal: read anew
    assert len(Index(store).refresh().query("SELECT id FROM event")) == 2
    path.write_bytes(line(1, "one") + data + line(2, "two"))
    Path(store.path, *file(first=3).split("/")).write_bytes(line(3, "three"))
    assert notes(store) == ["one", "three"]


def test_bad_lines_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = file().split("/")
    store.directory(*names[:-1], make=True)
    path = Path(store.path, *names)
    path.write_bytes(line(1) + b"bad\n" * 100)
    Index(store).refresh()
    looked: list[bytes] = []
    parse = event.parse_or_reason

    def look(raw: bytes) -> event.Event | str:
        looked.append(raw)
        return parse(raw)

    monkeypatch.setattr(event, "parse_or_reason", look)
    Index(store).refresh()
    assert b"bad" not in looked
    with path.open("ab") as out:
        out.write(b"bad\n" + line(102, "next"))
    index = Index(store).refresh()
    assert len(index.query("SELECT id FROM event")) == 2
    assert looked.count(b"bad") <= 3
    path.write_bytes(line(1) + line(2))  # shorter: it was put back
    assert len(Index(store).refresh().query("SELECT id FROM event")) == 2


def test_a_writer_whose_segment_is_over_begins_another(shell: Shell, store: Store) -> None:
    first = shell("ev emit a.b").one
    path = Path(store.path, "journal", first["writer"], f"{1:012d}.jsonl")
    with path.open("ab") as out:
        out.write(b"x\n" * 10_000)
    new = shell("ev emit a.b").one
    assert shell("ev tail -n 1 --type a.b").one["event_id"] == new["event_id"]
    assert len(shell("ev replay --type a.b").lines) == 2


def test_one_blob_is_taken_in_under_one_name(store: Store) -> None:
    data = b"".join(line(seq) for seq in range(1, 2000))
    files = {file(f"agent.m~{number:08d}"): data for number in range(9)}
    warnings = take(store, {**files, file(first=2): data})
    assert store.listdir("journal") == [WRITER]
    assert len(Stream(store, "journal", WRITER).segments()) == 1
    assert any("more like these" in text for text in warnings)
    assert len(warnings) <= 7


def test_of_a_source_as_much_is_taken_in_as_fits_what_it_occupies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FREE_BYTES", 100_000)
    writers = [f"agent.m~{number:08d}" for number in range(8)]
    data = {writer: b"".join(line(n, "", writer) for n in range(1, 200)) for writer in writers}
    files = {file(writer): rows for writer, rows in data.items()}
    warnings = take(store, files, lambda: 10)
    taken = store.listdir("journal")
    assert 0 < len(taken) < 8
    assert any("too large" in text for text in warnings)
    assert not take(store, files, lambda: 10_000_000)
    assert store.listdir("journal") == writers


def test_bad_lines_of_a_source_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BAD", 1 << 20)
    writers = [f"agent.m~{number:08d}" for number in range(4)]
    files = {file(writer): line(1, "", writer) + b"x\n" * 500 for writer in writers}
    warnings = take(store, {**files, file("agent.z~00000000"): line(1, "z", "agent.z~00000000")})
    assert len(store.listdir("journal")) == 3
    assert any("too many bad lines" in text for text in warnings)
    assert "z" in notes(store)


def test_honest_lines_are_all_readable() -> None:
    data = b"".join(line(seq) for seq in range(1, 100))
    assert readable(data) == (len(data), 0)
    assert readable(data + b"torn{\n" + line(101))[0] == len(data + b"torn{\n" + line(101))


def test_what_many_lines_were_taken_in_is_known_to_the_first_replay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MANY", 2)
    monkeypatch.setenv("COORD_NOW", "2100-01-01T00:00:00Z")  # no file changed just now
    monkeypatch.setattr(codec, "MANY", 0)
    few, many = line(1, writer="agent.few~00000000"), b"".join(map(line, range(1, 40)))
    take(store, {file("agent.few~00000000"): few})
    assert store.load("local", "plain") is None
    take(store, {file(): many})
    saved = codec.loads(store.load("local", "plain") or b"{}")
    assert list(saved["segments"]) == [file()]
    parsed: list[int] = []
    monkeypatch.setattr(event, "fields_of_all", lambda rows: parsed.append(len(rows)))
    rows = [raw for rows in Journal(store).lines(()) for raw in rows]
    assert sorted(rows) == sorted(raw for raw in (few + many).split(b"\n") if raw)
    assert set(parsed) == {1}, "a segment that is known is not parsed"


def test_a_new_file_has_a_durable_name_before_it_has_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with bytes is not looked at again: killed in between, its name could be lost."""
    steps: list[str] = []
    name, write = store.sync_directory, disk.write_all

    def named(*names: str) -> None:
        steps.append("name")
        name(*names)

    def wrote(fd: int, lines: bytes) -> None:
        steps.append("bytes")
        write(fd, lines)

    monkeypatch.setattr(store, "sync_directory", named)
    monkeypatch.setattr(disk, "write_all", wrote)
    take(store, {file(): line(1, "a")})
    assert notes(store) == ["a"]
    assert steps[-2:] == ["name", "bytes"]
