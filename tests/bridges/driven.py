"""A program that is driven by messages: `driven.py PROTOCOL`. Stands in for coding agents.

Each text that it is given it appends to $SEEN. A turn that is asked to `hold` ends when it is given
a text more, or if `$GO` is set, when something is written to that FIFO; `ask` asks for a permission.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def note(text: str) -> None:
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{text}\n")


def messages() -> Iterator[Json]:
    for line in sys.stdin:
        yield json.loads(line)


def turn(text: str, ask: Callable[[], str], more: Callable[[], str]) -> None:
    """What one turn does."""
    note(text)
    if "ask" in text:
        note(f"answered {ask()}")
    if "hold" in text:
        if "GO" in os.environ:
            with open(os.environ["GO"]) as file:
                file.read()
        else:
            note(f"steered {more()}")


def stream_json() -> None:
    lines = messages()

    def next_text() -> str:
        return str(next(lines)["message"]["content"][0]["text"])

    while True:
        try:
            text = next_text()
        except StopIteration:
            return
        say(type="system", subtype="init", session_id="its-own")
        turn(text, str, next_text)
        say(type="result", session_id="its-own", usage={"in": 7})


def rpc() -> None:
    lines = messages()

    def next_text() -> str:
        return str(next(lines)["message"])

    for message in lines:
        if message["type"] == "get_state":
            data = {"sessionId": "its-own"}
            say(type="response", command="get_state", id=message["id"], success=True, data=data)
            continue
        say(type="response", command="prompt", id=message["id"], success=True)
        say(type="agent_start")

        def ask() -> str:
            say(type="extension_ui_request", id="d1", method="confirm", title="Clear it?")
            return json.dumps(next(lines).get("confirmed"))

        turn(message["message"], ask, next_text)
        say(type="agent_settled")


def app_server() -> None:
    lines = messages()
    for message in lines:
        method, number = message.get("method"), message.get("id")
        if method == "initialize":
            say(id=number, result={"userAgent": "x"})
        elif method == "thread/start":
            say(id=number, result={"thread": {"id": "its-own"}})
        elif method == "thread/resume":
            note(f"resumed {message['params']['threadId']}")
            say(id=number, result={"thread": {"id": message["params"]["threadId"]}})
        elif method == "turn/start":
            about = {"threadId": "its-own", "turn": {"id": "t1"}}
            say(id=number, result={"turn": {"id": "t1"}})
            say(method="turn/started", params=about)

            def ask() -> str:
                what = {"threadId": "its-own", "command": "rm -r x", "reason": "it is old"}
                say(id=7, method="item/commandExecution/requestApproval", params=what)
                return str(next(lines)["result"]["decision"])

            def more() -> str:
                steer = next(lines)
                say(id=steer["id"], result={"turnId": "t1"})
                return f"{steer['method']} {steer['params']['input'][0]['text']}"

            turn(message["params"]["input"][0]["text"], ask, more)
            say(method="turn/completed", params=about)


def acp() -> None:
    lines = messages()
    for message in lines:
        method, number, params = message.get("method"), message.get("id"), message.get("params", {})

        def reply(result: Json, number: object = number) -> None:
            say(jsonrpc="2.0", id=number, result=result)

        if method == "initialize":
            can = {"loadSession": True, "promptCapabilities": {"image": True}}
            reply({"protocolVersion": 1, "agentCapabilities": can, "authMethods": []})
        elif method == "session/new":
            reply({"sessionId": "its-own"})
        elif method == "session/load":
            note(f"loaded {params['sessionId']}")
            reply({})
        elif method == "session/prompt":
            session = params["sessionId"]

            def ask(session: str = session) -> str:
                options = [("y", "Allow", "allow_once"), ("n", "Reject", "reject_once")]
                asked = {
                    "sessionId": session,
                    "toolCall": {"toolCallId": "c1", "title": "Run `rm x`", "rawInput": {"a": 1}},
                    "options": [
                        dict(zip(("optionId", "name", "kind"), o, strict=True)) for o in options
                    ],
                }
                say(jsonrpc="2.0", id=70, method="session/request_permission", params=asked)
                while (answer := next(lines)).get("id") != 70:
                    note(f"meanwhile {answer.get('method')}")
                outcome = answer["result"]["outcome"]
                return str(outcome.get("optionId", outcome["outcome"]))

            def more() -> str:
                steer = next(lines)
                return str(steer["params"]["prompt"][0]["text"])

            text = "".join(block.get("text", "") for block in params["prompt"])
            turn(text, ask, more)
            update = {
                "sessionUpdate": "agent_message_chunk",
                "content": {"type": "text", "text": f"did {text}"},
            }
            say(
                jsonrpc="2.0",
                method="session/update",
                params={"sessionId": session, "update": update},
            )
            reply({"stopReason": "end_turn"})


if __name__ == "__main__":
    {"stream-json": stream_json, "rpc": rpc, "app-server": app_server, "acp": acp}[sys.argv[1]]()
