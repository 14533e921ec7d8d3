"""Slack for tests: its Web API on HTTP and Socket Mode on `websockets`, in memory.

What is said is sent to whoever is connected, twice if `twice`, and kept for history. A method may be
told to fail: with a status, or by doing it and then cutting the connection.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ports import free_port
from support import Json
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

BOT = "UBOT"


class Slack:
    """One workspace."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.calls = Counter[str]()
        self.fail: dict[str, deque[int]] = {}
        """Method → statuses; 0: do it, and cut the connection. 200: answer as usual."""
        self.refuse: dict[str, dict[str, str]] = {}
        """Method → what a text holds → the error that is the answer."""
        self.answers: dict[str, Json] = {}
        """Method → its answer, whatever it would be."""
        self.twice = False
        self.acked = set[str]()
        self.connected, self._changed = threading.Event(), threading.Condition()
        self._sockets: list[ServerConnection] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self.http, self.ws = free_port(), free_port()

    # ---- what people do

    def say(self, user: str, text: str, root: str | None = None, channel: str = "C1") -> str:
        """Somebody writes; the ts. Returns when it is acknowledged, if anybody is connected."""
        ts = self._add({"channel": channel, "user": user, "text": text}, root)
        event = {"type": "message", "channel": channel, "user": user, "text": text, "ts": ts}
        event |= {"thread_ts": root} if root else {}
        self.send("events_api", {"event": event, "event_id": f"Ev{ts}"})
        if f"<@{BOT}>" in text:
            self.send("events_api", {"event": {**event, "type": "app_mention"}, "event_id": "Ev2"})
        return ts

    def press(self, user: str, message: Json, option: str) -> None:
        """Somebody presses a button of a message."""
        (button,) = (
            element
            for block in message["blocks"]
            for element in block.get("elements", ())
            if element["text"]["text"] == option
        )
        action = {key: button[key] for key in ("action_id", "value")}
        payload = {
            "type": "block_actions",
            "user": {"id": user},
            "channel": {"id": message["channel"]},
            "container": {"message_ts": message["ts"], "channel_id": message["channel"]},
            "actions": [{**action, "action_ts": f"{next(self._ids)}.0"}],
        }
        self.send("interactive", payload)

    def send(self, kind: str, payload: Json) -> None:
        """To the connection that came last, and wait until it is acknowledged."""
        socket = next(reversed(self._sockets), None)
        for _ in range(0 if socket is None else 2 if self.twice else 1):
            assert socket
            name = f"env{next(self._ids)}"
            said = {"type": kind, "envelope_id": name, "payload": payload}
            try:
                socket.send(json.dumps(said | {"accepts_response_payload": False}))
            except ConnectionClosed:
                return
            with self._changed:
                done = partial(self._is_done, name, socket)
                assert self._changed.wait_for(done, 30), f"not acknowledged: {payload}"

    def _is_done(self, name: str, socket: ServerConnection) -> bool:
        return name in self.acked or socket not in self._sockets

    def _add(self, message: Json, root: str | None) -> str:
        with self._lock:
            ts = f"{4_000_000_000 + next(self._ids)}.000100"  # after any clock of a test
            self.messages.append(
                {"type": "message", "ts": ts, **message} | ({"thread_ts": root} if root else {})
            )
        return ts

    def texts(self, channel: str = "C1") -> list[str]:
        """What the bot has posted, in order."""
        posted = (m for m in self.messages if m.get("bot_id") and m["channel"] == channel)
        return [message["text"] for message in posted]

    def posted(self, text: str) -> Json:
        """The one message of the bot that begins so."""
        (found,) = (m for m in self.messages if m.get("bot_id") and m["text"].startswith(text))
        return found

    # ---- the Web API

    def call(self, method: str, values: Json) -> Json:
        channel = values.get("channel")
        if method in self.answers:
            return self.answers[method]
        for part, error in self.refuse.get(method, {}).items():
            if part in str(values.get("text")):
                return {"ok": False, "error": error}
        if method == "auth.test":
            return {"ok": True, "user_id": BOT, "user": "coord", "team_id": "T1"}
        if method == "apps.connections.open":
            return {"ok": True, "url": f"ws://127.0.0.1:{self.ws}/?ticket=1"}
        if method == "chat.postMessage":
            kept = ("channel", "text", "blocks", "metadata")
            message = {name: values[name] for name in kept if values.get(name) is not None}
            ts = self._add({**message, "bot_id": "B1", "user": BOT}, values.get("thread_ts"))
            return {"ok": True, "channel": channel, "ts": ts}
        if method == "chat.update":
            (found,) = (m for m in self.messages if m["ts"] == values["ts"])
            found |= {"text": values["text"], "blocks": values["blocks"]}
            found["edits"] = found.get("edits", 0) + 1
            return {"ok": True, "channel": channel, "ts": values["ts"]}
        if method in ("conversations.history", "conversations.replies"):
            return self._page(method, values)
        return {"ok": False, "error": "unknown_method"}

    def _page(self, method: str, values: Json) -> Json:
        root, oldest = values.get("ts"), str(values.get("oldest", "0"))
        found = [m for m in self.messages if m["channel"] == values["channel"]]
        if method == "conversations.replies":
            found = [m for m in found if root in (m["ts"], m.get("thread_ts"))]
        else:
            found = [m for m in found if m.get("thread_ts") in (None, m["ts"])][::-1]
        found = [m for m in found if m["ts"] > oldest or m["ts"] == root]
        begin, size = int(values.get("cursor") or 0), int(values.get("limit", 100))
        rest = begin + size < len(found)
        cursor = {"response_metadata": {"next_cursor": str(begin + size)}} if rest else {}
        return {"ok": True, "messages": found[begin : begin + size]} | cursor

    def handler(self) -> type[BaseHTTPRequestHandler]:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                method = urlsplit(self.path).path.rpartition("/")[2]
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                kind = self.headers.get("content-type", "")
                values = json.loads(body) if "json" in kind and body else dict(parse_qsl(body))
                values |= dict(parse_qsl(urlsplit(self.path).query))
                slack.calls[method] += 1
                planned = slack.fail.get(method)
                status = planned.popleft() if planned else 200
                if status in (0, 200):
                    answer = slack.call(method, values)
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                data = json.dumps(answer if status == 200 else {"ok": False, "error": "x"}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json; charset=utf-8")
                self.send_header("content-length", str(len(data)))
                if status == 429:
                    self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    # ---- Socket Mode

    def socket(self, connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        self._sockets.append(connection)
        self.connected.set()
        try:
            for raw in connection:
                said: Any = json.loads(raw) if str(raw).startswith("{") else {}
                with self._changed:
                    self.acked.add(str(said.get("envelope_id")))
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self._sockets.remove(connection)
                self.connected.clear()
                self._changed.notify_all()

    def drop(self) -> None:
        """Close all connections, as Slack does now and then."""
        self.connected.clear()
        for socket in list(self._sockets):
            socket.close()

    def wait_alone(self) -> bool:
        """Wait until nobody is connected."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sockets, 30)


@contextmanager
def workspace() -> Iterator[Slack]:
    """A workspace that serves."""
    slack = Slack()
    http = ThreadingHTTPServer(("127.0.0.1", slack.http), slack.handler())
    with http, serve(slack.socket, "127.0.0.1", slack.ws) as ws:
        threads = [threading.Thread(target=each.serve_forever) for each in (http, ws)]
        for thread in threads:
            thread.start()
        try:
            yield slack
        finally:
            http.shutdown()
            ws.shutdown()
            for thread in threads:
                thread.join()
