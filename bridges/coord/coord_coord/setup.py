"""Our entries in the settings files of a coding agent, in the work tree of this directory.

1. Every file is read, and what it shall become is worked out, before one is written.
2. The user sees the difference and agrees.
3. A file that has changed meanwhile is not written. Each file is replaced as a whole.
4. The store keeps what each file was before, in local/setup/PROGRAM/. `--undo` gives that back; of
   a file that was changed since, it takes out our entries only.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from coord_coord import tools
from coord_coord.entries import PROGRAMS, SERVED, Entry, entries
from coord_coord.files import Files
from coord_envelope import world
from coord_envelope.errors import BadData, Fault, No, TryAgain, Usage
from coord_envelope.platform import suppress
from coord_kernel.cli import complaints
from coord_kernel.cli.dialects import HOOKED
from coord_kernel.cli.escape import visible
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside
from coord_kernel.store import locate
from coord_kernel.store.disk import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.store.directory import Store

_NAME = re.compile(
    r'coord-hooks \w+ (?:\w+ )?--as \\?"\$\{COORD_AGENT:-([^}\s"]+)\}'
    r'|process\.env\.COORD_AGENT \|\| "([^"\s]+)"'
)
"""The agent in a hook of ours, as JSON or TOML have it, or in a plugin."""
CONTEXT = 2
"""Lines around a change that are shown."""
COLOURS = {"+": "\033[32m", "-": "\033[31m", "@": "\033[36m"}
ADVICE = {
    "claude": "start `claude` in this directory",
    "codex": "start `codex` in this directory; it asks whether you trust it and its hooks",
    "gemini": "start `gemini` in this directory, and trust it",
    "copilot": "start `copilot --trust-folder` in this directory",
    "kimi": "start `kimi`; its hooks are for all projects, and do nothing without a store",
    "pi": "start `pi -a` in this directory, which trusts it",
}


class Change(NamedTuple):
    """What a file is and what it shall be; None: no file."""

    path: str
    before: bytes | None
    after: bytes | None

    @property
    def kind(self) -> str:
        """unchanged | added | removed | changed"""
        if self.before == self.after:
            return "unchanged"
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


class Setup:
    """One run of `coord setup`: what it would change, and doing it.

    Raises Usage, BadData, Refused, Unreachable, and No if there is nothing to undo.
    """

    def __init__(
        self, call: Call, program: str, undo: bool = False, agent: str | None = None
    ) -> None:
        """`agent`: the name that the program's agent shall have, whatever it has now."""
        self.program, self.undo = program, undo
        self._store = call.journal.store
        self._files = Files(locate.tree(self._store))
        agent = agent_of(agent or self._agent() or call.named, program)
        self.server = find_spec("mcp") is not None
        """Is the SDK there, without which the MCP server does not start?"""
        printed = _hooks(program, agent) if program in PROGRAMS else ""
        self._entries = entries(program, agent, printed, self.server)
        if undo and not self._record():
            what = f"nothing to undo: `coord setup {program}` has changed nothing here"
            raise No(what, code="not_found")
        self.changes = [
            self._undone(entry) if undo else self._done(entry) for entry in self._entries
        ]

    def _agent(self) -> str | None:
        """The name that an earlier setup has given the program's agent."""
        path, _ = HOOKED.get(self.program, ("", ""))
        found = _NAME.search(self._files.text(path)) if path else None
        return found[1] or found[2] if found else None

    @property
    def needed(self) -> bool:
        """Is there anything to change?"""
        return any(change.kind != "unchanged" for change in self.changes)

    @property
    def begun(self) -> bool:
        """Is any of our entries there, whoever made it?"""
        texts = {entry: self._files.text(entry.path) for entry in self._entries}
        return any(
            _attempt(entry.remove, text, entry.path) != text for entry, text in texts.items()
        )

    def _done(self, entry: Entry) -> Change:
        text = self._files.text(entry.path)
        after = _attempt(entry.add, text, entry.path)
        before = self._files.read(entry.path)
        return Change(entry.path, before, before if after == text else after.encode())

    def _undone(self, entry: Entry) -> Change:
        before, made = self._files.read(entry.path), self._record().get(entry.path)
        if made is None or before is None:
            return Change(entry.path, before, before)
        if _digest(before) == made["after"]:
            return Change(entry.path, before, self._copy(entry.path) if made["existed"] else None)
        after = _attempt(entry.remove, self._files.text(entry.path), entry.path).encode()
        empty = None if not made["existed"] else b"{}\n" if entry.path.endswith("json") else b""
        return Change(entry.path, before, after or empty)

    def show(self, fd: int) -> None:
        """Print the difference, without anything that could steer a terminal."""
        coloured = os.isatty(fd) and not world.getenv("NO_COLOR")
        for line in self.difference():
            line = visible(line)
            colour = COLOURS.get(line[:1]) if coloured else None
            write_all(fd, f"{colour}{line}\033[0m\n".encode() if colour else f"{line}\n".encode())

    def difference(self) -> Iterator[str]:
        """The lines of a unified difference."""
        for change in self.changes:
            before, after = _lines(change.before), _lines(change.after)
            old = "/dev/null" if change.before is None else f"a/{change.path}"
            new = "/dev/null" if change.after is None else f"b/{change.path}"
            yield from difflib.unified_diff(before, after, old, new, lineterm="", n=CONTEXT)

    def confirm(self) -> None:
        """Ask. Raises No if the user refuses, Usage if there is no terminal."""
        if not (os.isatty(0) and os.isatty(2)):
            raise Usage("nothing was changed: no terminal to ask on", todo="use --yes or --dry-run")
        write_all(2, b"Change these files? [y/N] ")
        answer = os.read(0, 1024)
        if not answer:
            write_all(2, b"\n")
        if answer.strip().lower() not in (b"y", b"yes"):
            raise No("nothing was changed")

    def apply(self) -> list[Json]:
        """Write the files; a row for each. Raises TryAgain if one has changed since it was read."""
        with self._store.lock():
            for change in self.changes:
                if self._files.read(change.path) != change.before:
                    raise TryAgain("changed meanwhile", where=change.path, todo="run this again")
            for change in self.changes:
                if change.kind != "unchanged":
                    if not self.undo:
                        self._keep(change)
                    self._files.replace(change.path, change.after)
            if self.undo:
                self._save({})
        return self.rows()

    def rows(self) -> list[Json]:
        """What becomes of each file."""
        return [self._row(change) for change in self.changes]

    def _row(self, change: Change) -> Json:
        row: Json = {"file": change.path, "change": change.kind}
        if change.kind == "changed" and not self.undo:
            row["copy"] = os.path.join(self._store.path, *self._place(change.path))
        return row

    def advise(self) -> None:
        """What to do next, on stderr."""
        if not self.server and self.program in SERVED:
            complaints.warn("without the MCP server: pip install 'coord-kernel[mcp]' adds it")
        if not tools.on_path("coord-hooks"):
            complaints.warn(f"add {beside.BIN} to PATH, or no hook can run")
        complaints.warn(ADVICE.get(self.program, f"start `{self.program}` in this directory"))

    def _keep(self, change: Change) -> None:
        """Keep what the file was before the first setup, or before this one if it was edited."""
        record = self._record()
        made = record.get(change.path)
        if made is None:
            made = {"existed": change.before is not None}
            self._store.save(change.before or b"", *self._place(change.path))
        elif change.before is not None and _digest(change.before) != made["after"]:
            entry = next(entry for entry in self._entries if entry.path == change.path)
            text = _attempt(entry.remove, self._files.text(change.path), change.path)
            self._store.save(text.encode(), *self._place(change.path))
            made = {"existed": made["existed"] or bool(text)}
        assert change.after is not None
        self._save(record | {change.path: made | {"after": _digest(change.after)}})

    def _place(self, path: str) -> tuple[str, ...]:
        return "local", "setup", self.program, os.path.basename(path)

    def _copy(self, path: str) -> bytes:
        return self._store.load(*self._place(path)) or b""

    def _record(self) -> dict[str, Json]:
        """By path: was there a `existed` file, and the digest `after` the last setup."""
        with suppress(ValueError):
            record = json.loads(self._store.load("local", "setup", f"{self.program}.json") or b"")
            if isinstance(record, dict):
                return record
        return {}

    def _save(self, record: dict[str, Json]) -> None:
        self._store.save(json.dumps(record).encode(), "local", "setup", f"{self.program}.json")


def agent_of(named: str | None, program: str) -> str:
    """The name of the program's agent: the given one, if it is not a person's, or PROGRAM-1."""
    name = (named or "").removeprefix("agent:")
    return f"{program}-1" if not name or name.startswith("human:") else name


def present(store: Store, program: str) -> bool:
    """Is the file there in which the program has its hooks?"""
    path, _ = HOOKED[program]
    with suppress(Fault):
        return Files(locate.tree(store)).read(path) is not None
    return True


def _hooks(program: str, agent: str) -> str:
    """What `coord-hooks settings` prints. Raises Unreachable."""
    env = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    argv = [tools.found("coord-hooks") or "coord-hooks", "settings", program, f"--as={agent}"]
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    except OSError as error:
        raise tools.not_run("coord-hooks", error) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("coord-hooks: ")
        raise BadData(said, where="coord-hooks settings")
    return done.stdout.decode()


def _attempt(change: Callable[[str], str], text: str, path: str) -> str:
    try:
        return change(text)
    except BadData as fault:
        fault.where = fault.where or path
        raise


def _lines(data: bytes | None) -> list[str]:
    text = (data or b"").decode("utf-8", "replace")
    return text.removesuffix("\n").split("\n") if text else []


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
