"""coord-agent as far as it is pure: the registry of runtimes, deliveries, usage, the fold."""

from __future__ import annotations

import io
import json
import keyword
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

from coord_agents import delivery, fold, presets, record, usage
from coord_agents.evidence import transcripts
from coord_agents.paths import named
from coord_agents.record import Record
from coord_agents.sling import job_name
from coord_envelope import BadData, Usage
from coord_envelope.bodies import check_body
from coord_envelope.event import Event, name_ok
from coord_kernel.store import toml

ROOT = Path(__file__).parent.parent.parent / "bridges/agents/coord_agents"
SHIPPED = record.records(toml.load(presets.SHIPPED) or {}, "presets.toml")
VERBS = [
    (name, via, verb)
    for name, each in SHIPPED.items()
    for via, way in each.ways.items()
    for verb in way.words
]
PROMPT, SESSION = "Do it, please.", "5e55-10"


@pytest.mark.parametrize(("name", "via", "verb"), VERBS)
def test_each_way_of_each_runtime_has_its_prompt_and_its_session_once(
    name: str, via: str, verb: str
) -> None:
    made = SHIPPED[name]
    _, way = made.way(via, verb)
    driven = via in record.DRIVEN  # which is given its prompt by a message
    argv = way.argv(verb, ["--mine"], prompt="" if driven else PROMPT, session=SESSION)
    assert argv[0] == way.program
    assert argv.count(PROMPT) == (not driven)
    assert argv.count("--mine") <= 1
    goes_on = verb != "start" or (made.chosen and via not in record.LOADS)
    assert sum(SESSION in word for word in argv) == goes_on
    assert not any("{" in word for word in argv)
    assert PROMPT not in way.argv(verb, [], prompt="", session=SESSION)


def test_the_registry_has_what_was_tried_and_says_what_was_not() -> None:
    tried = [name for name, each in SHIPPED.items() if each.tried]
    assert len(tried) >= 13
    assert {"auggie", "amp", "cursor"} == set(SHIPPED) - set(tried)
    assert all(each.ways for each in SHIPPED.values())


def test_no_code_names_a_program() -> None:
    """A runtime is data. The examples of the help are text."""
    programs = {each.program for each in SHIPPED.values()} | set(SHIPPED)
    programs |= {way.program for each in SHIPPED.values() for way in each.ways.values()}
    for path in ROOT.rglob("*.py"):
        if path.name == "examples.py":
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            words = set(re.findall(r"[a-z][a-z-]*", token.string)) - set(keyword.kwlist)
            assert not words & programs, f"{path}:{token.start[0]}: {token.string}"


def test_the_users_file_is_laid_over_field_by_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert presets.load().keys() == SHIPPED.keys()
    (tmp_path / "coord").mkdir()
    own = '[codex]\nargs = ["-m", "m1"]\ncan = ["rust"]\n[codex.tmux]\nready = "^> "\n[mine.headless]\nstart = ["{prompt}"]\n'
    (tmp_path / "coord/presets.toml").write_text(own)
    codex = presets.named("codex")
    assert (codex.args, codex.can, codex.ways["tmux"].ready) == (["-m", "m1"], ["rust"], "^> ")
    assert codex.ways["tmux"].enter_ms == SHIPPED["codex"].ways["tmux"].enter_ms
    assert presets.named("mine").way(None)[1].argv("start", [], prompt="x") == ["mine", "x"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1", "x is not a table"),
        ("[X]", "not a valid name: 'X'"),
        ("[x]\nprompt = 1", "x: unknown field 'prompt'; valid fields: program,"),
        ("[x]\nargs = [1]", "x.args is not a list of strings"),
        ("[x.tmux]\nbusy = 'waits'", "x.tmux.busy is not steers, queues, cancels, refuses"),
        ("[x.tmux]\nenter_ms = -1", "x.tmux.enter_ms is not a number"),
        ("[x.usage]\nsum = 1", "x.usage.sum is not a flag"),
        ("[x]\nsession = 'mine'", "x.session is not uuid"),
    ],
)
def test_a_bad_record_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "coord").mkdir()
    (tmp_path / "coord/presets.toml").write_text(text)
    with pytest.raises(BadData) as caught:
        presets.load()
    assert what in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/coord/presets.toml: ")


