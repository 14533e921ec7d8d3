"""coord-mcp: what a model is offered, what it is answered, and that nothing is lost between many clients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Shell

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'coord-kernel[mcp]'")

import anyio
from bridges.mcp_client import Caller, started
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from coord_mcp.server import serve


def within(agent: str, do: Callable[[Caller], Awaitable[None]]) -> None:
    """Call a server in this process, that acts as this agent."""

    async def run() -> None:
        async with Client(serve({"agent_id": agent})) as client:
            await do(Caller(client))

    anyio.run(run)


def test_what_a_model_reads_of_it_is_short(shell: Shell) -> None:
    async def look(call: Caller) -> None:
        tools = (await call.client.list_tools()).tools
        assert len(tools) <= 10
        assert all(tool.description and tool.output_schema is None for tool in tools)
        told = [
            {"name": one.name, "description": one.description, "schema": one.input_schema}
            for one in tools
        ]
        assert len(json.dumps(told, ensure_ascii=False)) < 6_300
        assert all(one.input_schema["additionalProperties"] is False for one in tools)
        hints = {one.name: one.annotations for one in tools if one.annotations}
        assert [name for name, hint in hints.items() if hint.read_only_hint] == [
            "work_list",
            "work_show",
        ]
        assert [name for name, hint in hints.items() if hint.destructive_hint] == ["job"]

    within("tester", look)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("work_list", {"status": "redy"}, "status: input should be 'ready', 'open', 'mine'"),
    (
        "work_list",
        {"n": 0},
        "n: input should be greater than or equal to 1, not 0 (Most rows)",
    ),
    ("work_list", {"titel": "x"}, "unknown argument titel; valid arguments: status, label, n"),
    ("work_lst", {}, "no such tool; valid tools: work_list, work_show"),
    ("work_show", {}, "id: field required (wk-…)"),
    ("work_show", {"id": "wk-zzzzzzzz"}, "wk-zzzzzzzz: no such work item"),
    ("work_write", {}, "title is missing: give it to create an item, or id to change an item"),
    ("work_write", {"id": "ITEM"}, "nothing to write: give title, desc"),
    ("work_write", {"title": "x" * 201}, "title exceeds 200 bytes"),
    ("work_write", {"title": "x", "priority": "high"}, "(0 first … 4 last)"),
    ("work_claim", {"id": "ITEM", "steal": True}, "--steal needs --reason"),
    ("work_claim", {"label": "none"}, "nothing is ready"),
    (
        "work_close",
        {"id": "ITEM", "how": "finished"},
        "'done', 'cancelled', 'duplicate' or 'release'",
    ),
    (
        "mail_send",
        {"to": ["nobody"], "subject": "x"},
        "unknown agent: agent:nobody; see `ev agents`",
    ),
    ("mail_send", {"subject": "x"}, "give subject or body, and either to or reply"),
    ("mail_send", {"to": "tester", "subject": "x"}, "to: input should be a valid list"),
    ("mail_receive", {"ack": ["msg-zzzzzzzz"]}, "not mail for agent:tester"),
    ("mail_receive", {"source": "qa"}, "not a queue or channel: qa; use queue:NAME"),
    ("lease", {"acquire": ["src"]}, "src: not a valid resource; file:GLOB"),
    ("lease", {"acquire": ["env:a"], "release": "ls-1"}, "one at a time"),
    ("lease", {"release": "ls-zzzzzzzz"}, "no such lease"),
    ("job", {"argv": ["true"], "id": "run-1"}, "either argv"),
    ("job", {"id": "run-zzzzzzzz"}, "no such job"),
    ("event", {"emit": "Red"}, "not a valid type: 'Red'; use namespace.verb in lower case"),
    ("event", {"emit": "a.b", "body": 1}, "body: input should be a valid dictionary, not 1"),
]


def test_an_error_says_how_to_do_it_right(shell: Shell) -> None:
    item = shell("wk new x -o id").out.strip()
    before = shell("ev replay").out

    async def ask(call: Caller) -> None:
        for tool, arguments, says in WRONG:
            said = await call.refused(
                tool, **{k: item if v == "ITEM" else v for k, v in arguments.items()}
            )
            assert says in said
            assert "Traceback" not in said and "pydantic" not in said

    within("tester", ask)
    assert shell("ev replay").out == before


def test_a_question_is_asked_as_mail_and_answered_as_work(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        asked = await call("mail_send", to=["human:ada"], subject="Deploy?", ask=["yes", "no"])
        waits = await call("work_write", title="Deploy it", blocked_by=[asked["id"]])
        (listed,) = [
            row
            for row in (await call("work_list", status="open"))["rows"]
            if row["id"] == asked["id"]
        ]
        assert listed["options"] == ["yes", "no"]
        assert "who asks does not answer" in await call.refused(
            "work_close", id=asked["id"], option="yes"
        )
        shell(f"wk answer {asked['id']} no --as human:ada")
        assert (await call("work_show", id=asked["id"]))["answer"] == "no"
        assert [row["id"] for row in (await call("work_list"))["rows"]] == [waits["id"]]
        own = await call("mail_send", to=["tester"], subject="Red?", ask=["red", "green"])
        assert (await call("work_close", id=own["id"], option="red"))["type"] == "work.closed"
        assert "give to and subject" in await call.refused("mail_send", ask=["yes"], subject="x")

    within("tester", ask)


def test_an_error_says_what_was_done_all_the_same(shell: Shell) -> None:
    """Or a model would do it again."""

    async def ask(call: Caller) -> None:
        said = await call.refused("work_write", title="x", comment="ghp_" + "a1B2" * 9)
        (made,) = (await call("work_list"))["rows"]
        assert said.endswith(f"\nThe rest of it was done: work.created {made['id']}")
        mail = (await call("mail_send", to=["tester"], subject="x"))["id"]
        said = await call.refused("mail_receive", ack=["msg-zzzzzzzz", mail])
        assert (
            f"msg-zzzzzzzz: not mail for agent:tester\nThe rest of it was done: msg.acked {mail}"
            in said
        )
        assert (await call("mail_receive")) == {"rows": []}

    within("tester", ask)


def test_what_is_not_there_cannot_be_read(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        for uri in (
            "coord://work/wk-zzzzzzzz",
            "coord://inbox/--help",
            "coord://journal/zzzzzzzz",
            "coord://x/y",
        ):
            with pytest.raises(MCPError) as error:
                await call.read(uri)
            assert error.value.error.code == -32602, uri

    within("tester", ask)


def test_no_text_is_taken_for_an_option_or_a_file(shell: Shell) -> None:
    """A model repeats text from others, from a mail, too."""

    async def ask(call: Caller) -> None:
        made = await call("work_write", title="--help", desc="@/etc/passwd", comment="-")
        shown = await call("work_show", id=made["id"])
        assert (shown["title"], shown["desc"], shown["comments"][0]["text"]) == (
            "--help",
            "@/etc/passwd",
            "-",
        )
        assert "no such work item" in await call.refused("work_claim", id="--steal")
        await call("work_close", id=made["id"], note="--force")
        assert "not a valid resource" in await call.refused("lease", acquire=["--ttl=9h"])
        sent = await call("mail_send", to=["tester"], subject="--to", body="@/etc/passwd")
        await call("mail_send", reply=sent["id"], body="@/etc/passwd", subject="--force")
        texts = [(one["subject"], one["text"]) for one in (await call("mail_receive"))["rows"]]
        assert texts == [("--to", "@/etc/passwd"), ("--force", "@/etc/passwd")]
        assert "no such message" in await call.refused("mail_send", reply="--help", body="x")
        for text in ("a\0b", "x" * 200_000):
            assert "cannot be run" in await call.refused("work_close", id=made["id"], note=text)
        assert (await call("job", argv=["echo", "--help"]))["type"] == "run.requested"

    within("tester", ask)


def test_one_key_is_one_event_and_every_call_has_one(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        calls: list[tuple[str, Any]] = [
            ("work_write", {"title": "x", "comment": "y"}),
            ("mail_send", {"to": ["tester"], "subject": "x"}),
            ("job", {"argv": ["true"]}),
            ("event", {"emit": "a.b"}),
        ]
        for tool, arguments in calls:
            first = await call(tool, **arguments, key="k")
            again = await call(tool, **arguments, key="k")
            assert again == first | {"dup": True}
            assert first["key"] == "k"
            assert (await call(tool, **arguments))["key"] != (await call(tool, **arguments))["key"]
        assert "k" in await call.refused("event", emit="a.b", body={"other": 1}, key="k")
        item = (await call("work_write", title="z"))["id"]
        for tool, more in (("work_claim", {}), ("work_close", {"note": "n"})):
            first = await call(tool, id=item, **more)
            again = await call(tool, id=item, **more)
            assert "dup" in json.dumps(again) and "dup" not in json.dumps(first)

    within("tester", ask)
    events = shell("ev replay").lines
    keys = Counter(
        (one["type"], one["idempotency_key"]) for one in events if "idempotency_key" in one
    )
    assert max(keys.values()) == 1
    assert not [
        one
        for one in events
        if one["type"] in ("work.created", "msg.sent") and "idempotency_key" not in one
    ]


def test_work_is_listed_by_status_and_changed_by_argument(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        whole = (await call("work_write", title="whole", priority=0))["id"]
        part = (await call("work_write", title="part", parent=whole, labels=["a"]))["id"]
        last = (await call("work_write", title="last", blocked_by=[part]))["id"]
        await call("work_claim", label="a")
        away = (await call("work_write", title="away"))["id"]
        await call("work_close", id=away, how="duplicate", dup_of=last)
        listed = {
            "ready": [], "open": [whole, part, last], "mine": [part], "active": [part], "blocked": [whole, last],
            "held": [], "done": [], "all": [whole, part, last, away],
        }  # fmt: skip
        for status, ids in listed.items():
            assert [row["id"] for row in (await call("work_list", status=status))["rows"]] == ids, (
                status
            )
        await call(
            "work_write", id=last, title="late", desc="d", priority=4, labels=["b"], parent=whole
        )
        shown = await call("work_show", id=last)
        given = {name: shown[name] for name in ("title", "desc", "priority", "labels", "status")}
        assert given == {
            "title": "late",
            "desc": "d",
            "priority": 4,
            "labels": ["b"],
            "status": "blocked",
        }
        assert "is held by agent:tester" in await second("work_close", id=part)
        assert (await call("work_close", id=part))["type"] == "work.closed"

    async def second(tool: str, **arguments: Any) -> str:
        async with Client(serve({"agent_id": "other"})) as client:
            return await Caller(client).refused(tool, **arguments)

    within("tester", ask)


def test_a_lease_is_shared_renewed_listed_and_released(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        one = await call("lease", acquire=["env:staging", "file:a/*"], shared=True, ttl=300)
        two = await call("lease", acquire=["env:staging"], shared=True)
        assert (one["resources"], one["ttl_ms"]) == (["env:staging", "file:a/*"], 300_000)
        assert two["token"] > one["token"]
        refused = await call.refused("lease", acquire=["file:a/b"])
        assert "is held by you" in refused and one["id"] in refused
        assert (await call("lease", renew=one["id"], ttl=900))["ttl_ms"] == 900_000
        assert [row["id"] for row in (await call("lease"))["rows"]] == [one["id"], two["id"]]
        await call("lease", release=one["id"])
        await call("lease", acquire=["file:a/b"], wait=5)

    within("tester", ask)


def test_events_are_emitted_addressed_and_read(shell: Shell) -> None:
    async def ask(call: Caller) -> None:
        item = (await call("work_write", title="x"))["id"]
        await call("event", emit="ci.failed", body={"n": 1}, to=["tester"], work=item)
        await call("event", emit="ci.passed")
        (mail,) = (await call("mail_receive"))["rows"]
        assert (mail["type"], mail["body"]) == ("ci.failed", {"n": 1})
        types = [row["type"] for row in (await call("event", type="ci.*"))["rows"]]
        assert types == ["ci.passed", "ci.failed"], "the newest first"
        about = (await call("event", work=item))["rows"]
        assert [row["type"] for row in about] == ["ci.failed", "work.created"]
        assert (await call("event", agent="nobody")) == {"rows": []}

    within("tester", ask)


def test_mail_waits_until_it_is_acked_and_is_cut_between_messages(shell: Shell) -> None:
    shell("msg join")
    for number in range(5):
        shell(f"msg send --to tester --subject {number} --body {'x' * 5_000} --as qa")

    async def ask(call: Caller) -> None:
        done: list[Any] = []
        for subjects in (["0", "1"], ["2", "3"], ["4"], []):
            found = await call("mail_receive", ack=[one["id"] for one in done])
            assert found == await call("mail_receive")
            done = found["rows"]
            assert [one["subject"] for one in done] == subjects
            assert all((len(one["text"]), one["trust"]) == (5_000, "store") for one in done)
            assert found.get("more") == (
                "ack these, then receive again" if len(done) == 2 else None
            )

    within("tester", ask)


def test_a_list_says_that_it_is_cut(shell: Shell) -> None:
    shell("wk new", "".join(json.dumps({"title": f"{n} {'x' * 150}"}) + "\n" for n in range(100)))

    async def ask(call: Caller) -> None:
        few, all_ = await call("work_list", n=3), await call("work_list", n=200)
        assert (
            len(few["rows"]) == 3 and few["more"] == all_["more"] == "give a larger n, or a label"
        )
        assert 20 < len(all_["rows"]) < 100
        assert (await call("work_list", label="none")) == {"rows": []}

    within("tester", ask)


def test_of_an_items_comments_the_newest_are_shown(shell: Shell) -> None:
    item = shell("wk new x -o id").out.strip()
    for number in range(5):
        shell(f"wk comment {item} -", f"{number} {'x' * 5_000}")

    async def ask(call: Caller) -> None:
        shown = await call("work_show", id=item)
        assert [one["text"][0] for one in shown["comments"]] == ["3", "4"]
        assert shown["more"] == f"wk show {shown['id']} prints the older comments, too"

    within("tester", ask)


def test_of_a_queue_it_takes_what_was_asked_for(shell: Shell) -> None:
    for number in range(3):
        shell(f"msg send --to queue:q --subject {number}")

    async def ask(call: Caller) -> None:
        assert [
            one["subject"] for one in (await call("mail_receive", source="queue:q", n=1))["rows"]
        ] == ["0"]
        (taken,) = (await call("mail_receive", source="queue:q", n=1))["rows"]
        assert taken["subject"] == "1"
        await call("mail_receive", ack=[taken["id"]])
        assert (await call("mail_receive", wait=1)) == {"rows": []}

    within("tester", ask)


def test_without_a_store_every_call_says_how_to_make_one(shell: Shell) -> None:
    shell("rm -r .coord")

    async def ask(call: Caller) -> None:
        assert "`ev init`" in await call.refused("work_list")

    within("tester", ask)


def test_an_error_has_a_code(shell: Shell) -> None:
    held = shell("wk new held").one["event_id"]
    shell(f"wk claim {held} --as ada")

    async def ask(call: Caller) -> None:
        for tool, arguments, code in (
            ("work_show", {"id": "wk-00000000"}, "not_found"),
            ("work_close", {"id": held}, "held"),
            ("work_claim", {"label": "none"}, "empty"),
            ("mail_send", {"to": ["nobody"], "body": "hi"}, "unknown_addressee"),
            ("lease", {"acquire": ["gpu:0"]}, "bad_input"),
            ("work_list", {"status": "redy"}, "usage"),
            ("lease", {"renew": "ls-1", "release": "ls-1"}, "usage"),
        ):
            await call.refused(tool, **arguments)
            assert call.code == code, tool

    within("tester", ask)


def test_the_server_and_the_shell_of_a_program_are_one_session(shell: Shell) -> None:
    item = shell("wk new x").one["event_id"]

    async def ask() -> None:
        async with started(shell, "tester", env={"CLAUDE_CODE_SESSION_ID": "s-1"}) as call:
            await call("work_claim", id=item)

    anyio.run(ask)
    claim = shell("ev tail -n 1 --type work.claimed").one
    assert claim["actor"] == {"agent_id": "agent:tester", "session_id": "s-1"}
    beat = shell("ev tail -n 1 --type agent.seen").one
    assert (beat["actor"], beat["body"]["status"]) == (claim["actor"], "busy")
    assert shell(f"wk close {item}", CLAUDE_CODE_SESSION_ID="s-1").one["type"] == "work.closed"
