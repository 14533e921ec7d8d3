"""A small shop with a past: agents that work, wait, stall and are gone; what screens show of it."""

from __future__ import annotations

from pathlib import Path

from support import Shell, git

NOW = "2026-11-30T08:40:00Z"
"""When the story is over."""


class Acme:
    """The story as commands, each at its time and by its agent."""

    def __init__(self, directory: Path, name: str = "acme") -> None:
        self.root = directory / name
        self.root.mkdir(parents=True)
        git("init", "-q", ".", cwd=self.root)
        self.shell = Shell(self.root)
        self.shell.env.pop("COORD_AGENT", None)
        self("07:00", "kim", "ev init")
        self.ids: dict[str, str] = {}

    def __call__(self, at: str, agent: str, line: str, **env: str) -> str:
        """Run a command as an agent at a time of the day; what it printed."""
        name = f"human:{agent}" if agent == "kim" else agent
        env = {"COORD_NOW": f"2026-11-30T{at}:00Z", "COORD_AGENT": name, **env}
        return self.shell(line, expect=0, **env).out.strip()

    def item(self, at: str, word: str, title: str, options: str = "") -> str:
        """A work item that the story calls `word`."""
        self.ids[word] = self(at, "kim", f"wk new '{title}' -o id {options}")
        return self.ids[word]


def told(directory: Path, name: str = "acme") -> Acme:
    """The whole story."""
    acme = Acme(directory, name)
    add = acme.item
    add("07:01", "numbers", "Parse numbers with exponents", "-p 1 --label parser")
    add("07:02", "json", "Print the tree as JSON", "--label printer")
    lexer = add("07:03", "lexer", "Move to the new lexer", "-p 0")
    add("07:04", "changes", "Write the changelog of 2.1")
    add("07:05", "bench", "Benchmark 10 MB of input", f"--blocked-by {lexer}")
    add("07:06", "names", "Names of columns in errors", "-p 1")
    add("07:07", "drop", "Drop Python 3.10", "--hold 'after the release'")
    add("07:08", "fuzz", "Fuzz the lexer", f"--blocked-by {lexer}")
    add("07:09", "docs", "Document the tree")
    ids = acme.ids
    acme("07:10", "ada", f"wk claim {ids['docs']}", COORD_SESSION="s1")
    acme("07:20", "ada", f"wk close {ids['docs']} --note 'as asked'", COORD_SESSION="s1")
    acme("07:30", "eve", f"wk claim {ids['names']}", COORD_SESSION="s9")
    acme("08:05", "bob", f"wk claim {lexer}", COORD_SESSION="s2")
    acme("08:06", "bob", "lease acquire 'file:src/lexer/**' --ttl 1h --reason 'the new lexer'")
    acme("08:20", "ada", f"wk claim {ids['numbers']}", COORD_SESSION="s1")
    acme("08:21", "ada", "lease acquire file:src/numbers.py --ttl 1h")
    acme("08:30", "bob", "run request --timeout 1m -- sh -c 'exit 3'")
    acme("08:30", "bob", "run worker --once", COORD_SESSION="s2")
    acme("08:34", "ada", f"run request --work {ids['numbers']} -- make -C parser test")
    acme("08:35", "ada", "msg send --to human:kim --subject 'Numbers: 12 of 14 tests pass'")
    question = "Should 1e400 be an error or infinity?"
    acme(
        "08:38",
        "bob",
        f"wk ask '{question}' --option error --option infinity --to human:kim --blocks {lexer}",
        COORD_SESSION="s2",
    )
    acme("08:39", "ada", f"wk comment {ids['numbers']} 'hex floats are left'", COORD_SESSION="s1")
    return acme
