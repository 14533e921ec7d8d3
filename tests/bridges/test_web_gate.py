"""coord-web: whose token and cookie open what, and how many streams a server has at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import Shell
from web_server import WebServer, ask, cookie

if missing := WebServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[web]", allow_module_level=True)

from coord_envelope.errors import Usage
from coord_web import feed
from coord_web.gate import Gate, origin_of


@pytest.fixture
def web(shell: Shell) -> Iterator[WebServer]:
    shell("msg join --as human:eve")
    server = WebServer(shell)
    server.start()
    yield server
    server.stop()


def test_the_gate_behind_a_proxy_knows_what_browsers_see() -> None:
    assert origin_of("https://Coord.example.org/") == (
        "https://coord.example.org",
        "coord.example.org",
    )
    assert origin_of("https://a:443")[0] == "https://a", "browsers leave it out"
    assert origin_of("http://[::1]:7380")[0] == "http://[::1]:7380"
    wrong = ["coord.example.org", "https://a/b", "https://u@a", "https://", "https://a?b"]
    wrong += ["http://a:99999", "http://a:0", "http://a:x", "http://[::1", "http://a b", "http://é"]
    for url in wrong:
        with pytest.raises(Usage):
            origin_of(url)


def test_each_origin_and_agent_has_secrets_of_its_own() -> None:
    servers = (("http://a:1", "eve"), ("http://a:2", "eve"), ("http://a:1", "ned"))
    gates = [Gate(b"k" * 32, ("a",), (origin,), agent) for origin, agent in servers]
    gates.append(Gate(b"k" * 32, ("a",), ("http://a:1",), None))
    secrets = {value for gate in gates for value in (gate.token, gate.csrf, gate.cookie)}
    assert len(secrets) == 3 * len(gates)


def test_who_may_look_at_one_server_cannot_act_at_another(web: WebServer, shell: Shell) -> None:
    only = WebServer(shell, "--read-only")
    only.start()
    mine, host = cookie(only), {"Origin": web.base}
    assert ask(f"{only.base}/s/acme/", Cookie=mine)[0] == 200
    assert ask(f"{web.base}/?token={only.token}")[0] == 401
    theirs = f"{cookie(web).partition('=')[0]}={mine.partition('=')[2]}"
    for kept in (mine, theirs):
        assert ask(f"{web.base}/s/acme/", Cookie=kept)[0] == 401
        assert ask(f"{web.base}/s/acme/do/new", b"title=x", Cookie=kept, **host)[0] == 401
    only.stop()


def test_the_token_is_in_a_file_when_the_output_is_not_a_terminal(web: WebServer) -> None:
    assert list(web.ready) == ["url", "file"]
    assert web.ready["url"] == f"{web.base}/"
    assert Path(web.ready["file"]).stat().st_mode & 0o777 == 0o600
    assert web.token in web.url


def test_event_streams_are_counted_before_they_start() -> None:
    async def nothing() -> AsyncIterator[Any]:
        yield {"event": "over", "data": ""}

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def lost(message: Any) -> None:
        raise OSError

    async def main() -> None:
        for end in (send, lost):
            answers = [places.answer(nothing()) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
            for answer in answers[:2]:
                with suppress(OSError):
                    await answer({"type": "http", "method": "GET"}, receive, end)
            assert places.taken == 0, "also if the response never starts"

    sent: list[str] = []
    places = feed.Places(2, "full")
    asyncio.run(main())
    assert "http.response.body" in sent


def test_nothing_piles_up_for_a_client_that_does_not_read() -> None:
    given = []

    async def busy() -> AsyncIterator[Any]:
        for n in range(1_000):
            given.append(n)
            yield {"event": "part", "data": json.dumps({"part": "needs", "html": str(n)})}

    async def main() -> None:
        events = feed.merged({"one": busy()})
        await anext(events)
        for _ in range(50):  # turns of the loop
            await asyncio.sleep(0)
        assert len(given) < 5
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
