"""Draw the README's picture of coord-web: `make web-picture`. A real store, and the real page.

python tests/picture_web.py FILE [PATH [WIDTH HEIGHT [light|dark]]]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import acme
from playwright.sync_api import sync_playwright
from support import Shell
from web_server import CHROMIUM, WebServer


def main(
    file: str, path: str = "", width: str = "1280", height: str = "860", scheme: str = "light"
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = acme.told(Path(directory)).root
        os.environ |= {"COORD_NOW": acme.NOW, "TZ": "UTC"}
        server = WebServer(Shell(root), agent="human:kim")
        server.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            size = {"width": int(width), "height": int(height)}
            context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.clock.set_fixed_time(acme.NOW)
            page.goto(server.url)
            page.goto(f"{page.url}{path}")
            page.wait_for_selector('#live[data-state="on"]')
            page.screenshot(path=file)
            browser.close()
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
