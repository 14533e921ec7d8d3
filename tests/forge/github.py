"""A GitHub on this machine: the npm package `emulate`, behind a proxy that counts.

The proxy adds what emulate 0.12.2 lacks: ETags with 304, and the list of all comments of a
repository (its route is hidden by another). `tests/forge/install` installs the package.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import emulate
from ports import free_port

TOKEN = "t0ken"
OTHERS = [f"other{number}" for number in range(20)]
"""Tokens of requests that are not the bridge's, in turn: emulate allows 5,000 an hour for each."""
_TOKENS = ", ".join(
    f"{token}: {{ login: octocat, scopes: [repo, user] }}" for token in (TOKEN, *OTHERS)
)
SEED = f"""
tokens: {{ {_TOKENS} }}
github:
  users: [{{ login: octocat }}, {{ login: ada }}, {{ login: eve }}]
  repos: [{{ owner: octocat, name: web, auto_init: true }}]
"""
READY_S = 60


def missing() -> str | None:
    """Why there is no such GitHub."""
    return None if emulate.command() else "emulate is not installed: tests/forge/install"


class Proxy(ThreadingHTTPServer):
    """Says nothing of clients that are killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class GitHub:
    """The repository octocat/web."""

    slug = "octocat/web"

    def __init__(self, directory: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        """Verb and path of each request that was not answered 304."""
        self.words: list[tuple[str, str, Any]] = []
        """Verb, path and body of each request that changes something."""
        self.unchanged = 0
        self.limits: list[tuple[int, dict[str, str]]] = []
        """Answers to give instead of what emulate has, the next one last; 0: what it has."""
        (directory / "seed.yaml").write_text(SEED)
        self._port, self._others = free_port(), itertools.cycle(OTHERS)
        options = ["--service", "github", "--port", str(self._port), "--seed", "seed.yaml"]
        argv = [*emulate.command(), "start", *options]
        self._log = open(directory / "emulate.log", "wb")  # noqa: SIM115
        self._child = subprocess.Popen(argv, cwd=directory, stdout=self._log, stderr=self._log)
        self._proxy = Proxy(("127.0.0.1", 0), self._handler())
        self.url = f"http://localhost:{self._proxy.server_address[1]}"
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self._wait()

    def _wait(self) -> None:
        """Until it answers: its process is asked, and ends if it cannot."""
        import time

        end = time.monotonic() + READY_S
        while time.monotonic() < end and self._child.poll() is None:
            with contextlib.suppress(OSError):
                self("GET", "/issues")
                self.requests.clear()
                return
            time.sleep(0.05)
        raise AssertionError("emulate does not answer")

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [each for each in self.requests if each[0] != "GET"]

    @property
    def env(self) -> dict[str, str]:
        """What coord-github needs to find it."""
        return {"COORD_GITHUB_URL": self.url, "COORD_GITHUB_TOKEN": TOKEN}

    def __call__(self, verb: str, path: str, words: Any = None) -> Any:
        """A request of another user of this GitHub: not counted."""
        url = f"http://localhost:{self._port}/repos/{self.slug}{path}"
        data = None if words is None else json.dumps(words).encode()
        headers = {
            "Authorization": f"Bearer {next(self._others)}",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(url, data, headers, method=verb)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def all(self, path: str) -> list[Any]:
        """The rows of all pages."""
        rows: list[Any] = []
        mark = "&" if "?" in path else "?"
        for page in range(1, 100):
            more = self("GET", f"{path}{mark}per_page=100&page={page}")
            rows += more
            if len(more) < 100:
                break
        return rows

    def comments(self) -> list[Any]:
        """All comments of the repository, the oldest first."""
        issues = self.all("/issues?state=all")
        found = [
            each
            for issue in issues
            if issue["comments"]
            for each in self.all(f"/issues/{issue['number']}/comments")
        ]
        return sorted(found, key=lambda each: (each["updated_at"], each["id"]))

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._child.terminate()
        self._child.wait()
        self._log.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size) if size else None
                path = urlsplit(self.path).path
                if body:
                    forge.words.append((self.command, path, json.loads(body)))
                status, headers = forge.limits.pop() if forge.limits else (0, {})
                if status:
                    self._send(status, b'{"message":"later"}', headers)
                    return
                if self.command == "GET" and path.endswith("/issues/comments"):
                    self._answer(200, self._listed())
                    return
                connection = http.client.HTTPConnection("localhost", forge._port, timeout=60)
                with contextlib.closing(connection):
                    kept = ("authorization", "content-type", "accept")
                    headers = {n: v for n, v in self.headers.items() if n.lower() in kept}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    self._answer(answer.status, answer.read())

            def _listed(self) -> bytes:
                query = parse_qs(urlsplit(self.path).query)
                since, page = query.get("since", [""])[0], int(query.get("page", ["1"])[0])
                rows = [row for row in forge.comments() if row["updated_at"] >= since]
                return json.dumps(rows[100 * (page - 1) : 100 * page]).encode()

            def _answer(self, status: int, body: bytes) -> None:
                etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
                if self.command == "GET" and self.headers.get("If-None-Match") == etag:
                    forge.unchanged += 1
                    self._send(304, b"", {"ETag": etag})
                    return
                forge.requests.append((self.command, urlsplit(self.path).path))
                self._send(status, body, {"ETag": etag} if self.command == "GET" else {})

            def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do  # noqa: N815

        return Handler
