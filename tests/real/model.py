"""A scripted model on the loopback interface, in the four forms that coding agents ask for.

A script is a list of turns, `say(TEXT)` or `use(TOOL, **INPUT)`. A request that offers tools takes
the next one; when none is left the model says `done`. A request without tools (a title, a router)
is answered and takes none. Every request with tools is kept, so what the model was told is there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

Json = dict[str, Any]
Turn = Json
KEY = "loopback-key"
"""What programs send as their key."""
_number = count(1)


def say(text: str) -> Turn:
    """The model answers, and its turn is over."""
    return {"text": text}


def use(tool: str, **fields: Any) -> Turn:
    """The model uses a tool."""
    return {"tool": tool, "input": fields}


class Model:
    """The server. It answers until it is closed; `url` is where, without a path."""

    def __init__(self) -> None:
        self.requests: list[Json] = []
        self.before: Callable[[int], None] = lambda _number: None
        """Called with the number of a request, from 0, before it is answered."""
        self._turns: list[Turn] = []
        self._news = threading.Condition()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind, lines = model.answer(self.path, json.loads(data or b"{}"))
                body = "".join(lines).encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send_error(404)

            def do_HEAD(self) -> None:
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def script(self, *turns: Turn) -> None:
        """Forget what was asked, and answer in this way from now on."""
        with self._news:
            self._turns, self.requests = list(turns), []

    def wait(self, number: int, seconds: float = 60) -> bool:
        """Were so many requests with tools made, or are they within `seconds`?"""
        with self._news:
            return self._news.wait_for(lambda: len(self.requests) >= number, seconds)

    def told(self, text: str) -> list[int]:
        """The numbers of the requests, from 0, in which the model was told this."""
        return [
            number
            for number, request in enumerate(self.requests)
            if text in json.dumps(request, ensure_ascii=False)
        ]

    def answer(self, path: str, request: Json) -> tuple[str, Iterator[str]]:
        """The type of the content and the text of a response."""
        if "count_tokens" in path or "countTokens" in path:
            return "application/json", iter(['{"input_tokens": 1, "totalTokens": 1}'])
        turn = self._next(request) if _tools(request) else say("done")
        events = next(form for end, form in _FORMS.items() if end in path)(turn, request)
        if "streamGenerateContent" in path or request.get("stream"):
            return "text/event-stream", map(_line, events)
        return "application/json", iter([json.dumps(_whole(path, turn))])

    def _next(self, request: Json) -> Turn:
        with self._news:
            self.requests.append(request)
            number = len(self.requests) - 1
            turn = self._turns.pop(0) if self._turns else say("done")
            self._news.notify_all()
        self.before(number)
        return turn


def _tools(request: Json) -> bool:
    """Does it offer tools? A newer form of Responses has them in its input."""
    given = request.get("input")
    inside = isinstance(given, list) and any(
        isinstance(item, dict) and item.get("tools") for item in given
    )
    return bool(request.get("tools")) or inside


def _line(event: Json | str) -> str:
    if isinstance(event, str):
        return f"data: {event}\n\n"
    named = f"event: {event['type']}\n" if "type" in event else ""
    return f"{named}data: {json.dumps(event)}\n\n"


def _whole(path: str, turn: Turn) -> Json:
    """A response that is not streamed, of one who asks without tools."""
    text = turn.get("text", "done")
    if "messages" in path:
        usage = {"input_tokens": 1, "output_tokens": 1}
        content = [{"type": "text", "text": text}]
        return {**_message(), "content": content, "stop_reason": "end_turn", "usage": usage}
    if "completions" in path:
        message = {"role": "assistant", "content": text}
        return {
            **_chunk({}),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
    return _candidate([{"text": text}])


def _message() -> Json:
    return {
        "id": f"msg_{next(_number)}",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _messages(turn: Turn, _request: Json) -> Iterator[Json | str]:
    """Anthropic's Messages."""
    yield {"type": "message_start", "message": _message()}
    if "tool" in turn:
        block = {"type": "tool_use", "id": f"toolu_{next(_number)}", "name": turn["tool"]}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(turn["input"])}
        yield {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
    else:
        delta = {"type": "text_delta", "text": turn["text"]}
        empty = {"type": "text", "text": ""}
        yield {"type": "content_block_start", "index": 0, "content_block": empty}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    why = "tool_use" if "tool" in turn else "end_turn"
    end: Json = {"stop_reason": why, "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def _responses(turn: Turn, _request: Json) -> Iterator[Json | str]:
    """OpenAI's Responses."""
    name = f"resp_{next(_number)}"
    if "tool" in turn:
        text = json.dumps(turn["input"])
        call = {"id": f"fc_{next(_number)}", "call_id": f"call_{next(_number)}"}
        item: Json = {"type": "function_call", **call, "name": turn["tool"], "arguments": text}
        item |= {"namespace": turn["namespace"]} if "namespace" in turn else {}
    else:
        content = [{"type": "output_text", "text": turn["text"]}]
        item = {"type": "message", "id": name, "role": "assistant", "content": content}
    yield {"type": "response.created", "response": {"id": name}}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield {"type": "response.completed", "response": {"id": name, "usage": usage}}


def _chunk(delta: Json, why: str | None = None) -> Json:
    return {
        "id": f"chat_{next(_number)}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": why}],
    }


def _completions(turn: Turn, _request: Json) -> Iterator[Json | str]:
    """OpenAI's Chat Completions."""
    if "tool" in turn:
        function = {"name": turn["tool"], "arguments": json.dumps(turn["input"])}
        call = {"index": 0, "id": f"call_{next(_number)}", "type": "function"}
        yield _chunk({"role": "assistant", "tool_calls": [{**call, "function": function}]})
    else:
        yield _chunk({"role": "assistant", "content": turn["text"]})
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    yield _chunk({}, "tool_calls" if "tool" in turn else "stop") | {"usage": usage}
    yield "[DONE]"


def _candidate(parts: list[Json]) -> Json:
    content = {"role": "model", "parts": parts}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    candidates = [{"content": content, "finishReason": "STOP", "index": 0}]
    return {"candidates": candidates, "usageMetadata": usage}


def _gemini(turn: Turn, _request: Json) -> Iterator[Json | str]:
    """Gemini's generateContent."""
    if "tool" in turn:
        yield _candidate([{"functionCall": {"name": turn["tool"], "args": turn["input"]}}])
    else:
        yield _candidate([{"text": turn["text"]}])


_FORMS: dict[str, Callable[[Turn, Json], Iterator[Json | str]]] = {
    "/messages": _messages,
    "/responses": _responses,
    "/completions": _completions,
    "enerateContent": _gemini,
}
