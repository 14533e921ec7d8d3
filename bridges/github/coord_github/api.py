"""GitHub's REST API: authorised, paged, conditional, and never faster than it allows.

Requests are PyGithub's; what it does with answers is not used: rows are plain JSON, a page that has
not changed is an answer, and a limit is a time until which nothing is asked.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from coord_envelope import VERSION, BadData, No, Unreachable, world
from coord_envelope.errors import Refused, TryAgain
from coord_envelope.secrets import holds_secret, masked
from coord_kernel.cli import complaints
from coord_kernel.cli.extra import extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

PAGE = 100
MOST_MOVES = 4
MOST_PAGES = 1_000
HOME = "https://api.github.com"
_PACE = {"seconds_between_requests": 0.25, "seconds_between_writes": 1.0}
"""What GitHub asks for, of its own server."""
WAIT_S = 60
"""After a limit that names no time."""
TIMEOUT_S = 30
SLEEP_S = 20
"""Longest limit that is waited for within a request."""


class _Moved(Exception):
    """An answer that names another place."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


class _Direct:
    """A connection of PyGithub's, which would follow a 301 without the query."""

    def __init__(self, base: str) -> None:
        from github import Requester

        parts = urlsplit(base)
        tls = parts.scheme == "https"
        kind = "HTTPSRequestsConnectionClass" if tls else "HTTPRequestsConnectionClass"
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        self._inner = getattr(Requester, kind)(host, parts.port, timeout=TIMEOUT_S)

    def request(self, *words: Any) -> None:
        self._inner.request(*words)

    def getresponse(self) -> Any:
        response = self._inner.getresponse()
        if response.status in (301, 308):
            response.read()
            raise _Moved(response.headers.get("location", ""))
        return response

    def close(self) -> None:
        """PyGithub closes a connection after each request; this one is used again."""


class Limited(TryAgain):
    """GitHub asks to wait until a time."""

    def __init__(self, what: str, until_ms: int) -> None:
        super().__init__(what, todo=f"wait until {world.format_ts(until_ms)}")
        self.until_ms = until_ms