@pytest.mark.parametrize(
    ("name", "via", "verb", "what"),
    [
        ("aider", "acp", "start", "has no way to start via acp; it has headless"),
        ("codex", "rpc", "start", "has no way to start via rpc; it has headless and tmux and acp"),
        ("codex", "ssh", "start", "--via ssh: not a valid way; use headless, tmux, stream-json"),
        ("gptme", None, "resume", "has no way to resume; add its words to presets.toml"),
        ("gptme", "tmux", "start", "has no way to start via tmux; it has headless"),
    ],
)
def test_a_way_that_a_preset_does_not_have_is_refused_in_one_line(
    name: str, via: str | None, verb: str, what: str
) -> None:
    with pytest.raises(Usage) as caught:
        SHIPPED[name].way(via, verb)
    assert what in str(caught.value)


def test_the_name_of_an_agents_job_is_valid_and_its_own() -> None:
    names = [f"agent:{name}" for name in ("ada", "rig/polecats/nux", "a" * 90, "a" * 89 + "b")]
    jobs = [job_name(name) for name in names]
    assert all(map(name_ok, jobs))
    assert len(set(jobs)) == len(jobs)


# ---- deliveries


def target(**fields: Any) -> delivery.Target:
    found = {"session": "s1", "via": "tmux", "status": "idle", "lives": True, "provider": "p1"}
    return {**found, **fields}  # type: ignore[typeddict-item]


def runtime(busy: str = "refuses", queue: bool = False) -> Record:
    fields = {"queue": ["tell", "{session}", "{message}"]} if queue else {}
    ways = {via: {"start": [], "busy": busy} for via in ("tmux", "acp")}
    return Record("x", {**ways, "headless": {"start": []}, **fields})


@pytest.mark.parametrize(
    ("fields", "made", "expected"),
    [
        ({}, runtime(), ("tmux", "")),
        ({"status": "busy"}, runtime(), (None, "busy")),
        ({"status": "busy"}, runtime("cancels"), (None, "busy")),
        ({"status": "busy"}, runtime("queues"), ("tmux", "")),
        ({"status": "busy"}, runtime("steers"), ("tmux", "")),
        ({"status": ""}, runtime(), (None, "busy")),
        ({"status": "waiting"}, runtime("steers"), (None, "busy")),
        ({"lives": False}, runtime(), (None, "gone")),
        ({}, None, (None, "unknown")),
        ({}, runtime(queue=True), ("queue", "")),
        ({"status": "busy", "via": "headless"}, runtime(queue=True), (None, "busy")),
        ({"provider": None, "via": "headless"}, runtime(queue=True), (None, "unknown")),
        ({"via": "headless"}, runtime("steers"), (None, "unknown")),
        ({"via": "acp"}, runtime("cancels"), ("acp", "")),
        ({"via": "acp", "status": "busy"}, runtime("cancels"), (None, "busy")),
        ({"via": "acp", "status": "busy"}, runtime("steers"), ("acp", "")),
        ({"via": "acp", "status": "waiting"}, runtime("steers"), (None, "busy")),
    ],
)
def test_how_mail_reaches_a_session(
    fields: dict[str, Any], made: Record | None, expected: tuple[str | None, str]
) -> None:
    assert delivery.choose(target(**fields), made) == expected


def test_what_a_program_is_given_is_a_pointer_and_each_outcome_is_noted_once() -> None:
    mail: delivery.Mail = {
        "count": 2,
        "newest": "01KF4QBCFS000HY2KBEWSW1ZZE",
        "sender": "agent:bob",
    }
    line = delivery.pointer(mail)
    assert line.startswith("coord: 2 messages wait for you, the newest from agent:bob, msg-")
    assert "\n" not in line
    event = delivery.nudged(target(), "agent:ada", mail, "tmux", "delivered")
    check_body(event["type"], event["body"])
    assert delivery.is_due("s1", mail, ())
    assert not delivery.is_due("s1", mail, [event["idempotency_key"]])
    busy = delivery.nudged(target(), "agent:ada", mail, None, "busy")
    assert delivery.is_due("s1", mail, [busy["idempotency_key"]])


# ---- usage


