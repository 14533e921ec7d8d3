"""Much unread mail: what an agent's hook and a glance at the mail cost does not grow with it.

A failure would mean that an agent who was away for long pays for all of its mail at every step it takes.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable

from support import Shell

COMMANDS = (
    "msg hook claude",
    "msg recv --max 1",
    "msg ls -n 5",
    "msg send --to tester --body x --as other",
)
FEW = 20
FACTOR = 6
"""Generous: it is 1 to 2. Reading all of 2,000 would be over it, and all of 100,000 far over it."""


def cpu(shell: Shell, line: str) -> float:
    """The least CPU seconds of three runs."""
    found = list[float]()
    for number in range(4):
        hook = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": f"s-{number}"})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shell(line, hook)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found[1:])


def send(shell: Shell, count: int) -> None:
    """So many messages of others, as one `msg send` of many lines writes them."""
    for first in range(0, count, 5_000):
        numbers = range(first, min(first + 5_000, count))
        lines = (
            json.dumps({"to": ["tester"], "subject": f"{n}", "text": "unread"}) for n in numbers
        )
        shell("msg send --as other -o id", "\n".join(lines) + "\n")


def test_much_unread_mail_costs_what_little_costs(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    count = 100_000 if long else 2_000
    shell("msg join && msg join --as other")
    send(shell, FEW)
    few = [cpu(shell, command) for command in COMMANDS]
    send(shell, count - FEW)
    shell("msg ls -n 1")  # the view takes in what is new, once
    many = [cpu(shell, command) for command in COMMANDS]
    ratios = [more / less for less, more in zip(few, many, strict=True)]
    shown = (
        f"{' '.join(line.split()[:3])} {ratio:.1f}"
        for line, ratio in zip(COMMANDS, ratios, strict=True)
    )
    say(f"unread mail: {count:,} cost as {FEW} times {', '.join(shown)}")
    assert max(ratios) < FACTOR
