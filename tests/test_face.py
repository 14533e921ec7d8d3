"""What a person sees on a terminal, and what an agent reads with -o brief."""

from __future__ import annotations

import re

import pytest
from support import Json, Shell
from terminal import WIDTHS, Terminal, compare, masked

from coord_envelope import ids
from coord_envelope.event import Event, parse
from coord_kernel.cli import words
from coord_kernel.cli.terminal import age_ms

EARLY, NOON = "2026-11-30T09:00:00Z", "2026-11-30T12:00:00Z"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31m red \x9b31m\u202ea\rb\x08\x7f"
DESCRIPTION = (
    """The parser reads the *whole* language.

- numbers, `0x1f` too
- texts

```
let x = 1
```
"""
    + "A long line that a terminal of eighty columns must break, and end. " * 3
)


def event(kind: str, body: Json, **more: object) -> Event:
    """An event as it is stored, with annotations."""
    import json

    own = "01M8P2F4AT0006X8B0PX5H0A1R"
    refs = {f"{kind.partition('.')[0]}_id": own}
    fields = {
        "event_id": own if kind in words._FIRST else "01M8P2F5S0000EBKXMPMCRVJ1E",
        "type": kind,
        "ts": "2026-11-30T11:12:01.824Z",
        "project": "acme",
        "writer": "agent.ada~2vp073a8",
        "seq": 3,
        "actor": {"agent_id": "agent:ada"},
        "refs": refs,
        **{name: value for name, value in more.items() if not name.startswith("_")},
        "body": body,
    }
    stored = parse(json.dumps(fields).encode())
    return stored.annotated(**{k[1:]: v for k, v in more.items() if k.startswith("_")})


class Names:
    """A store in which everything has one title."""

    def title(self, entity: str) -> str:
        return "Known title"

    def short(self, prefix: str, entity: str) -> str:
        return ids.short(prefix, entity)


SENTENCES = [
    (event("work.created", {"title": "Write it"}), "ada created wk-px5h0a1r Write it"),
    (event("work.claimed", {"gen": 1}), "ada claimed wk-px5h0a1r Known title"),
    (event("work.commented", {"text": "x"}), "ada commented on wk-px5h0a1r Known title"),
    (
        event("work.closed", {"resolution": "cancelled"}),
        "ada closed wk-px5h0a1r Known title cancelled",
    ),
    (
        event("msg.sent", {"subject": "Hi"}, to=["agent:bob", "human:kim"]),
        "ada sent msg-px5h0a1r to bob human:kim: Hi",
    ),
    (event("run.requested", {"argv": ["make", "-s"]}), "ada requested run-px5h0a1r make -s"),
    (
        event("run.completed", {"outcome": "exit", "code": 2}),
        "ada completed run-px5h0a1r Known title exit 2",
    ),
    (event("deploy.done", {"n": 1}, refs={}), "ada deploy.done mpmcrvj1e"[:15] + " "),
    (event("work.created", {"title": HOSTILE}), "ada created wk-px5h0a1r "),
    (event("work.claimed", {}, refs={}), "ada claimed "),
]


@pytest.mark.parametrize(("stored", "begins"), SENTENCES)
def test_an_event_is_a_sentence(stored: Event, begins: str) -> None:
    said = words.sentence(stored, Names())
    assert said.startswith(begins)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", said)


BRIEF = [
    (
        event("work.claimed", {"gen": 1}, _token=1, _title="Now", _desc="first\nsecond"),
        ["wk-px5h0a1r claimed token 1 · Now", "> first", "> second"],
    ),
    (
        event("work.claimed", {"gen": 1}, _dup=True, _level="tentative"),
        ["wk-px5h0a1r already claimed tentative · Known title"],
    ),
    (event("work.commented", {"text": "my own words"}), ["wk-px5h0a1r commented on · Known title"]),
    (
        event("msg.sent", {"subject": "Hi", "text": "a\n> b"}, to=["agent:bob"], _trust="store"),
        ["msg-px5h0a1r from ada · Hi", "> a", "> > b"],
    ),
    (event("msg.sent", {"subject": "Hi", "text": "mine"}), ["msg-px5h0a1r sent from ada · Hi"]),
    (
        {"id": "wk-a", "status": "ready", "priority": 1, "title": "T", "owner": "agent:x"},
        ["wk-a ready P1 by x · T"],
    ),
    (
        event("work.updated", {"set": {}}, to=["agent:bob"], _trust="store"),
        ["msg-pmcrvj1e from ada · ada updated wk-px5h0a1r Known title"],
    ),
    (
        event("msg.sent", {"text": "x" * 5000}, to=["agent:bob"], _trust="store"),
        ["msg-px5h0a1r from ada", "> " + "x" * 4000, "> … 1,000 more characters: show it"],
    ),
    ({"agent_id": "agent:ada", "events": 3}, ["agent:ada"]),
    (
        {"remote": "origin", "unpushed": 0, "from": {}, "refs": ["a", "b"], "kept": True},
        ["remote origin unpushed 0 refs a b kept"],
    ),
    (
        {"commons": "acme", "town": "x", "status": "joined", "towns": 2},
        ["commons acme town x status joined towns 2"],
    ),
    ({"subject": "agent:ada", "standing": 0.5}, ["subject agent:ada standing 0.5"]),
]