@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        (
            "claude",
            [
                {"type": "system", "session_id": "s"},
                {
                    "type": "result",
                    "total_cost_usd": 0.0125,
                    "usage": {
                        "input_tokens": 3,
                        "cache_creation_input_tokens": 40,
                        "cache_read_input_tokens": 500,
                        "output_tokens": 7,
                    },
                },
            ],
            {"input": 3, "output": 7, "cache_read": 500, "cache_write": 40, "micros": 12_500},
        ),
        (
            "codex",
            [
                {
                    "type": "turn.completed",
                    "usage": {"input_tokens": 900, "cached_input_tokens": 800, "output_tokens": 5},
                }
            ],
            {"input": 100, "output": 5, "cache_read": 800},
        ),
        (
            "opencode",
            [
                {"type": "step_finish", "part": {"cost": 0.1, "tokens": {"input": 1, "output": 2}}},
                {"type": "text"},
                {"type": "step_finish", "part": {"cost": 0.2, "tokens": {"input": 3, "output": 4}}},
            ],
            {"input": 4, "output": 6, "cache_read": 0, "cache_write": 0, "micros": 300_000},
        ),
        ("claude", [{"type": "result", "usage": {"input_tokens": -3, "output_tokens": "7"}}], None),
        ("claude", [], None),
    ],
)
def test_what_a_session_used_is_read_where_its_record_says(
    name: str, lines: list[Any], expected: Any
) -> None:
    found = usage.used(lines, SHIPPED[name].usage)
    assert found == expected
    if found:
        event = usage.reported(("agent:ada", "s1"), "01KF4QBCFS000HY2KBEWSW1ZZE", found, None, name)
        check_body(event["type"], event["body"])


def line(number: str, output: int, ts: str = "2026-06-01T09:00:00.000Z", kind: str = "a") -> Any:
    return {"type": kind, "timestamp": ts, "message": {"id": number, "usage": {"out": output}}}


def test_a_record_of_a_conversation_counts_each_answer_once_and_none_of_before() -> None:
    where = {"match": {"type": "a"}, "sum": True, "unique": "message.id", "time": "timestamp"}
    where |= {"output": "message.usage.out"}
    before = line("m0", 100, "2026-06-01T08:59:59.999Z")
    lines = [before, line("m1", 1), line("m1", 5), line("m2", 7), line("m3", 9, kind="user")]
    since = "2026-06-01T09:00:00.000Z"
    assert usage.used(lines, where, since) == {"output": 12}
    assert usage.used(lines, where) == {"output": 112}
    assert usage.used([before], where, since) is None


@pytest.mark.parametrize("name", ["claude", "codex", "pi"])
def test_the_record_of_a_conversation_is_found_below_the_home_of_its_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    pattern = SHIPPED[name].transcript["files"][-1]
    place = pattern.replace("$HOME", str(tmp_path)).replace("{session}", "s[1]").replace("*", "x")
    assert transcripts(SHIPPED[name], "s[1]") == set()
    Path(place).parent.mkdir(parents=True)
    Path(place).touch()
    assert transcripts(SHIPPED[name], "s[1]") == {place}
    assert transcripts(SHIPPED[name], "s1") == transcripts(SHIPPED[name], "") == set()


def test_the_id_of_a_session_is_the_first_text_at_its_path() -> None:
    lines: list[Any] = [{"a": 1}, {"a": {"id": 7}}, {"a": {"id": "x"}}, {"a": {"id": "y"}}]
    assert (named(lines, "a.id"), named(lines, "b"), named([], "a")) == ("x", None, None)


# ---- the fold


def event(kind: str, number: int, **body: Any) -> Event:
    about = {"agent": "agent:ada", "session": "s1", **body}
    fields = {
        "event_id": f"01KF4QBCFS000HY2KBEWSW1Z{number:02}",
        "type": kind,
        "ts": f"2026-06-01T09:00:{number:02}.000Z",
        "writer": "agent.boss~3f9k2m8q",
        "seq": number,
        "actor": {"agent_id": "agent:boss"},
        "body": about,
    }
    return Event(json.dumps(fields).encode(), fields)


def test_a_session_is_over_by_an_end_that_names_its_last_start_or_came_after_it() -> None:
    first, second = event("session.started", 1, preset="x"), event("session.started", 5, run="r")
    late, early = event("session.ended", 6, how="exit"), event("session.ended", 3, how="exit")
    named_ = event("session.ended", 2, how="crash", start=second.id)

    def over(*events: Event) -> bool:
        state: Any = None
        for each in events:
            state = fold.step(state, each)
        return fold.over(state)

    assert [over(first), over(first, second, early)] == [False, False]
    assert [over(late, second, first), over(first, early), over(second, named_)] == [True] * 3
    state: Any = fold.step(fold.step(None, second), first)
    assert fold.facts(state) == {"preset": "x", "run": "r"}
    assert fold.begun(state)[0] == first.id
