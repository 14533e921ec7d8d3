"""Stores and a live remote: what comes back equal, whatever happens to the log."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, connected, copied, put_back, serving
from live.world import Replica, converge, same_files, same_replay

from coord_envelope.errors import Refused, Unreachable
from coord_kernel.store.blobs import Blobs
from coord_kernel.sync import seat as seats
from coord_kernel.sync.live import chunk as chunks
from coord_kernel.sync.live.chunk import Chunk
from coord_kernel.sync.live.intake import whole_size
from coord_kernel.sync.live.log import ARBITER

Make = Callable[..., Replica]
ON_DISK = ("redis", "nats", "ws")
"""Engines whose servers have data of their own on the disk."""


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, tmp_path / "server") as started:
        yield started


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    with serving("fake", tmp_path / "server") as started:
        yield started


def replica(server: Server, tmp_path: Path, name: str) -> Replica:
    return Replica(tmp_path / name, server, name)


def test_what_one_store_has_the_other_gets_byte_for_byte(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    one.append(5)
    other.append(3)
    assert one.sync().sent == 5
    assert sum(other.sync().received.values()) == 5
    converge(one, other)
    same_files(one, other)
    same_replay(one, other)
    assert (one.sync().sent, sum(one.sync().received.values())) == (0, 0)


def test_segments_and_long_lines_of_any_size_travel(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    for _ in range(40):
        one.append(100, body={"x": "y" * 400})
    one.sync()
    other.sync()
    same_files(one, other)
    assert len(list(other.path.glob("journal/*/*.jsonl"))) > 1


def test_a_blob_arrives_whole_and_only_with_its_hash(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    data = random.Random(7).randbytes(chunks.MOST + 5000)
    kept = Blobs(one.store).put(data)
    one.sync()
    other.sync()
    path = f"blobs/sha256/{kept['sha256'][:2]}/{kept['sha256'][2:]}"
    assert (other.path / path).read_bytes() == data
    assert not list(other.path.glob("local/pending/*/*"))


def test_a_claim_is_confirmed_once(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    item = one.new()
    converge(one, other)
    mine, theirs = one.claim(item), other.claim(item)
    assert one.sync().confirmed == [mine]
    assert other.sync().conceded == [theirs]
    converge(one, other)
    assert one.confirmed(item) == other.confirmed(item) == [mine]
    same_replay(one, other)
    same_files(one, other)
    (stream,) = one.path.glob("journal/arbiter.main~*")
    assert seats.seat(one.store) == (stream.name, one.live().epoch, False)


def test_a_deleted_log_gets_everything_again(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    item, item2 = one.new(), one.new()
    other.append(2)
    held = one.claim(item)
    converge(one, other)
    before = one.sync().place
    server.wipe()
    one.append(1)
    late = other.claim(item)
    converge(other, one)
    same_files(one, other)
    same_replay(one, other)
    new = replica(server, tmp_path, "new")
    new.sync()
    same_files(one, new)
    assert new.confirmed(item) == one.confirmed(item) == [held]
    assert late in one.claims(item)["ended"]  # conceded
    assert one.sync().place == new.sync().place != before
    other.claim(item2)
    other.sync()
    converge(new, one, other)
    assert seats.seat(new.store) == (seats.seat(one.store).stream, new.sync().place, False)
    same_files(one, new, other)


def test_an_old_disk_with_new_lines_takes_a_new_replica_id(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    one.append(2)
    converge(one, other)
    shutil.copytree(one.path, tmp_path / "backup")
    one.append(3)
    converge(one, other)
    inode = (one.path / "local").stat().st_ino
    for name in ("journal", "local/live"):
        shutil.rmtree(one.path / name)
        shutil.copytree(tmp_path / "backup" / name, one.path / name)
    assert (one.path / "local").stat().st_ino == inode  # the same replica, as far as it knows
    one = one.again()
    before = one.store.replicas()
    one.append(1)
    converge(one, other)
    assert len(one.store.replicas()) == len(before) + 1
    new = replica(server, tmp_path, "new")
    converge(one, new, other)
    same_replay(one, other, new)
    assert len(new.replay()) == 6
    assert new.forks() or one.forks()


def test_a_server_that_is_killed_loses_nothing(server: Server, tmp_path: Path) -> None:
    one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
    for _ in range(3):
        one.append(2)
        other.append(1)
        one.sync()
        server.kill()
        with pytest.raises(Unreachable):
            other.sync()
        server.start()
    converge(one, other)
    same_files(one, other)
    same_replay(one, other)
    assert len(one.replay()) == 9


@pytest.mark.parametrize("engine", ON_DISK)
def test_a_server_put_back_to_an_older_state_is_noticed(engine: str, tmp_path: Path) -> None:
    with serving(engine, tmp_path / "server") as server:
        one, other = replica(server, tmp_path, "one"), replica(server, tmp_path, "other")
        item = one.new()
        converge(one, other)
        server.kill()
        copied(server, tmp_path / "copy")
        server.start()
        held = one.claim(item)
        one.append(2)
        assert one.sync().confirmed == [held]
        server.kill()
        put_back(server, tmp_path / "copy")
        server.start()
        other.append(1)  # written to before the other store is back
        other.sync()
        converge(one, other)
        late = other.claim(item)
        assert other.sync().conceded == [late]
        converge(one, other)
        same_replay(one, other)
        new = replica(server, tmp_path, "new")
        new.sync()
        same_files(one, new, other)
        assert new.confirmed(item) == [held]


def test_a_truncated_log_is_filled_by_whoever_holds_it(server: Server, tmp_path: Path) -> None:
    one, new = replica(server, tmp_path, "one"), replica(server, tmp_path, "new")
    for _ in range(4):
        one.append(1)
        one.sync()
    server.truncate(2)
    new.sync()
    assert new.replay() == []  # early, never wrong
    assert list(new.path.glob("local/pending/*/*"))
    one.sync()
    new.sync()
    same_files(one, new)
    assert not list(new.path.glob("local/pending/*/*"))


def test_a_lost_answer_makes_no_line_twice(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    item = one.new()
    converge(one, other)
    log = fake.data / "acme"
    (log / "deaf").touch()
    one.append(1)
    one.sync()
    assert not (log / "deaf").exists()
    claim = one.claim(item)
    one.sync()
    (log / "deaf").touch()
    one.claim(one.new())
    one.sync()
    converge(one, other)
    same_replay(one, other)
    assert one.confirmed(item) == [claim]
    entries = [entry.payload for entry in connected(fake.url).read("")]
    assert len(entries) == len(set(entries))


def test_the_state_of_a_remote_is_a_cache(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    one.append(3)
    converge(one, other)
    before = len(list(connected(fake.url).read("")))
    for path in other.path.glob("local/live/*"):
        path.write_bytes(b"{}" if path.suffix else b"\xff")
    assert sum(other.sync().received.values()) == 0
    assert len(list(connected(fake.url).read(""))) == before
    same_files(one, other)


def test_a_journal_that_was_restored_alone_is_filled_again(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    one.append(3)
    converge(one, other)
    shutil.rmtree(other.path / "journal")
    other.again().sync()
    same_files(one, other)


def test_the_log_of_another_project_is_refused(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    one.append(1)
    one.sync()
    other.store.project = "web"
    other.append(1)
    with pytest.raises(Refused, match="project acme"):
        other.sync()
    assert len(other.replay()) == 1


# ---- hostile and damaged entries


def put(server: Server, subject: str, *chunk: Chunk | bytes) -> None:
    log = connected(server.url)
    log.open()
    last = log.last(subject)
    at = last.at if last else ""
    for part in chunk:
        at = log.put(subject, at, part if isinstance(part, bytes) else chunks.pack(part))


def test_what_is_not_a_chunk_is_reported_and_passed_over(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    one.append(1)
    one.sync()
    rubbish: list[bytes] = [
        b"",
        b"\n",
        b"journal/../../x 0 0 k3f9x2ab\nx\n",
        b"local/replica/x 0 0 k3f9x2ab\nx\n",
        b"journal/agent.x~k3f9x2ab/000000000001.jsonl -1 0 k3f9x2ab\nx\n",
        b"journal/agent.x~k3f9x2ab/000000000001.jsonl 0 0 ../../..\nx\n",
        b"journal/agent.x~k3f9x2ab/000000000001.jsonl 0 0 k3f9x2ab\nnot an event\n",
        b"blobs/sha256/" + b"00/" + b"0" * 62 + b" 0 4 k3f9x2ab\nabcd",
        b"\xff" * 500,
    ]
    put(fake, "k3f9x2ab/blobs", *rubbish)
    one.append(1)
    one.sync()
    other.sync()
    same_files(one, other)
    assert len(other.warnings) == len(rubbish)
    assert sum(1 for _ in other.path.rglob("*")) < 40


def test_a_source_whose_stream_is_a_fork_here_goes_on_in_the_fork(
    fake: Server, tmp_path: Path
) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    one.append(2)
    one.sync()
    (path,) = one.path.glob("journal/*/*.jsonl")
    plain = f"journal/{path.parent.name}/{path.name}"
    data = path.read_bytes()
    first, second = data.splitlines(keepends=True)
    forged = [second.replace(b'"n":1', b'"n":%d' % n) for n in (7, 8)]
    forged[1] = (
        forged[1].replace(b'"seq":2', b'"seq":3').replace(second[13:39], second[13:38] + b"Z")
    )
    giver = "k3f9x2ab"
    at = len(first)
    put(
        fake,
        f"{giver}/{path.parent.name}",
        Chunk(plain, at, 0, giver, forged[0]),
        Chunk(plain, at + len(forged[0]), 0, giver, forged[1]),
    )
    other.sync()
    assert len(other.forks()) == 1
    (fork,) = other.path.glob("journal/*!*/*.jsonl")
    assert fork.read_bytes() == b"".join(forged)
    for state in other.path.glob("local/live/*"):
        state.unlink()
    other.sync()
    assert list(other.path.glob("journal/*!*/*.jsonl")) == [fork]
    assert fork.read_bytes() == b"".join(forged)
    again = replica(fake, tmp_path, "again")
    again.sync()
    same_files(again, other)


def test_chunks_in_any_order_come_to_the_same_files(fake: Server, tmp_path: Path) -> None:
    one = replica(fake, tmp_path, "one")
    for _ in range(30):
        one.append(100, body={"x": "y" * 400})
    (stream,) = {path.parent for path in one.path.glob("journal/*/*.jsonl")}
    giver = "k3f9x2ab"
    parts = []
    for path in stream.iterdir():
        data, begin = path.read_bytes(), 0
        while begin < len(data):
            size = random.Random(begin).randrange(1, 300_000)  # not at ends of lines
            name = f"journal/{stream.name}/{path.name}"
            parts.append(Chunk(name, begin, 0, giver, data[begin : begin + size]))
            begin += size
    random.Random(3).shuffle(parts)
    put(fake, f"{giver}/{stream.name}", *parts)
    other = replica(fake, tmp_path, "other")
    other.sync()
    same_files(one, other)
    assert not list(other.path.glob("local/pending/*/*"))
    for path in other.path.glob("journal/*/*"):
        relative = str(path.relative_to(other.path))
        assert other.live().state.has[relative] == [[0, whole_size(other.store, relative)]]


def test_a_hole_in_the_arbiters_stream_confirms_nothing(fake: Server, tmp_path: Path) -> None:
    one, other = replica(fake, tmp_path, "one"), replica(fake, tmp_path, "other")
    item = one.new()
    converge(one, other)
    one.claim(item)
    one.sync()
    one.claim(one.new())
    one.sync()
    entries = fake.data / "acme" / "entries"
    lines = entries.read_text().splitlines(keepends=True)
    arbiter = [n for n, line in enumerate(lines) if f'"subject": "{ARBITER}"' in line]
    entries.write_text("".join(line for n, line in enumerate(lines) if n != arbiter[0]))
    other.claim(item)
    exchange = other.exchange()
    with pytest.raises(Unreachable, match="nothing is confirmed"):
        exchange.run()
    assert exchange.confirmed == exchange.conceded == []
