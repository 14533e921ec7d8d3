"""The floor of a hop on each engine: a bare client that puts, and one that prints what comes.

`python bench/bare.py URL` prints a line for each entry. It has no store, no journal and no check.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

PAYLOAD = "x" * 300
_KEY, _SUBJECT, _STREAM = "bare", "bare.entries", "bare"
_RELAY = "k3f9x2ab/agent.bare~k3f9x2ab"


def writer(url: str, password: str = "") -> Callable[[], object]:
    """What puts an entry and returns when the server has it on its disk."""
    if url.startswith("redis:"):
        import redis

        client = redis.Redis.from_url(url.rpartition("/")[0])
        return lambda: client.xadd(_KEY, {"p": PAYLOAD})
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    making = _nats_put(url) if url.startswith("nats:") else _relay_put(url, password)
    put = asyncio.run_coroutine_threadsafe(making, loop).result()
    return lambda: asyncio.run_coroutine_threadsafe(put(), loop).result()


async def _nats(url: str) -> Any:
    import nats

    async def quiet(_: object) -> None:
        pass

    server = url.rpartition("/")[0]
    return await nats.connect(server, allow_reconnect=False, error_cb=quiet)


async def _nats_put(url: str) -> Callable[[], Any]:
    stream = (await _nats(url)).jetstream()
    await stream.add_stream(name=_STREAM, subjects=[_SUBJECT])
    return lambda: stream.publish(_SUBJECT, PAYLOAD.encode())


async def _relay_put(url: str, password: str) -> Callable[[], Any]:
    socket, at = await _relay(url, password), 0

    async def put() -> None:
        nonlocal at
        head = {"do": "put", "subject": _RELAY, "expected": at}
        await socket.send(json.dumps(head).encode() + b"\n" + PAYLOAD.encode())
        at = json.loads(await socket.recv())["at"]

    return put


async def _relay(url: str, password: str) -> Any:
    from websockets.asyncio.client import connect

    headers = {"Authorization": f"Bearer {password}"}
    socket = await connect(url, additional_headers=headers, compression=None)
    await socket.send(json.dumps({"do": "open", "project": "bare"}).encode())
    await socket.recv()
    return socket


async def _follow(url: str) -> None:
    if url.startswith("nats:"):
        import nats

        stream = (await _nats(url)).jetstream()

        async def show(_: object) -> None:
            print("entry", flush=True)

        await stream.subscribe(_SUBJECT, cb=show, deliver_policy=nats.js.api.DeliverPolicy.NEW)
        await asyncio.Event().wait()
    socket = await _relay(url, os.environ.get("COORD_WS_PASSWORD", ""))
    await socket.send(json.dumps({"do": "follow", "at": 0}).encode())
    while True:
        if json.loads((await socket.recv()).partition(b"\n")[0]).get("entries"):
            print("entry", flush=True)


def _follow_redis(url: str) -> None:
    import redis

    client: Any = redis.Redis.from_url(url.rpartition("/")[0], protocol=2)
    last: Any = "$"
    while True:
        for _, rows in client.xread({_KEY: last}, block=0):
            last = rows[-1][0]
            print("entry", flush=True)


if __name__ == "__main__":
    if sys.argv[1].startswith("redis:"):
        _follow_redis(sys.argv[1])
    else:
        asyncio.run(_follow(sys.argv[1]))
