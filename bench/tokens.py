"""What a day of work costs a model in tokens, beside tbd and beads.

The same day with each interface: learn the tool, look for work, claim it, read it, lease files,
comment, read the mail, record a result, answer, release the lease, close. Counted is what the model
writes (commands, calls) and what it reads (their output), with o200k_base of npm's gpt-tokenizer.
tbd is run. Of beads its documented output is counted, filled with the same day; it has no leases,
mail or artifacts, so these steps are not counted for it, nor for tbd.

`python bench/tokens.py --steps` prints the tokens of each step.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import measure
import peers
from measure import Place, Row

DAY, PRIME, LISTED, SCHEMAS = 350, 420, 220, 1_500
"""Most tokens of a day, of what teaches the tool, of ten items in a list, and of all MCP schemas."""
TITLE = "Write the parser of the configuration language"
DESC = (
    "Read the grammar in doc/grammar.md. Reject unknown keys with their line. Tests: tests/parser."
)
NOTE = "Parser done in 3f2c1a0; error messages are left"
MAIL = ("Review of the lexer?", "Branch lexer, 200 lines. Please look at the string rules.")
REPLY = "Looked: rule 3 misses escaped quotes."
DAYS = 30
CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz"
ID = re.compile(r"\b(wk-|ls-|msg-|acme-)([0-9a-z]{8}|[0-9a-z]{4})\b")
"""A short id: its kind, and what is random."""
COUNTER = """\
import {encode} from '%s/esm/encoding/o200k_base.js';
import fs from 'fs';
for (const text of JSON.parse(fs.readFileSync(0)))
  console.log(encode(text, {disallowedSpecial: new Set()}).length);
"""


class Step(NamedTuple):
    """What a model writes, and what it reads of it."""

    name: str
    written: str
    read: str


def count(texts: Iterable[str]) -> list[int]:
    """The tokens of each text. Raises MissingError."""
    with tempfile.NamedTemporaryFile("w", suffix=".mjs") as script:
        script.write(COUNTER % _tokenizer())
        script.flush()
        argv = ["node", script.name]
        try:
            done = subprocess.run(argv, input=json.dumps([*texts]).encode(), capture_output=True)
        except OSError as error:
            raise peers.MissingError(f"node: {error}") from None
    if done.returncode:
        raise peers.MissingError(f"gpt-tokenizer: {done.stderr.decode().strip()[-200:]}")
    return [int(line) for line in done.stdout.split()]


@cache
def _tokenizer() -> Path:
    return peers.package("gpt-tokenizer")


def total(steps: Iterable[Step]) -> int:
    """The tokens of all steps, as the mean of many days: a random id takes from 4 to 8."""
    texts = [text for step in steps for text in (step.written, step.read)]
    random = Random(0)
    return round(
        sum(count(text for _ in range(DAYS) for text in with_new_ids(texts, random))) / DAYS
    )


def with_new_ids(texts: list[str], random: Random) -> list[str]:
    """The texts with other ids, the same one where it was the same."""
    known: dict[str, str] = {}

    def new(found: re.Match[str]) -> str:
        old = found[2]
        known.setdefault(old, "".join(random.choices(CHARACTERS, k=len(old))))
        return found[1] + known[old]

    return [ID.sub(new, text) for text in texts]


class Day:
    """A store with a morning's work in it, and one agent that works with a form of output."""

    def __init__(self, path: str, form: str) -> None:
        self.place, self.form = Place(path, "ada"), form
        run = self.place.run
        run("ev", "init")
        self.item = run("wk", "new", TITLE, "-p1", f"--desc={DESC}", "-oid").decode().strip()
        run("wk", "new", "Write the printer", f"--blocked-by={self.item}")
        run("msg", "join")
        run("msg", "send", "--as=bob", "--to=ada", "--subject", MAIL[0], "--body", MAIL[1])

    def steps(self) -> Iterator[Step]:
        """The day, one command a step."""
        short = f"wk-{self.item[-8:].lower()}"
        yield self._step("ready", "wk", "ready")
        yield self._step("claim", "wk", "claim", short)
        if self.form == "jsonl":  # brief: the claim has told all of it
            yield self._step("show", "wk", "show", short)
        lease = self._step("lease", "lease", "acquire", "file:src/**", "--ttl", "10m")
        yield lease
        yield self._step("comment", "wk", "comment", short, NOTE)
        mail = self._step("recv", "msg", "recv", "--ack")
        yield mail
        message = self._id("msg", mail.read)
        yield self._step("artifact", "wk", "artifact", short, "--kind=commit", "--uri=3f2c1a0")
        yield self._step("send", "msg", "reply", message, "--body", REPLY)
        yield self._step("release", "lease", "release", self._id("ls", lease.read))
        yield self._step("close", "wk", "close", short, "--note", NOTE)

    def _step(self, name: str, *argv: str) -> Step:
        form = ("-o", self.form) if self.form != "jsonl" else ()
        read = self.place.run(*argv, *form).decode()
        words = (word if re.fullmatch(r"[\w./=-]+", word) else f"'{word}'" for word in argv)
        return Step(name, " ".join((*words, *form)), read)

    def _id(self, kind: str, printed: str) -> str:
        if self.form == "brief":
            return printed.split()[0]
        return f"{kind}-{json.loads(printed.splitlines()[0])['event_id'][-8:].lower()}"


