"""What a mirror gives and takes in at once, without looking at everything or asking the server."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from live.engines import Server, serving
from live.world import Replica, same_files

from coord_kernel.streams.follow import Watcher
from coord_kernel.sync.live import heard as heards
from coord_kernel.sync.live import outbox
from coord_kernel.sync.live.heard import Heard
from coord_kernel.sync.live.log import Entry
from coord_kernel.sync.live.mirror import Link, Mirror
from coord_kernel.sync.live.remote import Live

NOT_CALLED = AssertionError("everything was looked at")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    with serving("fake", tmp_path / "server") as started:
        yield started


class Watched:
    """A store and its mirror, called by hand."""

    def __init__(self, path: Path, server: Server) -> None:
        self.replica = Replica(path, server, path.name)
        self.mirror = Mirror(self.replica.journal, [self.replica.live()], True, lambda _: None)
        self.link.live.wait()  # follow
        self.mirror.pull(self.link)

    @property
    def link(self) -> Link:
        return self.mirror.links[0]

    @property
    def directories(self) -> set[str]:
        return {f"journal/{name}" for name in self.replica.store.listdir("journal")}

    def give(self) -> None:
        self.mirror.give(self.directories)

    def hear(self) -> None:
        """Take in what the follower was told, until it was told of the last entry."""
        poll = select.poll()
        poll.register(self.link.live.wait(), select.POLLIN)
        last = list(self.link.live._log.read(""))[-1].at
        while self.link.live.state.at != last:
            assert poll.poll(30_000)
            self.link.live.woken()
            self.mirror.hear(self.link)


@pytest.fixture
def two(fake: Server, tmp_path: Path) -> Iterator[tuple[Watched, Watched]]:
    one, other = (Watched(tmp_path / name, fake) for name in ("one", "other"))
    one.replica.append()
    one.give()
    other.mirror.pull(other.link)
    yield one, other
    for each in (one, other):
        each.mirror.close()


def entry(at: int) -> Entry:
    return Entry(str(at), "k3f9x2ab/agent.a~k3f9x2ab", b"x" * 10, 0)


def test_what_was_told_is_given_once_and_only_behind_a_known_position() -> None:
    heard = Heard()
    assert heard.behind("3") is None
    heard.begin("3")
    assert heard.behind("3") == []
    assert heard.behind("2") is None
    assert heard.add([entry(4), entry(5)])
    assert heard.behind("4") == [entry(5)]
    assert heard.behind("4") is None
    assert heard.behind("5") == []
    heard.lost()
    assert heard.behind("5") is None


def test_of_too_much_that_was_told_nothing_is_kept() -> None:
    heard = Heard()
    heard.begin("3")
    with mock.patch.object(heards, "MOST", 15):
        assert heard.add([entry(4)])
        assert not heard.add([entry(5)])
    assert heard.behind("3") is None


def test_a_watcher_says_which_directories_changed(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    watcher = Watcher(str(tmp_path))
    watcher.watch(["one", "other"])
    if watcher.fd is None:
        pytest.skip("no inotify here")
    (tmp_path / "other" / "file").write_text("x")
    assert watcher.changed() == {"other"}
    assert watcher.changed() == set()


def test_an_appended_event_is_given_and_taken_in_without_a_look_at_everything(
    two: tuple[Watched, Watched],
) -> None:
    one, other = two
    one.replica.append()
    with mock.patch.object(outbox, "missing", side_effect=NOT_CALLED):
        one.give()
    with (
        mock.patch.object(outbox, "missing", side_effect=NOT_CALLED),
        mock.patch.object(Live, "pull", side_effect=NOT_CALLED),
    ):
        other.hear()
    same_files(one.replica, other.replica)
    assert other.link.due < one.link.due + 1  # both look at the rest in a moment


def test_half_a_line_is_not_given(two: tuple[Watched, Watched]) -> None:
    one, _ = two
    (path,) = one.replica.path.glob("journal/*/*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event_id":"0')
    before = len(list(one.link.live._log.read("")))
    one.give()
    assert len(list(one.link.live._log.read(""))) == before


def test_a_new_segment_and_a_new_stream_are_given_at_once(two: tuple[Watched, Watched]) -> None:
    one, other = two
    one.replica.append(100, body={"x": "y" * 12_000})
    one.give()
    one.replica.append()
    one.give()
    assert len(list(one.replica.path.glob("journal/*/*.jsonl"))) > 1
    other.mirror.pull(other.link)
    same_files(one.replica, other.replica)


def test_a_claim_is_confirmed_when_it_is_given(two: tuple[Watched, Watched]) -> None:
    one, other = two
    item = one.replica.new()
    one.give()
    claim = one.replica.claim(item)
    one.give()
    assert one.replica.confirmed(item) == [claim]
    other.mirror.pull(other.link)
    theirs = other.replica.claim(item)
    other.give()
    assert other.replica.confirmed(item) == [claim]
    assert theirs not in other.replica.claims(item)["confirmed"]


def test_what_goes_on_behind_a_later_segment_is_a_fork(two: tuple[Watched, Watched]) -> None:
    one, other = two
    one.replica.append()
    one.give()
    other.mirror.pull(other.link)
    (path,) = other.replica.path.glob("journal/*/*.jsonl")
    later = path.with_name(f"{9:012d}.jsonl")
    later.write_bytes(path.read_bytes())
    held = path.read_bytes()
    one.replica.append()
    one.give()
    other.mirror.pull(other.link)
    assert path.read_bytes() == held
    assert len(other.replica.forks()) == 1


def test_what_came_of_a_deleted_log_is_read_again(
    two: tuple[Watched, Watched], fake: Server
) -> None:
    one, other = two
    for path in Path(fake.url.partition("://")[2]).glob("*"):
        path.unlink()
    one.replica.append()
    one.mirror.pull(one.link)
    one.link.live._sure = other.link.live._sure = 0
    one.mirror.pull(one.link)
    other.mirror.pull(other.link)
    same_files(one.replica, other.replica)
    assert one.link.live.epoch == other.link.live.epoch