@pytest.mark.parametrize(("item", "lines"), BRIEF)
def test_a_result_is_a_brief_line(item: Json, lines: list[str]) -> None:
    assert list(words.brief(item, Names())) == lines


@pytest.mark.parametrize(
    ("ms", "said"),
    [(-5, "0 s"), (999, "0 s"), (61_000, "1 m"), (7_200_000, "2 h"), (900_000_000, "10 d")],
)
def test_a_time_is_said_in_its_greatest_unit(ms: float, said: str) -> None:
    assert age_ms(ms) == said


def test_brief_lines_pipe_into_our_tools(shell: Shell) -> None:
    shell("wk new One --desc 'two\nlines'; wk new Two")
    claimed = shell("wk ls -o brief | wk claim -o brief").out.splitlines()
    assert [line.split()[1] for line in claimed if not line.startswith(">")] == ["claimed"] * 2
    assert claimed[1:3] == ["> two", "> lines"]
    assert len(shell("printf '%s\n' \"$BRIEF\" | wk close", BRIEF="\n".join(claimed)).lines) == 2
    shell("echo '> no id' | wk close", expect=0)
    shell("echo 'no id' | wk close", expect=1)


def test_a_short_id_has_as_many_characters_as_it_needs(shell: Shell) -> None:
    """The last 8 characters of two ids that somebody made agree."""
    own = ("01M8P2F4AT0006X8B0PX5H0A1R", "01M8P2F4AT0016X8B1PX5H0A1R")
    writer = f"agent.other~{'0' * 8}"
    stream = shell.cwd / ".coord/journal" / writer
    stream.mkdir()
    lines = [
        f'{{"event_id":"{own[n]}","type":"work.created","ts":"2026-11-30T09:00:00.000Z",'
        f'"project":"acme","writer":"{writer}","seq":{n + 1},"actor":{{"agent_id":"agent:other"}},'
        f'"body":{{"title":"Item {n}"}}}}\n'
        for n in (0, 1)
    ]
    (stream / "000000000001.jsonl").write_text("".join(lines))
    for form in ("-o brief", "-o table"):
        shown = re.findall("wk-[0-9a-z]+", shell(f"wk ls {form}").out)
        assert len(shown) == 2
        assert {shell(f"wk show {short}").one["work_id"] for short in shown} == {*own}
    assert [len(short) for short in shown] == [12, 12]
    told = shell("ev tail -o brief").out
    assert re.findall("ev-[0-9a-z]+", told) == [short.replace("wk", "ev") for short in shown]


def test_a_claim_tells_what_to_do(shell: Shell) -> None:
    item = shell("wk new One --desc do -o id").out.strip()
    shell(f"wk update {item} --title Other")
    (claim,) = shell("wk ready --claim").lines
    assert (claim["$title"], claim["$desc"]) == ("Other", "do")
    assert shell(f"wk claim {item} -o brief").out == (
        f"wk-{item[-8:].lower()} already claimed token 1 · Other\n> do\n"
    )
    stored = shell("ev replay").lines
    assert not any("$title" in line for line in stored)


@pytest.fixture
def acme(shell: Shell) -> Shell:
    """A store in which people and agents work."""
    shell.env |= {"COORD_NOW": EARLY, "TZ": "UTC", "COORD_AGENT": "ada"}
    epic = shell("wk new 'The language' --kind epic -o id").out.strip()
    parser = shell(
        f"wk new 'Write the parser' -p 1 --label core --parent {epic} --desc - -o id <<'E'\n"
        f"{DESCRIPTION}\nE"
    ).out.strip()
    test = shell(
        f"wk new 'Test the parser' --parent {epic} --blocked-by {parser} -o id"
    ).out.strip()
    shell(f"wk new 'Sub-test' --parent {test}; wk new 'Print it' --assignee bob")
    shell.env["COORD_NOW"] = "2026-11-30T11:30:00Z"
    shell(f"wk claim {parser}; wk comment {parser} 'half of it is **done**'")
    shell(f"wk artifact {parser} --kind commit --uri 1a2b3c4")
    shell(f"msg send --to ada --as bob --subject Grammar --body 'which one?' --work {parser}")
    shell("msg reply $(msg ls -o id) --body 'the *second*'")
    shell("lease acquire 'file:src/**' port:8080 --ttl 1h")
    shell("run request -- printf 'one\\ntwo words\\n' '--jobs 4'; run worker --once")
    shell.env["COORD_NOW"] = NOON
    return shell