def calls(path: str) -> Iterator[Step]:
    """The day with MCP: the calls of a model, and their results as a model reads them."""
    import anyio

    day = Day(path, "jsonl")

    async def act() -> list[Step]:
        from mcp.client import Client
        from mcp.client.stdio import StdioServerParameters

        server = StdioServerParameters(
            command=f"{measure.BIN}/coord-mcp", args=["stdio"], env=day.place.env, cwd=path
        )
        async with Client(server) as client:
            steps: list[Step] = []

            async def call(name: str, tool: str, **arguments: Any) -> Any:
                done = await client.call_tool(tool, arguments)
                texts = [part.text for part in done.content if part.type == "text"]
                if done.structured_content is not None:
                    texts.append(json.dumps(done.structured_content, separators=(",", ":")))
                written = json.dumps({"name": tool, "arguments": arguments})
                steps.append(Step(name, written, "".join(texts)))
                return json.loads(texts[0])

            tools = await client.list_tools()
            listed = tools.model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
            steps.append(Step("schemas", "", json.dumps(listed, separators=(",", ":"))))
            short = f"wk-{day.item[-8:].lower()}"
            await call("ready", "work_list")
            await call("claim", "work_claim", id=short)
            lease = await call("lease", "lease", acquire=["file:src/**"])
            await call("comment", "work_write", id=short, comment=NOTE)
            mail = await call("recv", "mail_receive")
            message = mail["rows"][0]["id"]
            await call("send", "mail_send", reply=message, body=REPLY)
            await call("ack", "mail_receive", ack=[message])
            await call("release", "lease", release=lease["id"])
            await call("close", "work_close", id=short, note=NOTE)
            return steps

    yield from anyio.run(act)


AUTHOR = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


