"""coord-web as a server of tests, and a browser that looks at it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from ports import free_port
from support import BIN, Shell

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


class WebServer:
    """One server of the store of a shell; restarted it has the same address."""

    _child: subprocess.Popen[str]

    def __init__(self, shell: Shell, *options: str, agent: str = "human:eve") -> None:
        self._shell, self._options, self._agent = shell, options, agent
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"

    @staticmethod
    def missing() -> str | None:
        modules = ("uvicorn", "starlette", "sse_starlette")
        return next((name for name in modules if not importlib.util.find_spec(name)), None)

    def start(self) -> None:
        """Start it, and return when it has printed that it is ready."""
        argv = [f"{BIN}/coord-web", *self._options, "--port", str(self.port)]
        env = self._shell.env | {"COORD_AGENT": self._agent}
        self._child = subprocess.Popen(
            argv, cwd=self._shell.cwd, env=env, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout
        self.ready: dict[str, str] = json.loads(self._child.stdout.readline())
        self.url = Path(self.ready["file"]).read_text().strip()
        self.token = self.url.rpartition("=")[2]

    def stop(self, kill: bool = False) -> int:
        """SIGTERM, or SIGKILL; the exit status."""
        (self._child.kill if kill else self._child.terminate)()
        status = self._child.wait()
        assert self._child.stdout
        self._child.stdout.close()
        return status


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """(status, headers in lower case, body) of one request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, named)
    opener = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, _lower(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read().decode()


def cookie(server: WebServer) -> str:
    """The cookie of who has opened the URL with the token."""
    status, headers, _ = ask(server.url)
    assert status == 303
    return headers["set-cookie"].partition(";")[0]


def _lower(headers: object) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]


def axe() -> Path | None:
    """The file of axe-core, installed by npm."""
    npm = shutil.which("npm")
    if not npm:
        return None
    root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip()
    path = Path(root, "axe-core", "axe.min.js")
    return path if path.is_file() else None
