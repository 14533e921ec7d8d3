"""In which form programs take hooks, and which of their tools edit files. Data."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    class Program(TypedDict):
        """A coding agent, as its hooks are concerned. Which dialect it speaks is in the kernel."""

        form: str
        """groups: JSON, hooks in groups with a matcher; list: JSON, hooks without; toml; plugin"""
        editors: str
        """A regular expression: the tools that change files."""
        unit: NotRequired[int]
        """Its time limits are in units of which a second has so many (1)."""
        last: NotRequired[int]
        """Seconds of the hook at the end, if there is a limit to that."""
        without: NotRequired[tuple[str, ...]]
        """Moments for which it has no event, or an event of another meaning."""
        intro: NotRequired[str]
        """The moment of the introduction, where nothing is shown at the start."""


PROGRAMS: dict[str, Program] = {
    "claude": {
        "form": "groups",
        "editors": "Edit|MultiEdit|Write|NotebookEdit",
    },
    "codex": {
        "form": "groups",
        "editors": "apply_patch|Edit|Write|Bash",  # a patch may come in a shell command
        "last": 3,
        "without": ("notice",),
    },
    "qwen": {
        "form": "groups",
        "editors": "edit|write_file|notebook_edit",
    },
    "droid": {
        "form": "groups",
        "editors": "Edit|MultiEdit|Create|ApplyPatch",
    },
    "gemini": {
        "form": "groups",
        "editors": "replace|write_file",
        "unit": 1_000,
        "without": ("compact",),  # that event comes before each request
    },
    "copilot": {
        "form": "list",
        "editors": "Edit|MultiEdit|Write|Create",
    },
    "kimi": {
        "form": "toml",
        "editors": "Edit|Write",
        "intro": "prompt",
    },
    "opencode": {
        "form": "plugin",
        "editors": "edit|write|patch|apply_patch|multiedit",
    },
    "pi": {
        "form": "plugin",
        "editors": "edit|write",
    },
}
