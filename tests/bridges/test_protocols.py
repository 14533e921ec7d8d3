"""The protocols of driven programs, as tables: what each is told, and what it makes of what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_agents.drive.acp import Acp, Editor
from coord_agents.drive.protocol import LONGEST_OPTION, Opening, Protocol, labels, plain
from coord_agents.drive.protocols import PROTOCOLS
from coord_agents.drive.requests import AppServer
from coord_agents.drive.streams import Rpc, StreamJson
from coord_agents.record import DRIVEN

Json = dict[str, Any]


def opened(kind: type[Protocol], prompt: str = "", busy: str = "steers", **more: Any) -> Any:
    made = kind(Opening("/w", prompt, more.get("resume"), busy))
    made.begin()
    return made


def taken(collected: list[Any]) -> list[Any]:
    found = list(collected)
    collected.clear()
    return found


def text(message: Json) -> str:
    """The text that a message gives a program; empty if it gives none."""
    params = message.get("params", {})
    blocks = params.get("prompt") or params.get("input") or message.get("message") or ""
    if isinstance(blocks, dict):
        blocks = blocks["content"]
    return blocks if isinstance(blocks, str) else str(blocks[0]["text"])


READY: dict[str, list[Json]] = {
    "stream-json": [],
    "rpc": [{"type": "response", "id": "state", "success": True, "data": {"sessionId": "c1"}}],
    "app-server": [{"id": 1, "result": {}}, {"id": 2, "result": {"thread": {"id": "c1"}}}],
    "acp": [{"id": 1, "result": {"protocolVersion": 1}}, {"id": 2, "result": {"sessionId": "c1"}}],
}
STARTS: dict[str, list[Json]] = {
    "app-server": [{"method": "turn/started", "params": {"threadId": "c1", "turn": {"id": "t1"}}}]
}
ENDS: dict[str, Json] = {
    "stream-json": {"type": "result"},
    "rpc": {"type": "agent_settled"},
    "app-server": {"method": "turn/completed", "params": {"threadId": "c1", "turn": {"id": "t1"}}},
    "acp": {"id": 3, "result": {"stopReason": "end_turn"}},
}


def ready(via: str, busy: str) -> Any:
    made = opened(PROTOCOLS[via], busy=busy)  # type: ignore[arg-type]
    for message in READY[via]:
        assert not made.is_ready
        made.received(message)
    assert made.is_ready and not made.is_busy
    made.out.clear()
    return made


def test_each_driven_way_of_the_registry_has_its_protocol() -> None:
    assert set(PROTOCOLS) == set(DRIVEN)


@pytest.mark.parametrize("via", DRIVEN)
@pytest.mark.parametrize("busy", ["steers", "queues", "cancels", "refuses"])
def test_a_second_prompt_is_given_to_one_at_work_only_if_that_does_not_stop_it(
    via: str, busy: str
) -> None:
    made = ready(via, busy)
    assert made.say("one")
    assert [text(message) for message in taken(made.out)] == ["one"]
    for message in STARTS.get(via, []):
        made.received(message)
    assert made.is_busy
    # Only what is known to take a line by its protocol, or to queue it, is given one.
    gives = busy == "steers" or (busy == "queues" and via in ("stream-json", "acp"))
    assert made.say("two") == gives
    assert [text(message) for message in taken(made.out)] == ["two"] * gives
    made.received(ENDS[via])
    if gives and via == "acp" and busy == "queues":
        made.received({"id": 4, "result": {"stopReason": "end_turn"}})
    assert not made.is_busy
    assert made.say("three")


def test_a_turn_that_was_over_before_it_was_steered_is_begun_anew() -> None:
    made = ready("app-server", "steers")
    made.say("one")
    made.received(STARTS["app-server"][0])
    assert made.say("two")
    made.received(ENDS["app-server"])
    (_, steer) = taken(made.out)
    assert (steer["method"], steer["params"]["expectedTurnId"]) == ("turn/steer", "t1")
    made.received({"id": steer["id"], "error": {"code": -1, "message": "no active turn"}})
    (again,) = taken(made.out)
    assert (again["method"], text(again)) == ("turn/start", "two")


def test_the_turns_of_a_subagent_are_not_its_own() -> None:
    made = ready("app-server", "steers")
    made.received({"method": "turn/started", "params": {"threadId": "other", "turn": {"id": "t9"}}})
    assert not made.is_busy


@pytest.mark.parametrize(
    ("via", "message", "failure"),
    [
        (
            "rpc",
            {"type": "response", "id": "state", "success": False, "error": "no model"},
            "no model",
        ),
        ("app-server", {"id": 1, "error": {"message": "no"}}, "initialize: no"),
        ("acp", {"id": 1, "error": {"message": "log in"}}, "initialize: log in"),
        (
            "acp",
            {"id": 1, "result": {"protocolVersion": 9}},
            "speaks another version of the protocol than 1",
        ),
    ],
)
def test_a_program_that_cannot_go_on_says_why(via: str, message: Json, failure: str) -> None:
    made = opened(PROTOCOLS[via])  # type: ignore[arg-type]
    made.received(message)
    assert (made.failure, made.is_ready) == (failure, False)


@pytest.mark.parametrize(
    ("can", "method"),
    [
        ({"loadSession": True}, "session/load"),
        ({"sessionCapabilities": {"resume": {}}}, "session/resume"),
        ({}, None),
    ],
)
def test_a_conversation_is_loaded_in_the_way_that_the_program_has(
    can: Json, method: str | None
) -> None:
    made = opened(Acp, resume="c0")
    made.received({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": can}})
    if method is None:
        assert made.failure == "cannot load a conversation"
        return
    assert (made.out[-1]["method"], made.out[-1]["params"]["sessionId"]) == (method, "c0")
    made.received({"id": 2, "result": None})
    assert made.is_ready and made.provider == "c0"


def test_a_dialog_that_a_person_cannot_answer_is_cancelled() -> None:
    made = ready("rpc", "steers")
    asked = {"type": "extension_ui_request", "method": "input", "id": "d1", "title": "Name?"}
    made.received(asked)
    assert taken(made.out) == [{"type": "extension_ui_response", "id": "d1", "cancelled": True}]
    made.received(asked | {"method": "notify"})
    assert not made.out and not made.asks
    made.received(asked | {"method": "select", "options": ["a\n" * 90, "a\n" * 90, "b"]})
    (question,) = made.asks
    made.answered("d1", question.options.index("b"))
    assert taken(made.out)[0]["value"] == "b"


def test_what_a_person_is_asked_is_one_line_and_each_option_its_own() -> None:
    assert plain("a\x1b[31m\n\tb\u202e", 80) == "a [31m b"
    assert len(plain("x" * 500, 80)) == 80
    made = labels(["", "x" * 200, "x" * 200, "Yes"])
    assert len(set(made)) == 4 and max(map(len, made)) <= LONGEST_OPTION


# ---- editors


def editor(made: Acp, *messages: Json) -> Editor:
    found = Editor("human:eve")
    made.enter(found)
    for message in messages:
        made.from_editor(found, message)
    return found


NEW: Json = {"id": 1, "method": "session/new", "params": {"cwd": "/e", "mcpServers": []}}


def prompt(number: int, words: str, session: str = "c1") -> Json:
    params = {"sessionId": session, "prompt": [{"type": "text", "text": words}]}
    return {"id": number, "method": "session/prompt", "params": params}


def test_an_editor_is_answered_when_the_conversation_is_there() -> None:
    made = opened(Acp)
    early = editor(made, {"id": 0, "method": "initialize", "params": {}}, NEW)
    assert early.out == []
    made.received({"id": 1, "result": {"protocolVersion": 1, "agentInfo": {"name": "x"}}})
    made.received({"id": 2, "result": {"sessionId": "c1", "modes": {"currentModeId": "m"}}})
    hello, new = early.out
    assert hello["result"]["agentInfo"] == {"name": "x"}
    assert hello["result"]["agentCapabilities"] == {"loadSession": True}
    assert new["result"] == {"sessionId": "c1", "modes": {"currentModeId": "m"}}


def test_what_is_not_known_goes_through_and_ids_are_each_sides_own() -> None:
    made = ready("acp", "queues")
    one, two = editor(made, NEW), editor(made, NEW)
    one.out.clear()
    two.out.clear()
    for each, words in ((one, "a"), (two, "b")):
        made.from_editor(each, {"id": "x", "method": "_vendor/thing", "params": {"words": words}})
    first, second = taken(made.out)
    assert first["id"] != second["id"]
    made.received({"id": second["id"], "result": {"for": "b"}})
    made.received({"id": first["id"], "error": {"code": 5, "message": "no"}})
    assert two.out == [{"jsonrpc": "2.0", "id": "x", "result": {"for": "b"}}]
    assert one.out == [{"jsonrpc": "2.0", "id": "x", "error": {"code": 5, "message": "no"}}]
    update = {
        "jsonrpc": "2.0",
        "method": "session/update",
        "params": {"sessionId": "c1", "update": {"new": 1}},
    }
    made.received(update)
    assert one.out[-1] == two.out[-1] == update
    made.received({"id": 8, "method": "fs/read_text_file", "params": {}})
    assert taken(made.out)[-1]["error"]["code"] == -32601


def test_a_prompt_of_an_editor_waits_where_it_would_stop_the_turn() -> None:
    made = ready("acp", "cancels")
    shown = editor(made, NEW)
    assert made.say("from mail")
    assert shown.out[-1]["params"]["update"]["content"]["text"] == "from mail"
    made.from_editor(shown, prompt(2, "mine"))
    assert [text(message) for message in taken(made.out)] == ["from mail"]
    made.received({"id": 3, "result": {"stopReason": "end_turn"}})
    assert [text(message) for message in taken(made.out)] == ["mine"]
    assert made.is_busy
    made.from_editor(shown, prompt(3, "never sent"))
    made.from_editor(shown, {"method": "session/cancel", "params": {"sessionId": "c1"}})
    assert shown.out[-1] == {"jsonrpc": "2.0", "id": 3, "result": {"stopReason": "cancelled"}}
    assert [message["method"] for message in taken(made.out)] == ["session/cancel"]
    made.received({"id": 4, "result": {"stopReason": "cancelled"}})
    assert shown.out[-1]["id"] == 2 and not made.is_busy


def test_the_end_of_a_turn_answers_a_prompt_that_was_taken_into_it() -> None:
    made = ready("acp", "steers")
    shown = editor(made, NEW)
    made.from_editor(shown, prompt(2, "one"))
    made.from_editor(shown, prompt(3, "two"))
    made.received({"id": 3, "result": {"stopReason": "end_turn"}})
    assert [message["id"] for message in shown.out[-2:]] == [2, 3]
    assert not made.is_busy


def permission(made: Acp) -> str:
    options = [{"optionId": "y", "name": "Allow"}, {"optionId": "n", "name": "Reject"}]
    params = {"sessionId": "c1", "toolCall": {"title": "x"}, "options": options}
    made.received({"id": 70, "method": "session/request_permission", "params": params})
    return made.asks[-1].key


def test_of_a_person_and_two_editors_the_first_answer_counts() -> None:
    made = ready("acp", "queues")
    one, two = editor(made, NEW), editor(made, NEW)
    key = permission(made)
    assert one.out[-1]["id"] == two.out[-1]["id"] == key
    answer = {"outcome": {"outcome": "selected", "optionId": "n"}}
    made.from_editor(two, {"id": key, "result": answer})
    made.from_editor(
        one, {"id": key, "result": {"outcome": {"outcome": "selected", "optionId": "y"}}}
    )
    assert taken(made.out) == [{"jsonrpc": "2.0", "id": 70, "result": answer}]
    assert made.settled == [(key, 1, "human:eve")]


def test_a_permission_of_a_turn_that_is_cancelled_is() -> None:
    made = ready("acp", "queues")
    shown = editor(made, NEW)
    key = permission(made)
    made.from_editor(shown, {"method": "session/cancel", "params": {"sessionId": "c1"}})
    reply, cancel = taken(made.out)
    assert reply == {"jsonrpc": "2.0", "id": 70, "result": {"outcome": {"outcome": "cancelled"}}}
    assert (cancel["method"], made.settled) == ("session/cancel", [(key, None, "")])


def test_another_conversation_is_its_editors_alone_and_the_first_ends_with_its_job() -> None:
    made = ready("acp", "cancels")
    one, two = editor(made, NEW, NEW | {"id": 2}), editor(made, NEW)
    made.received({"id": 3, "result": {"sessionId": "c2"}})
    assert one.out[-1]["result"] == {"sessionId": "c2"}
    one.out.clear()
    two.out.clear()
    made.received({"method": "session/update", "params": {"sessionId": "c2", "update": {}}})
    assert len(one.out) == 1 and two.out == []
    made.from_editor(one, prompt(5, "there", "c2"))
    assert made.say("here"), "a turn of the other conversation is not in its way"
    made.leave(one)
    made.received({"method": "session/update", "params": {"sessionId": "c2", "update": {}}})
    made.from_editor(two, {"id": 9, "method": "session/close", "params": {"sessionId": "c1"}})
    assert two.out[-1]["error"]["code"] == -32601


def test_an_editor_that_loads_the_conversation_is_shown_all_of_it() -> None:
    made = ready("acp", "queues")
    made.say("hello")
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}
    made.received({"method": "session/update", "params": {"sessionId": "c1", "update": update}})
    late = editor(made, {"id": 1, "method": "session/load", "params": {"sessionId": "c1"}})
    shown = [said["params"]["update"]["content"]["text"] for said in late.out[:-1]]
    assert shown == ["hello", "hi"]
    assert late.out[-1]["id"] == 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(0, 4) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    "id",
    "method",
    "params",
    "result",
    "error",
    "type",
    "data",
    "success",
    "title",
    "options",
)
METHODS = (
    *("session/request_permission", "session/update", "session/prompt", "session/cancel"),
    *("turn/started", "turn/completed", "item/fileChange/requestApproval"),
    *("response", "extension_ui_request", "select", "confirm", "result", "system"),
)
MESSAGE = st.dictionaries(
    st.sampled_from(FIELDS),
    JUNK | st.sampled_from([*METHODS, {"options": [{}], "sessionId": "c1"}]),
)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(DRIVEN), st.booleans(), st.lists(st.tuples(st.booleans(), MESSAGE), max_size=8)
)
def test_no_message_ends_a_driver(via: str, is_up: bool, messages: list[tuple[bool, Json]]) -> None:
    made = ready(via, "steers") if is_up else opened(PROTOCOLS[via])  # type: ignore[arg-type]
    shown = editor(made, NEW) if isinstance(made, Acp) else None
    for of_editor, message in messages:
        if of_editor and shown:
            made.from_editor(shown, message)
        else:
            made.received(message)
        made.say("x")
        for question in taken(made.asks):
            made.answered(question.key, 0)


def test_the_names_of_the_classes_are_those_of_the_protocols() -> None:
    assert [PROTOCOLS[via] for via in DRIVEN] == [StreamJson, Acp, AppServer, Rpc]
