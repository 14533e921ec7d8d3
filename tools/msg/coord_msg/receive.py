"""Receiving what waits and what comes: of an agent's own mail, of a queue, of a channel."""

from __future__ import annotations

from itertools import islice

from coord_envelope import Filter, No, world
from coord_envelope.cursor import Cursor
from coord_kernel.cli.call import Call
from coord_kernel.store import cursors, machine
from coord_msg import draft, fold
from coord_msg.show import Printer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from coord_envelope import Event
    from coord_msg import groups as g
    from coord_msg.post import Post

    Wanted = Callable[[Event], bool] | None
    """Which messages to receive; None: all."""

    class Source(Protocol):
        """What can be received from."""

        at_once: int  # messages, without --max and without following

        def take(self, news: Iterable[Event] | None, most: int) -> list[Event]:
            """What to print now: of all that waits, or only of `news`."""

        def next_ms(self) -> float:
            """How many ms from now `take` may return something without news."""


FOREVER = float("inf")
MANY = 1 << 62


class Inbox:
    """An agent's own mail: all that waits, then all that comes, each once."""

    at_once = MANY

    def __init__(self, post: Post, agent: str, wanted: Wanted = None) -> None:
        self._post, self._agent, self._wanted = post, agent, wanted
        self._taken = set[str]()

    def take(self, news: Iterable[Event] | None, most: int) -> list[Event]:
        """What waits and was not taken yet, oldest first; with `news`, only of those events."""
        if news is None:
            waiting = self._post.mail().waiting(self._agent)
            if self._wanted:
                stored = (self._post.events([state]) for state in waiting)
                fit = (event for some in stored for event in filter(self._wanted, some))
                events = list(islice(fit, most))
            else:
                events = self._post.events(islice(waiting, most))
        else:
            mine = [event for event in news if self._agent in fold.recipients(event)]
            mine = list(filter(self._wanted, mine)) if self._wanted else mine
            events = self._fresh(mine)[:most]
        self._taken.update(event.id for event in events)
        return events

    def _fresh(self, events: list[Event]) -> list[Event]:
        fresh = [event for event in events if event.id not in self._taken]
        if not fresh:
            return []
        mail = self._post.mail()
        states = [(event, mail.state(event.id)) for event in fresh]
        waiting = [pair for pair in states if pair[1] and mail.waits(pair[1], self._agent)]
        # Of messages with one key only the oldest is printed.
        return [event for event, state in waiting if state["mail"]["id"] == event.id]

    def next_ms(self) -> float:
        return FOREVER


def receive(call: Call, source: Source, printer: Printer, reading: g.Reading) -> int:
    """Print what waits; then follow or wait, as `reading` says.

    Returns how many were printed. Raises No if it waited and nothing came.
    """
    wait_ms = _wait_ms(reading)
    most = reading.max_ or (MANY if reading.follow else source.at_once)
    waits = reading.follow or wait_ms is not None
    begin = call.journal.end(live=False) if waits else Cursor()  # it costs a look at each stream
    left = most - _print(call, source.take(None, most), printer, reading.ack)
    if not left or not (reading.follow or (waits and left == most)):
        return most - left
    for news in _news(call, begin, None, FOREVER if wait_ms is None else wait_ms, source.next_ms):
        count = _print(call, source.take(news, left), printer, reading.ack)
        left -= count
        if not left or (count and not reading.follow):
            return most - left
    if wait_ms is not None:
        raise No("no message arrived", code="empty")
    return most - left


def _wait_ms(reading: g.Reading) -> int | None:
    return None if reading.wait is None else Call.span(reading.wait, "--wait")


def _print(call: Call, mail: list[Event], printer: Printer, ack: bool) -> int:
    if mail:
        call.put(map(printer.annotated, mail))
        if ack:
            acks = [
                draft.ack(message.id, message.get("$claim"), **_acknowledges(message))
                for message in mail
                if message.id not in printer.incomplete
            ]
            call.journal.append(call.actor(), acks)
    return len(mail)


def _acknowledges(message: Event) -> dict[str, str]:
    if "severity" not in message["body"]:
        return {}
    from coord_msg.alert import acknowledges  # of few messages

    return acknowledges(message)


def _news(
    call: Call, begin: Cursor, wanted: Filter | None, wait_ms: float, wake_ms: Callable[[], float]
) -> Iterator[Iterator[Event]]:
    """Batches of what comes after a cursor, for `wait_ms`.

    An empty batch comes whenever `wake_ms` is over.
    """
    until = machine.boot_ns() + wait_ms * 1e6

    def within() -> float:
        return max(1.0, min((until - machine.boot_ns()) / 1e6, wake_ms(), 86_400_000.0))

    from contextlib import closing  # 3 ms

    with closing(call.journal.follow(begin, live=False).batches(wanted, within=within)) as batches:
        for batch in batches:
            yield batch
            if machine.boot_ns() >= until:
                return


class Broadcast(Filter):
    """What is sent to a channel, is not older than its reader wants, and has not expired."""

    def __init__(self, address: str, since: Callable[[], str] = str, wanted: Wanted = None) -> None:
        super().__init__()
        self._address, self._from, self._wanted = address, since, wanted

    def __call__(self, event: Event) -> bool:
        if self._address not in fold.recipients(event) or event["ts"] < self._from():
            return False
        expires = event["body"].get("expires_at")
        lasts = not isinstance(expires, str) or expires > world.format_ts(world.now_ms())
        return lasts and (self._wanted is None or self._wanted(event))


def broadcast(
    post: Post, channel: str, printer: Printer, reading: g.Reading, options: g.FromChannel
) -> None:
    """Print what came to a channel after its cursor, and move the cursor.

    Raises No if it waited and nothing came.
    """
    from coord_kernel.cli.deliver import deliver

    call, wait_ms = post.call, _wait_ms(reading)
    name = options.cursor or cursor_name(channel, call.actor()["agent_id"])
    since = post.since(channel) if channel.startswith("chan:") else str
    least = printer.least(reading.min_trust)
    begin, wanted = cursors.load(call.journal.store, name), Broadcast(channel, since, least)
    if wait_ms is not None:
        batches = _news(call, begin, wanted, wait_ms, lambda: FOREVER)
        if not any(next(batch, None) for batch in batches):
            raise No("no message arrived", code="empty")
    deliver(
        call,
        begin,
        wanted,
        reading.follow,
        name,
        options.ack_fd,
        printer.annotated,
        reading.max_,
    )


def cursor_name(channel: str, agent: str) -> str:
    """The default cursor of an agent in a channel."""
    import hashlib  # OpenSSL: 3 ms

    digest = hashlib.sha256(f"{agent} {channel}".encode()).hexdigest()
    return f"{channel.replace(':', '.')[:46]}-{digest[:16]}"
