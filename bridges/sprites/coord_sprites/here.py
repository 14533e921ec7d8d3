"""What runs here in place of the command: start it in the Sprite, copy its output, be its status.

    1. with a checkpoint asked for: make one before the first attempt, restore it before another
       (unless that takes over what the attempt before it left running)
    2. connect, and have `there.FOLLOW` start the command, or go on at the byte that came last
    3. when the link is cut, connect again; after `KEEP_MIN` minutes without one, give up: by then
       the command has been killed there
    4. pass on TERM; `end` kills what is left and removes the directory

The SDK holds what comes over one link in memory: a command that prints more than fits needs a file.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sprites import SpritesClient
from sprites.exceptions import APIError, ExitError, SpriteError

from coord_kernel.cli.escape import visible
from coord_kernel.store.disk import write_all
from coord_sprites import there

T = TypeVar("T")
FIRST_S, LONGEST_S = 0.2, 5.0
"""Pauses before a link is tried again."""
SOON_S = 5.0
"""How long a signal, and the end, are tried."""


class Failed(Exception):
    """The command could not be run, or its end is not known: one line."""


class Counted(io.RawIOBase):
    """Copies to a descriptor, and counts."""

    def __init__(self, fd: int) -> None:
        self._fd, self.count = fd, 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        write_all(self._fd, data)
        self.count += len(data)
        return len(data)


class Place:
    """The directory of an attempt in a Sprite. Methods raise Failed."""

    def __init__(self, client: SpritesClient, name: str, label: str, n: int) -> None:
        self._sprite, self._name = client.sprite(name), name
        self._job, self._label, self._before = label, f"{label}-{n}", f"{label}-{n - 1}"
        self._warned = False

    def run(self, job: str, stdin: bytes, resume: bool) -> int:
        """Start the command, or with `resume` take over the attempt before; its exit status."""
        out, err = Counted(1), Counted(2)

        def follow() -> int:
            text = there.script(
                there.FOLLOW,
                label=self._label,
                before=self._before if resume else "",
                job=job,
                runner=there.RUNNER,
                out=str(out.count),
                err=str(err.count),
            )
            return self._exec(text + b"%d\n%s" % (len(stdin), stdin), out, err)

        return self._linked(follow, lambda: out.count + err.count)

    def signal(self, name: str) -> None:
        """Send the command's process group a signal."""
        text = there.script(there.SIGNAL, label=self._label, signal=name)
        self._linked(lambda: self._exec(text), within_s=SOON_S)

    def end(self) -> None:
        """Kill what is left of the command, and remove the directory."""
        text = there.script(there.END, label=self._label)
        self._linked(lambda: self._exec(text), within_s=SOON_S)

    def reset(self, resume: bool) -> None:
        """Have the Sprite be as it was before the first attempt.

        With `resume` not, if what the attempt before it started runs or has ended by itself.
        """
        if resume:
            text = there.script(there.RUNS, label=self._before)
            if self._linked(lambda: self._exec(text)) == 0:
                return
        points = self._linked(self._sprite.list_checkpoints)
        made = next((point.id for point in points if point.comment == self._job), None)
        if made is None:
            self._linked(lambda: self._whole(self._sprite.create_checkpoint(self._job)))
        else:
            self._linked(lambda: self._whole(self._sprite.restore_checkpoint(made)))

    def _exec(self, stdin: bytes, out: Counted | None = None, err: Counted | None = None) -> int:
        words = "sh", "-c", there.BOOT
        command = self._sprite.command(*words, stdin=io.BytesIO(stdin), stdout=out, stderr=err)
        try:
            command.run()
        except ExitError as error:
            return error.exit_code()
        return 0

    def _whole(self, messages: object) -> None:
        """Read a stream of progress to its end."""
        for message in messages:  # type: ignore[attr-defined]
            if message.error:
                raise Failed(f"sprite {self._name}: {message.error}")

    def _linked(
        self,
        ask: Callable[[], T],
        seen: Callable[[], int] = lambda: 0,
        within_s: float = there.KEEP_MIN * 60,
    ) -> T:
        """The answer, asked for again while the link fails: for so long since anything came."""
        pause, count, end = FIRST_S, seen(), time.monotonic() + within_s
        while True:
            wait = 0
            try:
                return ask()
            except APIError as error:
                code, wait = error.status_code or 503, error.retry_after_header or 0
                last = f"answered {code}: {_line(error)}"
                if code < 500 and code not in (408, 429):
                    todo = f"; is {there.TOKEN} right?" if code in (401, 403) else ""
                    raise Failed(f"sprite {self._name}: {last}{todo}") from None
            except SpriteError as error:
                last = _line(error)
            if seen() > count:
                pause, count, end = FIRST_S, seen(), time.monotonic() + within_s
            if time.monotonic() > end:
                raise Failed(f"sprite {self._name}: not reached for {within_s:g} s: {last}")
            silent = not seen() and time.monotonic() > end - within_s + SOON_S
            if silent and not self._warned and within_s > SOON_S:
                self._warned = True  # only then: it is among what the command prints
                print(f"coord-sprites: sprite {self._name}: {last}; trying again", file=sys.stderr)
            time.sleep(max(wait, pause * random.uniform(0.5, 1)))
            pause = min(2 * pause, LONGEST_S)


def _line(error: Exception) -> str:
    """What a server says, as one line that controls no terminal."""
    return visible(" ".join(str(error).split()))[:200]


def pass_on(place: Place) -> None:
    """From now on, TERM and INT are the command's."""

    def send(number: int, _: object) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")

        def ask() -> None:
            try:
                place.signal(name)
            except Failed:  # without a link it is killed there, as nobody follows it
                os._exit(there.FAILED)

        threading.Thread(target=ask, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, send)
