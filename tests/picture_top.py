"""Draw the README's picture of coord-top: `make top-picture`. A real store, and the real screen.

python tests/picture_top.py FILE [COLUMNS LINES [KEY...]]
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

import acme

from coord_kernel.store.locate import find
from coord_top.app import Top
from coord_top.stores import Stores

SIZE = (124, 34)


async def drawn(root: Path, size: tuple[int, int], keys: list[str]) -> str:
    """The screen after these keys, as SVG."""
    app = Top(Stores([find(str(root))], "human:kim"), "human:kim", None, False)
    async with app.run_test(size=size) as pilot:
        while app.looked is None:
            await pilot.pause(0.05)
        await pilot.pause(0.5)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.5)
        return app.export_screenshot(title="coord-top", simplify=True)


def plain(svg: str) -> str:
    """Without the fonts that it would fetch from the network, and without a clip for each line."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>\s*', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#[^")]*-line-\d+\)"', "", svg)
    svg = re.sub(r"font-family: [^;]*;", "font-family: monospace;", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main(file: str, columns: str = str(SIZE[0]), lines: str = str(SIZE[1]), *keys: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = acme.told(Path(directory)).root
        os.environ |= {"COORD_NOW": acme.NOW, "COORD_AGENT": "human:kim", "TZ": "UTC"}
        os.environ.pop("NO_COLOR", None)
        svg = asyncio.run(drawn(root, (int(columns), int(lines)), list(keys)))
    Path(file).write_text(plain(svg))


if __name__ == "__main__":
    main(*sys.argv[1:])
