"""What coord-web costs on 1,000,000 events, and how soon a change is on its page.

    python bench/screens.py [ROUNDS [DIR]]

1. From the end of a synced append until the title is in the page of Chromium, or without it in the
   event stream; the median.
2. CPU of the server in a quiet minute while one page is open.
3. Looks at the store for the same events with fifty pages open, against one.
4. The overview at random moments of the history, each another one: the slowest, after the first.

DIR has a store from `history.py`, to save the minutes that it takes. The tests compare the past with
a fold of the events (`tests/bridges/test_shop.py`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import history
import measure
from measure import BIN, Place, Row

from coord_envelope import SELF, world
from coord_kernel import Journal, Store

COUNT, ROUNDS, SEED = 1_000_000, 30, 27
WITHIN_S, IDLE, MORE, PAST_S = 0.1, 0.005, 1.5, 1.0
IDLE_S, TABS, EVENTS, GAP_S = 60, 50, 10, 0.5
CHROMIUM = shutil.which("chromium")
ACTOR = {"agent_id": "agent:bench"}


class Site:
    """A server of a store, and its cookie."""

    def __init__(self, place: Place) -> None:
        argv = [f"{BIN}/coord-web", "--port", "0"]
        env = {**place.env, "COORD_AGENT": "human:bench"}
        self.process = subprocess.Popen(argv, cwd=place.path, env=env, stdout=subprocess.PIPE)
        assert self.process.stdout
        ready = json.loads(self.process.stdout.readline())
        self.url = Path(ready["file"]).read_text().strip()
        self.netloc = urlsplit(self.url).netloc
        _, headers, _ = self.get(f"/?{urlsplit(self.url).query}", cookie="")
        self._cookie = headers["set-cookie"].partition(";")[0]
        _, headers, _ = self.get("/")
        self.base = headers["location"].rstrip("/")

    def get(self, path: str, cookie: str | None = None) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) of one request."""
        with contextlib.closing(http.client.HTTPConnection(self.netloc, timeout=900)) as connection:
            cookie = self._cookie if cookie is None else cookie
            connection.request("GET", path, headers={"cookie": cookie})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()

    def stats(self) -> dict[str, int]:
        known: dict[str, int] = json.loads(self.get(f"{self.base}/-/stats")[2])
        return known

    @contextmanager
    def streams(self, count: int) -> Iterator[None]:
        """So many open pages: their event streams, read and forgotten."""
        connections = []
        for _ in range(count):
            connection = http.client.HTTPConnection(self.netloc, timeout=900)
            path = f"{self.base}/-/stream?page=overview"
            connection.request("GET", path, headers={"cookie": self._cookie})
            answer = connection.getresponse()
            threading.Thread(target=_drain, args=(answer,), daemon=True).start()
            connections.append(connection)
        while self.stats()["viewers"] < count:
            time.sleep(0.05)
        try:
            yield
        finally:
            for connection in connections:
                if connection.sock:
                    connection.sock.shutdown(2)
                connection.close()
            while self.stats()["viewers"]:
                time.sleep(0.05)

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _drain(answer: http.client.HTTPResponse) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
        while answer.read1(1 << 16):
            pass


def append(journal: Journal, title: str) -> None:
    """A new item, the most urgent of all, so that it is on the page."""
    body = {"title": title, "priority": 0}
    journal.append(ACTOR, [{"type": "work.created", "refs": {"work_id": SELF}, "body": body}])