class Api:
    """The REST API of one repository."""

    def __init__(self, base: str, slug: str, token: str) -> None:
        """Raises Unreachable if PyGithub is not installed."""
        with extra("github", "github"):
            from github import Auth, Github  # 0.3 s
        pace = _PACE if base == HOME else dict.fromkeys(_PACE, None)
        self._requester = Github(
            auth=Auth.Token(token),
            base_url=base,
            timeout=TIMEOUT_S,
            user_agent=f"coord-github/{VERSION}",
            retry=None,
            **pace,
        ).requester
        # Its warnings have no name of a tool before them; what they say is in the answer.
        logging.getLogger("github").addHandler(logging.NullHandler())
        self._connection: Any = _Direct(base)
        self._base, self._slug, self._root = base, slug, f"/repos/{slug}"
        self.etags: dict[str, str] = {}
        """By URL, of the first pages that were read."""
        self.writes = 0

    def changed(self, path: str, query: Json) -> Iterator[Json] | None:
        """The rows of all pages; None if the first page is as it was when it was last read.

        Save `etags` when the rows were processed.
        """
        key = f"{path}?{json.dumps(query, sort_keys=True)}"
        known = self.etags.get(key)
        headers = {"If-None-Match": known} if known else {}
        status, found, rows = self._asked("GET", path, query | {"per_page": PAGE}, headers)
        if status == 304:
            return None
        etag = found.get("etag")
        # Of several pages, another one may change alone.
        if etag and len(_listed(rows)) < PAGE:
            self.etags[key] = etag
        return self._pages(path, query, rows)

    def _pages(self, path: str, query: Json, rows: Any) -> Iterator[Json]:
        for page in range(2, MOST_PAGES):
            listed = _listed(rows)
            yield from (row for row in listed if isinstance(row, dict))
            if len(listed) < PAGE:
                return
            more = {"per_page": PAGE, "page": page}
            rows = self._asked("GET", path, query | more, {})[2]

    def get(self, path: str) -> Json:
        """One row. Raises No if there is none."""
        row = self._asked("GET", path, {}, {})[2]
        if not isinstance(row, dict):
            raise BadData("GitHub's answer is not an object", where=path)
        return row

    def write(self, verb: str, path: str, words: Json) -> Json:
        """Change something; what it is then."""
        self.writes += 1
        row = self._asked(verb, path, None, {}, words)[2]
        return row if isinstance(row, dict) else {}

    def _asked(
        self, verb: str, path: str, query: Json | None, headers: Json, words: Json | None = None
    ) -> tuple[int, dict[str, str], Any]:
        while True:
            try:
                return self._once(verb, path, query, headers, words)
            except Limited as limit:
                wait = limit.until_ms - world.now_ms()
                if wait > SLEEP_S * 1000:
                    raise
                time.sleep(max(0, wait) / 1000 + 0.01)

    def _once(
        self, verb: str, path: str, query: Json | None, headers: Json, words: Json | None
    ) -> tuple[int, dict[str, str], Any]:
        try:
            status, lower, text = self._sent(verb, self._root + path, query, headers, words)
        except _Moved as moved:
            raise self._gone(moved, path) from None
        if status == 304:
            return status, lower, None
        if status >= 300:
            raise _fault(status, lower, text, self._slug + path)
        return status, lower, _value(text, self._slug + path)

    def _sent(
        self, verb: str, path: str, query: Json | None, headers: Json, words: Json | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of an answer. Raises _Moved, Unreachable."""
        import requests

        headers = {"X-GitHub-Api-Version": "2022-11-28", **headers}
        try:
            status, found, text = self._requester.requestJson(
                verb, path, query, headers, words, self._connection
            )
        except (requests.RequestException, OSError) as error:
            what = type(error).__name__
            raise Unreachable(f"{what}: no answer", where=urlsplit(self._base).netloc) from None
        return status, {name.lower(): value for name, value in found.items()}, text

    def _gone(self, moved: _Moved, path: str) -> BadData | No:
        """Why something is in another place: the repository was renamed, or an issue moved."""
        for _ in range(MOST_MOVES):
            place = urljoin(self._base + self._root, moved.place)
            if urlsplit(place)[:2] != urlsplit(self._base)[:2]:
                # The token is not sent there.
                todo = "correct COORD_GITHUB_URL or the repository"
                host = urlsplit(place).hostname
                return BadData(f"GitHub redirects to {host}", where=self._slug, todo=todo)
            try:
                status, _, text = self._sent("GET", self._root if path else place, {}, {})
            except _Moved as again:
                moved, path = again, ""
                continue
            if path:
                return No("was moved to another repository", self._slug + path, code="not_found")
            row = _value(text, self._slug) if status == 200 else None
            name = row.get("full_name") if isinstance(row, dict) else None
            todo = f"use {name[:140]}" if isinstance(name, str) else "use its new name"
            return BadData("was renamed", where=self._slug, todo=todo)
        return BadData("GitHub redirects in a circle", where=self._slug)


def _value(text: str, where: str) -> Any:
    """The JSON of an answer; what looks like a credential is masked. Raises Unreachable."""
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        raise Unreachable("GitHub's answer is not JSON", where=where) from None
    if holds_secret(text.encode("utf-8", "replace")):
        complaints.warn(f"{where}: a text that looks like a credential is masked with ***")
        return masked(value)
    return value


def _listed(rows: Any) -> list[Any]:
    """The rows of an answer: itself, or the list in it."""
    if isinstance(rows, dict):
        rows = next((each for each in rows.values() if isinstance(each, list)), [])
    return rows if isinstance(rows, list) else []


def _fault(status: int, headers: dict[str, str], text: str, where: str) -> Exception:
    """The failure that an answer is."""
    try:
        said = json.loads(text)
        message = str(said.get("message", ""))[:200] if isinstance(said, dict) else ""
    except ValueError:
        message = ""
    what = f"GitHub answered {status}" + (f": {message}" if message else "")
    limited = headers.get("x-ratelimit-remaining") == "0" or "rate limit" in message.lower()
    if status == 429 or (status == 403 and (limited or "retry-after" in headers)):
        return Limited(what, until(headers, world.now_ms()))
    if status == 401 or status == 403:
        return Refused(what, where=where, todo="check the token and its rights")
    if status in (404, 410):
        todo = "check the name; or the token may not read it"
        return No(what, where=where, todo=todo, code="not_found")
    if status >= 500 or status == 408:
        return Unreachable(what, where=where)
    return BadData(what, where=where)


def until(headers: dict[str, str], now_ms: int) -> int:
    """Until when a limit asks to wait, as Unix milliseconds."""
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if after.isdecimal():
        return now_ms + int(after[:6]) * 1000
    if reset.isdecimal() and headers.get("x-ratelimit-remaining") == "0":
        return max(now_ms, min(int(reset[:12]) * 1000, now_ms + 3_600_000))
    return now_ms + WAIT_S * 1000
