"""Draw the README's picture: `make session`. A real run in a real terminal of 80 columns."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text
from support import Shell
from terminal import Terminal

COMMANDS = (
    ("builder", "wk new 'Write the parser' -p 1 --desc 'All *texts*.'"),
    ("builder", "wk new 'Write the printer' --blocked-by $(wk ls -o id | head -n 1)"),
    ("fixer", "wk ready --claim -o brief"),
    ("builder", "wk ls"),
    ("fixer", "wk close $(wk mine -o id) --note 'fixed in 3f2c1a0'"),
    ("builder", "wk show $(wk ls --all --status done -o id)"),
    ("builder", "coord status"),
)
FORMAT = """<svg viewBox="0 0 {terminal_width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; white-space: pre; }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{terminal_width}" height="{height}" rx="8" fill="#0d1117"/>
<g transform="translate(12, 4)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
"""Rich's own format fetches a font from the network."""


def drawn(shell: Shell) -> Console:
    """What a person sees of the commands, recorded."""
    recorded = Console(width=82, record=True, file=io.StringIO(), force_terminal=True)
    for agent, command in COMMANDS:
        recorded.print(
            Text(f"{agent} $ ", style="bold green").append(command, style="not bold default")
        )
        terminal = Terminal(shell, 80)
        terminal.run(["bash", "-c", command], COORD_AGENT=agent)
        recorded.print(Text.from_ansi(terminal.printed.decode().replace("\r", "").rstrip()))
    return recorded


def main(file: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        acme = Path(directory) / "acme"
        acme.mkdir()
        subprocess.run(["git", "init", "-q", acme], check=True)
        shell = Shell(acme)
        shell("ev init")
        svg = drawn(shell).export_svg(code_format=FORMAT, unique_id="coord")
    Path(file).write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
