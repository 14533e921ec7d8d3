"""The cost of mail on 1,000 to 1,000,000 events: `msg recv` with 3 unread messages and others.

    python bench/mail.py [ROUNDS]

One event in ten is mail or an ack, and all messages except 3 are acked. Then one consumer takes the
messages of a queue and acks them, one by one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import measure
from history import SIZES
from measure import Act, Place, Row

from coord_envelope.codec import Json
from coord_kernel import Journal, Store

GROWTH, BATCH, MAIL, UNREAD, QUEUE = 1.5, 10_000, 20, 3, 50
"""Highest ratio; events per append; one message and one ack in so many; unread; in the queue."""
COMMANDS = (
    "recv",
    "ls",
    "thread ID",
    "show ID",
    "recv queue:empty",
    "recv chan:empty",
    "send --to writer --subject x",
)


def place(scratch: str, count: int) -> Place:
    mailbox = Place(f"{scratch}/mail-{count}", "reader")
    mailbox.run("ev", "init")
    mailbox.run(sys.executable, __file__, "--build", mailbox.store, str(count))
    return mailbox


def build(path: str, count: int) -> None:
    """Append messages, their acks except for the last UNREAD, and other events."""
    journal = Journal(Store(path, "bench"))
    writer, reader = {"agent_id": "agent:writer"}, {"agent_id": "agent:reader"}
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        tail = UNREAD if first + size >= count else 0
        sent = journal.append(writer, [message_draft(n) for n in range(size // MAIL)])
        acks = [
            {"type": "msg.acked", "refs": {"msg_id": message.id}, "body": {"kind": "done"}}
            for message in sent[: len(sent) - tail]
        ]
        journal.append(reader, acks)
        rest = size - len(sent) - len(acks)
        journal.append(
            writer, [{"type": "ci.passed", "body": {"n": n, "pad": "x" * 60}} for n in range(rest)]
        )


def message_draft(number: int) -> Json:
    return {
        "type": "msg.sent",
        "to": ["agent:reader"],
        "body": {"subject": f"job {number}", "text": "x" * 100},
    }


def drain(place: Place) -> float:
    """Seconds of one consumer that takes and acks one message at a time, in two processes each."""
    place.run("msg", "send", stdin=b'{"to":"queue:bench","text":"job"}\n' * QUEUE)
    began, done = time.perf_counter(), 0
    while place.run("bash", "-c", "msg recv queue:bench | msg ack"):
        done += 1
    assert done == QUEUE
    return time.perf_counter() - began


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    places = {size: place(scratch, size) for size in SIZES}
    acts: dict[str, Act] = {}
    for size, mailbox in places.items():
        unread = mailbox.run("msg", "recv", "-o", "id").decode().split()
        assert len(unread) == UNREAD
        for command in COMMANDS:
            acts[f"{command} {size}"] = mailbox.act(f"msg {command.replace('ID', unread[0])}")
    took = measure.interleaved(rounds, acts)
    for command in COMMANDS:
        what, small = f"`msg {command}`, {SIZES[-1]:,} events", f"{command} {SIZES[0]}"
        yield took.row(what, f"{command} {SIZES[-1]}", small, GROWTH, label=f"{SIZES[0]:,} events")
    seconds = drain(places[SIZES[0]])
    what = f"{QUEUE} messages of a queue: `msg recv \\| msg ack`, one by one"
    yield Row(what, f"{measure.shown(seconds)}, {QUEUE / seconds:.0f}/s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(sys.argv[2], int(sys.argv[3]))
        sys.exit()
    sys.exit(measure.alone("mail", rows))