def in_browser(site: Site, journal: Journal, rounds: int) -> list[float]:
    """Seconds until each title is in the page."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.goto(site.url, timeout=900_000)
        page.wait_for_selector('#live[data-state="on"]', timeout=900_000)
        for number in range(rounds + 1):
            title = f"screen {number} {time.time_ns()}"
            # Every frame is looked at, by the page's own clock, which is that of this machine.
            page.evaluate(
                """title => { window.seen = new Promise(done => { const look = () =>
                document.body.textContent.includes(title) ? done(Date.now()) : setTimeout(look, 1);
                look(); }); return null }""",
                title,
            )
            append(journal, title)
            began = time.time()
            seconds.append(max(0.0, page.evaluate("window.seen") / 1000 - began))
            time.sleep(2 * GAP_S)
        browser.close()
    return seconds[1:]


def in_stream(site: Site, journal: Journal, rounds: int) -> list[float]:
    """The same until it is sent to the page."""
    connection = http.client.HTTPConnection(site.netloc, timeout=900)
    path = f"{site.base}/-/stream?page=overview"
    connection.request("GET", path, headers={"cookie": site._cookie})
    answer, seconds = connection.getresponse(), []
    answer.read1(1 << 16)
    for number in range(rounds + 1):
        title = f"screen {number} {time.time_ns()}"
        append(journal, title)
        began, got = time.perf_counter(), b""
        while title.encode() not in got:
            got += answer.read1(1 << 16)
        seconds.append(time.perf_counter() - began)
        time.sleep(2 * GAP_S)
    connection.close()
    return seconds[1:]


def idle(site: Site) -> float:
    """The share of a processor in a quiet time, with one page open."""
    with site.streams(1):
        time.sleep(3)
        began, before = time.monotonic(), site.cpu()
        time.sleep(IDLE_S)
        return (site.cpu() - before) / (time.monotonic() - began)


def looks(site: Site, journal: Journal, tabs: int) -> int:
    """How often the store was looked at for EVENTS events with so many pages."""
    with site.streams(tabs):
        time.sleep(1)
        before = site.stats()["folds"]
        for number in range(EVENTS):
            append(journal, f"for {tabs} tabs, {number}")
            time.sleep(GAP_S)
        return site.stats()["folds"] - before


def past(site: Site, journal: Journal, rounds: int) -> list[float]:
    """Seconds of the overview at random moments."""
    chance = random.Random(SEED)
    begin = world.parse_ts(next(journal.replay())["ts"])
    (last,) = journal.tail(1)
    end, seconds = world.parse_ts(last["ts"]), []
    for _ in range(rounds + 1):
        at = world.format_ts(chance.randrange(begin, end))
        began = time.perf_counter()
        status, _, body = site.get(f"{site.base}/?at={quote(at)}")
        seconds.append(time.perf_counter() - began)
        if status != 200 or at[11:19].encode() not in body:
            sys.exit(f"the overview at {at}: status {status}")
    return seconds[1:]


def rows(rounds: int, scratch: str, made: str = "") -> Iterator[Row]:
    place = Place(made) if made else history.place(scratch, COUNT)
    journal = Journal(Store(place.store, "bench"))
    site = Site(place)
    try:
        measured: Callable[[Site, Journal, int], list[float]] = in_stream
        if CHROMIUM:
            with contextlib.suppress(ModuleNotFoundError):
                import playwright  # noqa: F401

                measured = in_browser
        seconds = measured(site, journal, rounds)
        where = "on the page" if measured is in_browser else "sent to the page"
        median, most = statistics.median(seconds), max(seconds)
        row = Row(f"a change is {where}, {COUNT:,} events, p50", measure.shown(median))
        row.cells[2] = f"slowest {measure.shown(most)}"
        yield row.must(median <= WITHIN_S, f"≤ {measure.shown(WITHIN_S)}")
        took = past(site, journal, rounds)
        row = Row("the overview at a random moment, slowest", measure.shown(max(took)))
        row.cells[2] = f"median {measure.shown(statistics.median(took))}"
        yield row.must(max(took) < PAST_S, f"< {measure.shown(PAST_S)}")
        one, fifty = looks(site, journal, 1), looks(site, journal, TABS)
        row = Row(f"looks at the store, {TABS} pages", str(fifty), f"one page {one}")
        row.cells[3] = f"{fifty / one:.2f}"
        yield row.must(fifty <= MORE * one, f"≤ {MORE}")
        share = idle(site)
        row = Row(f"CPU of the server, {IDLE_S} quiet seconds", f"{share:.2%}")
        yield row.must(share <= IDLE, f"≤ {IDLE:.1%}")
    finally:
        site.process.terminate()
        site.process.wait()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    directory = sys.argv[2] if len(sys.argv) > 2 else ""
    sys.exit(measure.report({"screens": lambda n, scratch: rows(n, scratch, directory)}, count))
