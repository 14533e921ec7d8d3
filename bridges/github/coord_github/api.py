"""GitHub's REST API: authorised, paged, conditional, and never faster than it allows.

Requests are PyGithub's; what it does with answers is not used: rows are plain JSON, a page that has
not changed is an answer, and a limit is a time until which nothing is asked.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coord_envelope import VERSION, BadData, No, Unreachable, world
from coord_envelope.errors import Refused, TryAgain
from coord_kernel.cli.extra import extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

PAGE = 100
MOST_PAGES = 1_000
HOME = "https://api.github.com"
_PACE = {"seconds_between_requests": 0.25, "seconds_between_writes": 1.0}
"""What GitHub asks for, of its own server."""
WAIT_S = 60
"""After a limit that names no time."""
SLEEP_S = 20
"""Longest limit that is waited for within a request."""


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
            timeout=30,
            user_agent=f"coord-github/{VERSION}",
            retry=None,
            **pace,
        ).requester
        self._base, self._root = base, f"/repos/{slug}"
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
        import requests

        headers = {"X-GitHub-Api-Version": "2022-11-28", **headers}
        try:
            status, found, text = self._requester.requestJson(
                verb, self._root + path, query, headers, words
            )
        except (requests.RequestException, OSError) as error:
            what = type(error).__name__
            raise Unreachable(f"{what}: no answer", where=urlsplit(self._base).netloc) from None
        lower = {name.lower(): value for name, value in found.items()}
        if status == 304:
            return status, lower, None
        if status >= 400 or 300 <= status < 400:
            raise _fault(status, lower, text, path)
        try:
            return status, lower, json.loads(text) if text else None
        except ValueError:
            raise Unreachable("GitHub's answer is not JSON", where=path) from None


def _listed(rows: Any) -> list[Any]:
    """The rows of an answer: itself, or the list in it."""
    if isinstance(rows, dict):
        rows = next((each for each in rows.values() if isinstance(each, list)), [])
    return rows if isinstance(rows, list) else []


def _fault(status: int, headers: dict[str, str], text: str, path: str) -> Exception:
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
        return Refused(what, where=path, todo="check the token and its rights")
    if status in (404, 410, 301):
        return No(what, where=path, code="not_found")
    if status >= 500 or status == 408:
        return Unreachable(what, where=path)
    return BadData(what, where=path)


def until(headers: dict[str, str], now_ms: int) -> int:
    """Until when a limit asks to wait, as Unix milliseconds."""
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if after.isdecimal():
        return now_ms + int(after[:6]) * 1000
    if reset.isdecimal() and headers.get("x-ratelimit-remaining") == "0":
        return max(now_ms, min(int(reset[:12]) * 1000, now_ms + 3_600_000))
    return now_ms + WAIT_S * 1000
