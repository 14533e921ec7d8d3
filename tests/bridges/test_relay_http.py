"""coord-relay over plain HTTP: programs without a store publish and follow."""

from __future__ import annotations

import contextlib
import json
import os
import select
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from live.relay_server import RelayServer
from support import Shell

if missing := RelayServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[relay]", allow_module_level=True)

from coord_relay import tokens


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayServer]:
    server = RelayServer(tmp_path / "relay")
    server.start()
    yield server
    server.kill()


class Curl:
    """The project over plain HTTP."""

    def __init__(self, relay: RelayServer, token: str | None = None) -> None:
        self._base = relay.url.replace("ws", "http", 1)
        self._headers = {"Authorization": f"Bearer {token or relay.token}"}

    def open(
        self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        url, all_headers = f"{self._base}/{path}", self._headers | (headers or {})
        answer: HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(url, data, all_headers), timeout=60
        )
        return answer

    def publish(self, draft: object) -> dict[str, Any]:
        with self.open("publish", json.dumps(draft).encode()) as answer:
            event: dict[str, Any] = json.load(answer)
            return event

    def failure(
        self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        with pytest.raises(urllib.error.HTTPError) as failed:
            self.open(path, data, headers)
        return failed.value.status or 0, failed.value.read().decode()


def received(stream: HTTPResponse) -> dict[str, str]:
    """The next server-sent event: its fields."""
    fields: dict[str, str] = {}
    for line in iter(lambda: stream.readline().decode().rstrip("\n"), ""):
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields if fields != {":": ""} else received(stream)


def until_cursor(stream: HTTPResponse) -> tuple[list[dict[str, Any]], str]:
    """The events up to a cursor, and the cursor."""
    events = []
    while "id" not in (fields := received(stream)):
        events.append(json.loads(fields["data"]))
    assert fields["event"] == "cursor"
    assert fields["id"] == fields["data"]
    return events, fields["id"]


def test_a_program_without_a_store_takes_part(relay: RelayServer, shell: Shell) -> None:
    curl = Curl(relay)
    first = curl.publish({"type": "note.made", "body": {"n": 1}})
    assert first["actor"] == {"agent_id": "bridge:tester"}
    assert first["project"] == "acme"
    shell.env["COORD_WS_PASSWORD"] = relay.token
    with curl.open("events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events, _ = until_cursor(stream)
        assert [event["event_id"] for event in events] == [first["event_id"]]
        shell("ev emit note.made n=2")
        row = shell(f"ev sync --remote {relay.url}").one
        assert row["sent"] == 1
        events, cursor = [], ""
        while not events:
            events, cursor = until_cursor(stream)
        assert [event["body"] for event in events] == [{"n": 2}]
    while not shell("ev replay --type note.made --agent bridge:tester").lines:
        shell("ev sync")
    third = curl.publish({"type": "note.made", "body": {"n": 3}, "idempotency_key": "k"})
    assert curl.publish({"type": "note.made", "body": {"n": 3}, "idempotency_key": "k"})["$dup"]
    resumed = {"Last-Event-ID": cursor}
    for path, headers in ((f"events?cursor={quote(cursor)}", None), ("events", resumed)):
        with curl.open(path, headers=headers) as stream:
            events, _ = until_cursor(stream)
            assert [event["event_id"] for event in events] == [third["event_id"]]
    none = quote('{"types":["no.such"]}')
    with curl.open(f"events?filter={none}") as stream:
        assert until_cursor(stream)[0] == []


def test_what_is_wrong_over_http_is_answered_as_the_bus_does(relay: RelayServer) -> None:
    curl = Curl(relay)
    for data, what in (
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"type":"note made"}', "not a valid type"),
        (b'{"type":"note.made","body":{"x":"' + b"x" * (1 << 20) + b'"}}', "exceeds"),
    ):
        status, body = curl.failure("publish", data)
        assert (status, json.loads(body)["status"]) == (400, 65)
        assert what in json.loads(body)["what"]
    for query in ("cursor=3", "cursor={", "filter=[]", "limit=1"):
        assert curl.failure(f"events?{query}")[0] == 400
    with curl.open("events?filter=" + quote('{"no":[]}')) as stream:
        assert received(stream)["event"] == "fault"
    assert curl.failure("publish")[0] == 405
    assert curl.failure("events", headers={"Origin": "https://x.example"})[0] == 403
    assert Curl(relay, "wrong").failure("events") == (401, "unknown token\n")


def test_over_http_a_token_reads_or_writes_as_it_may(relay: RelayServer) -> None:
    Curl(relay).publish({"type": "note.made", "body": {}})
    for replicas in (("-",), ("k3f9x2ab",)):
        curl = Curl(relay, tokens.add(f"{relay.data}/tokens", "other", "acme", replicas))
        status, body = curl.failure("publish", b'{"type":"note.made"}')
        assert status == 403
        assert "does not write the replica of the relay" in body
        with curl.open("events") as stream:
            assert len(until_cursor(stream)[0]) == 1


def test_with_the_relay_its_processes_end(relay: RelayServer) -> None:
    curl = Curl(relay)
    curl.publish({"type": "note.made", "body": {}})
    stream = curl.open("events")
    until_cursor(stream)
    started = children(relay.pid)
    assert len(started) == 2
    relay.stop()
    stream.close()
    for pid in started:
        wait_until_gone(pid)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def wait_until_gone(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)
