"""What every engine of a live remote promises (`coord_kernel.sync.live.log`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, connected, copied, put_back, serving

from coord_envelope.errors import Unreachable
from coord_kernel.sync.live.log import PAYLOAD, Entry, Log, Moved

GIVER = "k3f9x2ab"
SUBJECT = f"{GIVER}/agent.tester~{GIVER}"
NAMES = (
    "arbiter",
    f"{GIVER}/blobs",
    SUBJECT,
    f"{GIVER}/agent.a.b-c_d..~{GIVER}",
    f"{GIVER}/agent.a%2fb.~{GIVER}!{'0f' * 32}",
    f"{GIVER}/bridge.{'x' * 160}~{GIVER}",
)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, tmp_path / "server") as started:
        yield started


@pytest.fixture
def log(server: Server) -> Iterator[Log]:
    log = connected(server.url)
    log.open()
    yield log
    log.close()


def filled(log: Log, count: int, subject: str = SUBJECT) -> list[str]:
    """Put so many entries; their positions."""
    last = log.last(subject)
    places = [last.at if last else ""]
    for number in range(count):
        places.append(log.put(subject, places[-1], b"%d" % number))
    return places[1:]


def test_a_log_is_born_once_and_keeps_its_project(server: Server) -> None:
    one, other = connected(server.url), connected(server.url, project="other")
    born = one.open()
    assert born.epoch
    assert born.project == "acme"
    assert other.open() == born == one.open()
    one.close()
    other.close()


def test_a_deleted_log_is_born_again(server: Server, log: Log) -> None:
    before = log.open()
    filled(log, 3)
    server.wipe()
    after = log.open()
    assert after.epoch != before.epoch
    assert list(log.read("")) == []
    assert log.last(SUBJECT) is None
    filled(log, 1)


def test_an_empty_log_has_nothing(log: Log) -> None:
    assert log.open().first == ""
    assert list(log.read("")) == []
    assert log.last(SUBJECT) is None
    first, *_ = filled(log, 2)
    assert log.open().first == first


def test_entries_come_back_as_they_were_put(log: Log) -> None:
    payloads = [b"x", bytes(range(256)), b"\n", b"a b\r\n" * 1000, b"p" * (PAYLOAD - 4096)]
    before, place, places = log.now(), "", []
    for payload in payloads:
        place = log.put(SUBJECT, place, payload)
        places.append(place)
    entries = list(log.read(""))
    assert [entry.payload for entry in entries] == payloads
    assert [entry.at for entry in entries] == places
    assert {entry.subject for entry in entries} == {SUBJECT}
    assert before <= entries[0].ms <= entries[-1].ms <= log.now()


def test_reading_begins_at_a_position_and_includes_it(log: Log) -> None:
    places = filled(log, 5)
    assert [entry.at for entry in log.read(places[2])] == places[2:]
    assert [entry.at for entry in log.read(places[4])] == places[4:]


def test_every_name_of_a_stream_is_a_subject(log: Log) -> None:
    for name in NAMES:
        log.put(name, "", name.encode())
    assert [entry.subject for entry in log.read("")] == list(NAMES)
    for name in NAMES:
        last = log.last(name)
        assert last
        assert last.payload == name.encode()


def test_a_put_that_expects_another_entry_appends_nothing(log: Log) -> None:
    first, second = filled(log, 2)
    for wrong in ("", first):
        with pytest.raises(Moved):
            log.put(SUBJECT, wrong, b"late")
    with pytest.raises(Moved):
        log.put("arbiter", second, b"of another subject")
    assert len(list(log.read(""))) == 2
    log.put(SUBJECT, second, b"third")
    log.put("arbiter", "", b"first")


def test_of_those_who_put_at_once_one_succeeds(server: Server, log: Log) -> None:
    rounds, won = 10, list[bytes]()
    barrier = threading.Barrier(4)

    def race(name: bytes) -> None:
        mine = connected(server.url)
        mine.open()
        for _ in range(rounds):
            last = mine.last("arbiter")
            barrier.wait(30)
            try:
                mine.put("arbiter", last.at if last else "", name)
                won.append(name)
            except Moved:
                pass
            barrier.wait(30)
        mine.close()

    racers = [threading.Thread(target=race, args=(b"%d" % number,)) for number in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(won) == rounds
    assert sorted(entry.payload for entry in log.read("")) == sorted(won)


def test_many_entries_are_read_in_order(log: Log) -> None:
    places = filled(log, 300)
    assert [entry.at for entry in log.read("")] == places


def test_whoever_follows_is_woken(server: Server, log: Log) -> None:
    woken = threading.Event()
    log.follow(woken.set)
    other = connected(server.url)
    other.open()
    for _ in range(3):
        woken.clear()
        (place,) = filled(other, 1)
        assert woken.wait(30)
        assert list(log.read(""))[-1].at == place
    other.close()


def test_whoever_follows_is_told_the_entries(server: Server, log: Log) -> None:
    woken = threading.Event()
    (at,) = filled(log, 1)
    log.follow(woken.set)
    other, told = connected(server.url), list[Entry]()
    other.open()
    while not told:  # what is put before the follower listens is read
        woken.clear()
        filled(other, 1)
        assert woken.wait(30)
        told = log.heard(at) or []
        at = at if told else list(log.read(""))[-1].at
    there = [(entry.at, entry.subject, entry.payload) for entry in log.read(at)]
    assert there[1:] == [(entry.at, entry.subject, entry.payload) for entry in told]
    assert log.heard("1" * 30) is None
    other.close()


def test_a_server_that_is_gone_is_unreachable_and_a_log_goes_on_when_it_is_back(
    server: Server, log: Log
) -> None:
    born, places = log.open(), filled(log, 2)
    server.kill()
    with pytest.raises(Unreachable) as refused:
        log.put(SUBJECT, places[-1], b"x")
    assert server.url in str(refused.value)
    with pytest.raises(Unreachable):
        log.open()
    server.start()
    assert log.open().epoch == born.epoch
    places += filled(log, 1)
    assert [entry.at for entry in log.read("")] == places


def test_whoever_follows_is_woken_again_after_a_restart(server: Server, log: Log) -> None:
    woken = threading.Event()
    log.follow(woken.set)
    server.kill()
    server.start()
    other = connected(server.url)
    other.open()
    woken.clear()
    filled(other, 1)
    assert woken.wait(60)
    other.close()


def test_an_older_data_directory_has_no_entry_at_the_mark_or_another_one(
    server: Server, tmp_path: Path
) -> None:
    log = connected(server.url)
    born, before = log.open(), filled(log, 2)
    log.close()
    server.kill()
    copied(server, tmp_path / "copy")
    server.start()
    log = connected(server.url)
    log.open()
    lost = log.put(SUBJECT, before[-1], b"lost")
    log.close()
    server.kill()
    put_back(server, tmp_path / "copy")
    server.start()
    log = connected(server.url)
    assert log.open().epoch == born.epoch
    assert all(entry.payload != b"lost" for entry in log.read(lost))
    with pytest.raises(Moved):
        log.put(SUBJECT, lost, b"behind it")
    log.put(SUBJECT, before[-1], b"another")
    first = next(iter(log.read(lost)))
    assert (first.at, first.payload) != (lost, b"lost")
    log.close()


def test_a_truncated_log_begins_later(server: Server, log: Log) -> None:
    places = filled(log, 5)
    server.truncate(3)
    assert log.open().first == places[3]
    assert [entry.at for entry in log.read("")] == places[3:]
    assert [entry.at for entry in log.read(places[0])] == places[3:]
    last = log.last(SUBJECT)
    assert last
    assert last.at == places[4]
    log.put(SUBJECT, places[4], b"goes on")


def test_what_was_answered_outlives_a_kill(server: Server, log: Log) -> None:
    places = filled(log, 50)
    server.kill()
    server.start()
    assert [entry.at for entry in log.read("")][:50] == places


def test_what_a_replica_tells_is_heard_and_replaced(server: Server, log: Log) -> None:
    log.open()
    other = connected(server.url)
    other.open()
    assert log.told() == {}
    log.tell("k3f9x2ab", b"first\n" * 1000)
    other.tell("zzzzzzzz", b"other")
    woken = threading.Event()
    other.follow(woken.set)
    assert other.told() == {"k3f9x2ab": b"first\n" * 1000, "zzzzzzzz": b"other"}
    log.tell("k3f9x2ab", b"second")
    while not woken.wait(1):  # what is told before the follower listens wakes nobody
        log.tell("k3f9x2ab", b"second")
    assert other.told()["k3f9x2ab"] == b"second"
    log.tell("k3f9x2ab", b"")
    assert other.told() == {"zzzzzzzz": b"other"}
    assert list(log.read("")) == []  # it is no part of the log
    other.close()