VIEWS = {
    "wk-ls": "wk ls",
    "wk-tree": "wk tree",
    "wk-show": "wk show $(wk mine -o id)",
    "msg-ls": "msg ls --all",
    "msg-show": "msg show $(msg ls --all --from bob -o id)",
    "msg-thread": "msg thread $(msg ls --all --from bob -o id)",
    "lease-ls": "lease ls",
    "lease-show": "lease show $(lease ls -o id)",
    "run-ls": "run ls --all",
    "run-show": "run show $(run ls --all -o id)",
    "ev-tail": "ev tail",
    "ev-show": "ev show $(ev tail --type msg.sent -n 1 -o id)",
}


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_screens(acme: Shell, columns: int) -> None:
    terminal = Terminal(acme, columns)
    for name, command in VIEWS.items():
        lines = terminal.run(["sh", "-c", command])
        assert terminal.steering == b"", name
        assert max(map(len, lines)) <= columns
        text = re.sub(r"~[0-9a-z]{8}", "~........", masked(lines))
        text = re.sub(r"took +\S+ s|on [-.\w]+,|\{\"sha256.*", "…", text)
        compare(f"{name}-{columns}", text)


def test_hostile_text_cannot_steer_the_terminal(shell: Shell) -> None:
    shell.env |= {"HOSTILE": HOSTILE}
    item = shell(
        'wk new "$HOSTILE" --desc "$HOSTILE [a](http://b) <b>" --label x -o id'
    ).out.strip()
    shell(f'wk claim {item}; wk comment {item} "$HOSTILE"')
    shell('msg send --to tester --subject "$HOSTILE" --body "$HOSTILE"')
    shell('run request -- printf "$HOSTILE"; run worker --once')
    shell('ev emit deploy.done --body "$(jq -n --arg h "$HOSTILE" \'{title: $h}\')"')
    terminal = Terminal(shell, 80)
    for command in (
        f"wk show {item}",
        "wk ls",
        "wk tree",
        "msg ls",
        "msg show $(msg ls -o id)",
        "run ls --all",
        "run show $(run ls --all -o id)",
        "ev tail",
        "ev tail -o brief",
        "wk ls -o brief",
        "ev show $(ev tail -n 1 -o id)",
    ):
        terminal.run(["sh", "-c", command])
        assert terminal.steering == b"", command
        assert terminal.status == 0, command


def test_colour_is_a_choice(shell: Shell) -> None:
    shell("wk new One")
    terminal = Terminal(shell, 80)
    for env, option, coloured in (
        ({}, "", True),
        ({"NO_COLOR": "1"}, "", False),
        ({}, "--color never", False),
    ):
        terminal.run(["sh", "-c", f"wk ls {option}"], b"", **env)
        assert (b"\x1b[32m" in terminal.printed) is coloured
    assert "\x1b[32m" in shell("wk ls -o table --color always").out
    assert "\x1b" not in shell("wk ls -o table").out
    assert "use auto, always or never" in shell("wk ls -o table --color red", expect=2).err


def test_long_output_goes_through_the_pager_of_a_person(shell: Shell) -> None:
    shell("wk new One")
    terminal = Terminal(shell, 80)
    paged = "sed s/^/paged:/"
    assert terminal.run(["wk", "ls"], PAGER=paged)[0].startswith("paged:")
    assert terminal.run(["wk", "ls"], PAGER="cat", COORD_PAGER=paged)[0].startswith("paged:")
    assert terminal.run(["wk", "ls"], PAGER="no-such-pager")[0].startswith("ID")
    assert not terminal.run(["wk", "new", "Two"], PAGER=paged)[0].startswith("paged:")
    assert terminal.run(["wk", "ls", "-o", "jsonl"], PAGER=paged)[0].startswith("{")
    assert shell("wk ls -o table", PAGER=paged).out.startswith("ID")


def completed(shell: Shell, line: str) -> list[str]:
    """What bash offers at the end of a command line."""
    tool, count = line.split()[0], len(line.split(" ")) - 1
    env = {f"_{tool.upper()}_COMPLETE": "complete_bash", "COMP_CWORD": str(count)}
    return shell(tool, b"", 0, COMP_WORDS=line, **env).out.split()


def test_a_shell_completes_what_the_store_knows(shell: Shell) -> None:
    one, _ = shell("wk new One --label core -o id; wk new Two --label ui -o id").out.split()
    shell("msg send --to bob --subject Hi; lease acquire env:a")
    short = f"wk-{one[-8:].lower()}"
    assert completed(shell, f"wk show {short[:9]}") == [short]
    assert completed(shell, f"wk new x --parent {short[:9]}") == [short]
    assert completed(shell, "wk ls --label c") == ["core"]
    assert completed(shell, "wk ls --status b") == ["blocked"]
    assert completed(shell, "msg send --to te") == ["tester"]
    assert len(completed(shell, "lease release ls-")) == 1
    assert completed(shell, "ev replay --type work.c") == ["work.created"]
    (shell.cwd / ".coord").rename(shell.cwd / "gone")
    assert completed(shell, "wk show wk-") == []
