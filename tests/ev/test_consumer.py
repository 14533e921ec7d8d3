"""A consumer's file: each mistake in it is one line, and its templates let no event out of its place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import Json, Shell, open_store

from coord_envelope import BadData
from coord_envelope.event import Event
from coord_ev.consumer import Consumer
from coord_kernel.store.init import init

RIGHT = """
name = "reviewer"
[match]
types = ["ci.*"]
[run]
argv = ["llm", "-s", "{{ file('prompts/review.md') }}"]
stdin = "{{body.diff}}"
"""


@pytest.fixture
def store(repo: Path) -> Path:
    """A repository with a store, made without a process."""
    init()
    return repo


def consumer(repo: Path, text: str) -> Consumer:
    (repo / "prompts").mkdir(exist_ok=True)
    (repo / "prompts/review.md").write_text("Be brief.\n")
    (repo / "c.toml").write_text(text)
    return Consumer("c.toml", open_store(repo))


def mistakes(repo: Path, text: str) -> list[str]:
    return [str(one).removeprefix("c.toml: ") for one in consumer(repo, text).mistakes]


def event(**body: object) -> Event:
    return Event(
        b'{"the":"line"}',
        {"event_id": "01KF4QBCFS000DHT52RH6PKMCY", "type": "ci.diff", "body": body},
    )


def words(repo: Path, argv: str, **body: object) -> list[str]:
    text = f'name = "c"\n[match]\ntypes = ["a.b"]\n[run]\nargv = {argv}\n'
    found = consumer(repo, text)
    assert found.mistakes == []
    return found.job(event(**body))[0]


def test_a_right_file_has_no_mistake(store: Path) -> None:
    found = consumer(store, RIGHT)
    assert found.mistakes == []
    argv, stdin = found.job(event(diff="+a\n"))
    assert (argv, stdin) == (["llm", "-s", "Be brief.\n"], b"+a\n")


WRONG = [
    ("", "name: is missing; as name = \"reviewer\""),
    ('name = "A b"', "name: not a valid name: 'A b'; use a-z 0-9 . _ -, up to 54"),
    ("name = 7", 'name: is not a string; as name = "reviewer"'),
    ('nam = "x"', "nam: unknown key; valid keys: name, match, run, gate, emit"),
    ("match = 1", "match: is not a table"),
    ("", '[match] types: is missing; as types = ["ci.*"]'),
    ('[match]\ntypes = "a.b"', '[match] types: is not a list of strings; as types = ["ci.*"]'),
    ("[match]\ntypes = []", '[match] types: is not a list of strings; as types = ["ci.*"]'),
    ('[match]\nagents = ["a b"]', "[match] agents: not a valid address: 'a b'; use agent|human|bridge:NAME"),
    ('[match]\nsince = "yesterday"', "[match] since: not a valid time: 'yesterday'; use 2026-01-17, "),
    ('[match]\nwhen = "x"', "[match] when: unknown key; valid keys: since, types,"),
    ('[match]\nwhere = "x"', "[match] where: is not a table"),
    ("[match]\nwhere = { a = [] }", "[match] where: a is not a text, a number, true, false or a list"),
    ('[match]\nwhere = { "a..b" = 1 }', "[match] where: not a path: '.a..b': quote names other than"),
    ('[run]\nurl = "ftp://x"', "[run] url: not a valid URL: 'ftp://x'; use https://…"),
    ('[run]\nurl = "https://{{body.host}}"', "[run] url: is a template; write the URL itself, so that"),
    ('[run]\nurl = "https://x"\nargv = ["a"]', "[run] url: stands beside argv; leave one of them out"),
    ('[run]\nurl = "http://[::1"', "[run] url: not a valid URL: 'http://[::1'; use https://…"),
    ('[run]\nurl = "http://127.0.0.1:99999"', "[run] url: not a valid URL: 'http://127.0.0.1:99999'; use"),
    ('[run]\nurl = "https://a:b@x"', "[run] url: the URL holds credentials; leave out NAME:PASSWORD@"),
    ('[run]\nurl = "https://x/ü"', "[run] url: not a valid URL: 'https://x/ü'; write other characters as %XX"),
    ('[run]\nurl = "$A B"', "[run] url: not the name of a variable: '$A B'; use $NAME"),
    ('[run]\nurl = "https://x"\nsecret = "$"', "[run] secret: not the name of a variable: '$'; use $NAME"),
    ('[run]\nsecret = "A"', "[run] secret: unknown key; valid keys: url, argv, stdin,"),
    ("", '[run] argv: is missing; as argv = ["llm", "{{body.text}}"]'),
    ('[run]\nargv = ["a", 1]', '[run] argv: is not a list of strings; as argv = ["llm", "{{body.text}}"]'),
    ('[run]\nargv = ["{{body.x}}"]',
     "[run] argv[0]: the program's name is a template; write the name itself, so that no event"),
    ('[run]\nargv = ["a", "-{{body.x}}"]', "[run] argv[1]: '-{{body.x}}' lets an event choose an option; use"),
    ('[run]\nargv = ["a", "{{body.x"]', "[run] argv[1]: line 1 of the template: unexpected end of template"),
    ('[run]\nstdin = "{% if %}"', "[run] stdin: line 1 of the template: Expected an expression"),
    ('[run]\nargv = [""]', "[run] argv[0]: is empty; write the program's name"),
    ('[run]\nargv = ["a", "\\u0000"]', "[run] argv[1]: contains a NUL byte"),
    ('[run]\nenv = { "A=B" = "x" }', "[run] env: cannot set variable 'A=B'"),
    ('[run]\nenv = { "" = "x" }', "[run] env: cannot set variable ''"),
    ('[run]\nenv = { "A\\u0000" = "x" }', r"[run] env: cannot set variable 'A\x00'"),
    ('[run]\nstdin = "' + "{{" + "(" * 3000 + '"', "[run] stdin: not a valid template: maximum recursion"),
    ("[run]\nconcurrency = 0", "[run] concurrency: is not a whole number from 1"),
    ("[run]\nmax_attempts = true", "[run] max_attempts: is not a whole number from 1"),
    ('[run]\ntimeout = "5 minutes"',
     "[run] timeout: not a valid time: timeout 5 minutes; from 1ms to 366d, as 500ms"),
    ("[run]\nenv = { A = 1 }", '[run] env: is not a table of strings; as env = { LANG = "C" }'),
    ('[run]\nschema = "none.json"', "[run] schema: none.json: no such file or directory"),
    ('[run]\nschema = "c.toml"', "[run] schema: c.toml: not valid JSON: "),
    ('[run]\nschema = "/etc/passwd"',
     "[run] schema: /etc/passwd: outside the directory of the consumer's file; only"),
    ("[gate]", '[gate] argv: is missing; as argv = ["./check.sh"]'),
    ("[emit]", '[emit] type: is missing; as type = "review.done"'),
    ('[emit]\ntype = "Review"', "[emit] type: not a valid type: 'Review'; use namespace.verb"),
    ('[emit]\ntype = "work.done"',
     "[emit] type: work.done is reserved for the kernel; use a type of your own, as ci.diff"),
    ('[emit]\nto = ["group:x"]',
     "[emit] to: group:x: groups work with `msg send` only; name its members, or chan:NAME"),
    ('[emit]\ntype = "a.b"\nto = ["gpu:1"]',
     "[emit] to: not a valid address: 'gpu:1'; use agent|human|bridge|group|queue|chan:NAME"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), WRONG, ids=lambda one: one[:30])
def test_a_mistake_is_one_line_that_says_what_where_and_what_to_do(
    store: Path, text: str, line: str
) -> None:
    assert [one for one in mistakes(store, text) if one.startswith(line)]


def test_all_mistakes_are_reported_and_nothing_is_run(shell: Shell, repo: Path) -> None:
    (repo / "c.toml").write_text('name = "A b"\n[run]\nargv = []\nconcurrency = 0\n')
    done = shell("ev consume c.toml --once", expect=65)
    assert [line.split(": ")[2] for line in done.err.splitlines()] == [
        "name", "[match] types", "[run] argv", "[run] concurrency",
    ]  # fmt: skip
    assert shell("ev replay").out == ""


def test_a_file_that_is_not_toml_or_missing_is_reported(shell: Shell, repo: Path) -> None:
    (repo / "c.toml").write_text("name = \n")
    assert (
        "c.toml: not valid TOML: Invalid value (at line 1"
        in shell("ev consume c.toml", expect=65).err
    )
    assert (
        shell("ev consume none.toml", expect=74).err == "ev: none.toml: no such file or directory\n"
    )


def test_an_event_is_inserted_and_never_read_as_a_template(store: Path) -> None:
    assert words(store, '["a", "x {{body.t}}"]', t="{{ file('c.toml') }}$(id)`id`;") == [
        "a", "x {{ file('c.toml') }}$(id)`id`;",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "title", "why"),
    [
        ('["a", "{{body.t}}"]', "--exec=x", "would be an option"),
        ('["a", "{{body.t}}", "--"]', "-x", "would be an option"),
        ('["a", " {{body.t}}"]', "x\0y", "contains a NUL"),
        ('["a", "{{body.t}}"]', "x" * 41_000, "more than 40,960"),
        ('["a", "{{body.t * 30}}"]', "x" * 40_000, "more than 1,048,576"),
    ],
)
def test_an_invalid_word_is_refused(store: Path, argv: str, title: str, why: str) -> None:
    with pytest.raises(BadData, match=why):
        words(store, argv, t=title)


def test_behind_two_dashes_and_behind_an_options_name_anything_may_stand(store: Path) -> None:
    assert words(store, '["a", "--", "{{body.t}}"]', t="-x") == ["a", "--", "-x"]
    assert words(store, '["a", "--title={{body.t}}"]', t="-x") == ["a", "--title=-x"]


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{body.n}} {{body.yes}} {{body.none}}", "7 true null"),
        ("{{body.list}}", '["a",{"b":1}]'),
        ("{{body.items}}", "a field"),
        ("{{body['items']}}", "a field"),
        ("{{event.type}} {{type}}", "ci.diff ci.diff"),
        ("{% for one in body.list %}{{loop.index}}{% endfor %}\n", "12\n"),
        ("{{ body.gone | default('-') }}", "-"),
    ],
)
def test_what_is_inserted_is_text_or_json(store: Path, source: str, made: str) -> None:
    body: Json = {"n": 7, "yes": True, "none": None, "list": ["a", {"b": 1}], "items": "a field"}
    found = consumer(store, RIGHT.replace('"{{body.diff}}"', f'"""{source}"""'))
    assert found.mistakes == []
    assert found.job(event(**body))[1].decode() == made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{body.gone}}", "no 'gone' here, but 'n'"),
        ("{{boddy.n}}", "'boddy' is undefined"),
        ("{{body.n.x}}", "has no attribute 'x'"),
        ("{{body.__class__}}", "no '__class__' here"),
        ("{{''.__class__.__mro__}}", "unsafe"),
        ("{{body.update({'n': 1})}}", "no 'update' here"),
        ("{{1 // (body.n - 7)}}", "zero"),
        ("{% include 'c.toml' %}", "no loader"),
        ("{{ file('gone.md') }}", r"gone.md: no such file"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_an_error(store: Path, source: str, why: str) -> None:
    found = consumer(store, RIGHT.replace('"{{body.diff}}"', f'"""{source}"""'))
    assert found.mistakes == []
    with pytest.raises(BadData, match=why):
        found.job(event(n=7))


def test_file_reads_nothing_above_the_consumers_file_nor_through_a_link_out(store: Path) -> None:
    (store / "sub").mkdir()
    (store / "sub/in.md").write_text("in")
    (store / "secret").write_text("secret")
    (store / "sub/out").symlink_to("../secret")
    (store / "sub/up").symlink_to("..")
    (store / "sub/link").symlink_to("in.md")
    os.mkfifo(store / "sub/fifo")
    text = 'name = "c"\n[match]\ntypes = ["a.b"]\n[run]\nargv = ["a"]\nstdin = "{{ file(body.name) }}"\n'
    (store / "sub/c.toml").write_text(text)
    found = Consumer("sub/c.toml", open_store(store))
    assert [found.job(event(name=name))[1] for name in ("in.md", "link", "../sub/in.md")] == [
        b"in"
    ] * 3
    for name in (
        "../secret",
        "out",
        "up/secret",
        str(store / "sub/in.md"),
        "",
        ".",
        "fifo",
        "in.md\0",
        "gone",
    ):
        with pytest.raises(BadData):
            found.job(event(name=name))


def test_blob_gives_the_text_of_what_was_too_long_for_an_event(shell: Shell, repo: Path) -> None:
    body = shell("ev watch --type a.b --once -- seq 20000").one["body"]
    found = consumer(repo, RIGHT.replace("{{body.diff}}", "{{ blob(body.blob) }}"))
    assert found.job(event(**body))[1].decode() == "".join(f"{n}\n" for n in range(1, 20001))
    for wrong in ({"sha256": "0" * 64}, {"sha256": "../x"}, 7):
        with pytest.raises(BadData):
            found.job(event(blob=wrong))


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ('{ job = "lint" }', ["lint"]),
        ('{ "body.job" = ["lint", "unit*"], n = 1 }', ["lint", "unit 3"]),
        ('{ "tags.name" = "slow" }', ["unit 3"]),
        ('{ long = "x*" }', ["in a blob"]),
        ('{ none = "x" }', []),
    ],
)
def test_fields_of_the_body_select_events_also_in_a_blob(
    shell: Shell, repo: Path, where: str, matching: list[str]
) -> None:
    for body in (
        {"job": "lint", "n": 1},
        {"job": "unit 3", "n": 1, "tags": [{"name": "slow"}, {"name": "db"}]},
        {"job": "in a blob", "n": 2, "long": "x" * 60_000},
    ):
        shell("ev emit ci.failed --body -", stdin=json.dumps(body))
    shell("ev emit ci.passed job=lint")
    (repo / "c.toml").write_text(
        f'name = "c"\n[match]\ntypes = ["ci.failed"]\nwhere = {where}\n[run]\nargv = ["true"]\nstdin = "event"\n'
    )
    found = [json.loads(row["stdin"]) for row in shell("ev consume c.toml --once --dry-run").lines]
    whole = [shell(f"ev show {event['event_id']}").one for event in found]
    assert [(event.get("$body") or event["body"])["job"] for event in whole] == matching
