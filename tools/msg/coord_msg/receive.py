"""Receiving: what waits, and what comes, of an agent's own mail, of a queue, of a channel."""

from __future__ import annotations

from itertools import islice

from coord_envelope import Filter, No, world
from coord_kernel.store import cursors, machine
from coord_msg import draft, fold
from coord_msg.show import Printer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from coord_envelope import Cursor, Event
    from coord_kernel.cli.call import Call
    from coord_msg.post import Post

    class Source(Protocol):
        """What can be received from."""

        def take(self, news: Iterable[Event] | None, most: int) -> list[Event]: ...
        def next_ms(self) -> float: ...


FOREVER = float("inf")
MANY = 1 << 62


class Inbox:
    """An agent's own mail: all that waits, then all that comes, each once."""

    def __init__(self, post: Post, agent: str) -> None:
        self._post, self._agent = post, agent
        self._taken = set[str]()

    def take(self, news: Iterable[Event] | None, most: int) -> list[Event]:
        """What waits and was not taken yet, oldest first; with `news`, of those events."""
        if news is None:
            found = self._post.events(islice(self._post.mail().waiting(self._agent), most))
        else:
            found = self._new([one for one in news if self._agent in fold.recipients(one)])[:most]
        self._taken.update(one.id for one in found)
        return found

    def _new(self, events: list[Event]) -> list[Event]:
        fresh = [one for one in events if one.id not in self._taken]
        if not fresh:
            return []
        mail = self._post.mail()
        states = ((one, mail.state(one.id)) for one in fresh)
        waiting = (
            (one, state) for one, state in states if state and mail.waits(state, self._agent)
        )
        return [
            one for one, state in waiting if state["mail"]["id"] == one.id
        ]  # else it is another's twin

    def next_ms(self) -> float:
        return FOREVER


def receive(
    call: Call,
    source: Source,
    printer: Printer,
    follow: bool,
    wait_ms: int | None,
    most: int,
    ack: bool,
) -> int:
    """Print what waits; with `follow` go on, with `wait_ms` wait so long for something. How many that were.

    Raises No: nothing came.
    """
    begin = call.journal.end(live=False)
    left = most - _give(call, source.take(None, most), printer, ack)
    if not left or not (follow or (wait_ms is not None and left == most)):
        return most - left
    for news in _news(call, begin, None, FOREVER if wait_ms is None else wait_ms, source.next_ms):
        given = _give(call, source.take(news, left), printer, ack)
        left -= given
        if not left or (given and not follow):
            return most - left
    if wait_ms is not None:
        raise No("nothing came")
    return most - left


def _give(call: Call, mail: list[Event], printer: Printer, ack: bool) -> int:
    if mail:
        call.put(map(printer.noted, mail))
        if ack:
            call.journal.append(
                call.actor(), [draft.ack(one.id, one.get("$claim")) for one in mail]
            )
    return len(mail)


def _news(
    call: Call, begin: Cursor, wanted: Filter | None, wait_ms: float, wake_ms: Callable[[], float]
) -> Iterator[Iterator[Event]]:
    """Batches of what comes after a cursor, and an empty one when `wake_ms` is over; until `wait_ms` is over."""
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
    """What is sent to a channel, and is not too late."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def __call__(self, event: Event) -> bool:
        if self._address not in fold.recipients(event):
            return False
        expires = event["body"].get("expires_at")
        return not isinstance(expires, str) or expires > world.format_ts(world.now_ms())


def broadcast(
    call: Call,
    channel: str,
    printer: Printer,
    follow: bool,
    wait_ms: int | None,
    most: int | None,
    name: str | None,
    ack_fd: int | None,
) -> None:
    """Print what came to a channel after the cursor `name`, and move it. Raises No: nothing came."""
    from coord_kernel.cli.deliver import deliver

    name = name or cursor_name(channel, call.actor()["agent_id"])
    begin, wanted = cursors.load(call.journal.store, name), Broadcast(channel)
    if wait_ms is not None:
        batches = _news(call, begin, wanted, wait_ms, lambda: FOREVER)
        if not any(next(batch, None) for batch in batches):
            raise No("nothing came")
    deliver(call, begin, wanted, follow, name, ack_fd, printer.noted, most)


def cursor_name(channel: str, agent: str) -> str:
    """The cursor of an agent in a channel."""
    import hashlib  # OpenSSL: 3 ms

    digest = hashlib.sha256(f"{agent} {channel}".encode()).hexdigest()
    return f"{channel.replace(':', '.')[:46]}-{digest[:16]}"