class Tbd:
    """A repository of tbd with the same items. Raises MissingError."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path)
        self.env = {
            **os.environ,
            "PATH": f"{peers.git()}:{os.environ['PATH']}",
            "HOME": path,
            **{
                f"GIT_{who}_{what}": "ada@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }
        for argv in (["git", "init", "-q"], ["git", "commit", "-q", "--allow-empty", "-m", "x"]):
            self._run(*argv)
        self._tbd("init", "--prefix=acme", "--quiet")
        self.item = self.new(TITLE, "--description", DESC)
        self._tbd("dep", "add", self.new("Write the printer"), self.item)

    def new(self, title: str, *more: str) -> str:
        """The id of a new issue."""
        printed = self._tbd("create", title, "--priority=1", *more)
        return str(re.findall(r"acme-\w+", printed)[0])

    def steps(self) -> Iterator[Step]:
        """The day, as far as tbd has it: `--notes` are what others call comments."""
        yield self._step("ready", "ready")
        yield self._step("claim", "update", self.item, "--status", "in_progress")
        yield self._step("show", "show", self.item)
        yield self._step("comment", "update", self.item, "--notes", NOTE)
        yield self._step("close", "close", self.item, "--reason", NOTE)

    def prime(self, *options: str) -> str:
        return self._tbd("prime", *options)

    def listed(self) -> str:
        return self._tbd("list")

    def _step(self, name: str, *argv: str) -> Step:
        words = (word if re.fullmatch(r"[\w./=-]+", word) else f"'{word}'" for word in argv)
        return Step(name, " ".join(("tbd", *words)), self._tbd(*argv))

    def _tbd(self, *argv: str) -> str:
        return self._run(*peers.program("tbd"), "--no-sync", *argv)

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, cwd=self.path, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise peers.MissingError(f"tbd: {done.stderr.strip()[-200:]}")
        return str(done.stdout)


def beads() -> Iterator[Step]:
    """The day as the documentation of beads has its `--json`, as far as it has it."""
    at = "2026-06-01T09:00:00Z"
    issue: dict[str, Any] = {"id": "ax-k3f", "title": TITLE, "description": DESC, "status": "open"}
    issue |= {
        "priority": 1,
        "issue_type": "task",
        "created_at": at,
        "created_by": "ada",
        "updated_at": at,
    }
    taken = {**issue, "status": "in_progress", "assignee": "ada", "started_at": at}
    counts = {"dependency_count": 0, "dependent_count": 1, "comment_count": 0}
    comment = {"id": "0190c1f0-0000-7000-8000-0000000000ab", "issue_id": "ax-k3f", "author": "ada"}
    closed = {**taken, "status": "closed", "closed_at": at, "close_reason": NOTE}
    for name, words, value in (
        ("ready", "ready", [issue | counts]),
        ("claim", "update ax-k3f --claim", [taken]),
        ("show", "show ax-k3f", [taken | counts]),
        (
            "comment",
            f"comment ax-k3f '{NOTE}'",
            comment | {"text": NOTE, "created_at": at, "schema_version": 1},
        ),
        ("close", f"close ax-k3f --reason '{NOTE}'", [closed]),
    ):
        yield Step(name, f"bd {words} --json", json.dumps(value, indent=2) + "\n")


COMMON = ("ready", "claim", "show", "comment", "close")
"""The steps that all have."""


def shared(steps: Iterable[Step]) -> int:
    return total(step for step in steps if step.name in COMMON)


def rows(_rounds: int, scratch: str) -> Iterator[Row]:
    """The table; each is run once."""
    place = tempfile.mkdtemp(dir=scratch)
    try:
        brief, lines = ([*Day(f"{place}/{form}", form).steps()] for form in ("brief", "jsonl"))
        schemas, *called = calls(f"{place}/mcp")
        prime = Place(f"{place}/brief").run("coord-hooks", "prime").decode()
        yield _row("what teaches it, `coord-hooks prime`", total([Step("", "", prime)]), PRIME)
        yield _row("MCP: all schemas", total([schemas]), SCHEMAS)
        yield _row("a day, `-o brief`", total(brief), DAY)
        yield _row("a day, MCP", total(called))
        yield _row("a day, JSON lines", total(lines))
        yield _row("ten items, `wk ls -o brief`", ten(f"{place}/ten"), LISTED)
        yield _beside("beads' `--json`, as documented", shared(brief), shared(beads()))
        yield from beside_tbd(place, brief, prime)
    except peers.MissingError as why:
        yield Row("tokens", note=str(why))


def beside_tbd(place: str, brief: list[Step], prime: str) -> Iterator[Row]:
    try:
        tbd = Tbd(f"{place}/tbd")
        learnt = total([Step("", "", prime)])
        for name, options in (("tbd prime", ()), ("tbd prime --brief", ("--brief",))):
            taught = total([Step("", "", tbd.prime(*options))])
            yield _beside(name, learnt, taught, "what teaches it")
        yield _beside("tbd", shared(brief), shared(tbd.steps()))
    except peers.MissingError as why:
        yield Row("tokens beside tbd", note=str(why))


def ten(path: str) -> int:
    """Tokens of a list of ten items."""
    day = Day(path, "brief")
    for number in range(8):
        day.place.run("wk", "new", f"Check rule {number} of the grammar", f"-p{number % 3}")
    return total([Step("ls", "wk ls -o brief", day.place.run("wk", "ls", "-o", "brief").decode())])


def _row(what: str, ours: int, most: int | None = None) -> Row:
    row = Row(what, f"{ours} tokens")
    return row if most is None else row.must(ours <= most, f"≤ {most}")


def _beside(
    peer: str, ours: int, theirs: int, what: str = "ready, claim, show, comment, close"
) -> Row:
    row = Row(what, f"{ours} tokens", f"{peer} {theirs}", f"{ours / theirs:.2f}")
    return row if "--brief" in peer else row.must(ours < theirs, "< 1")


def explain() -> None:
    """Print the tokens of each step."""
    with tempfile.TemporaryDirectory(prefix="coord-bench-") as place:
        days = {form: [*Day(f"{place}/{form}", form).steps()] for form in ("brief", "jsonl")}
        days |= {"mcp": [*calls(f"{place}/mcp")], "tbd": [*Tbd(f"{place}/tbd").steps()]}
        for form, steps in {**days, "beads": [*beads()]}.items():
            for step in steps:
                written, read = count((step.written, step.read))
                print(f"{form:6} {step.name:9} {written:4} + {read:4}  {step.written[:60]}")
            print(f"{form:6} {'all':9} {total(steps):11}\n")


if __name__ == "__main__":
    if "--steps" in sys.argv:
        explain()
    else:
        sys.exit(measure.alone("tokens", rows))
