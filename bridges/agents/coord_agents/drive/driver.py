"""A driver: it runs a program, speaks its protocol, and passes on what it is given.

1. What the program says is printed as it is, so the job keeps it; a line of ours names the
   conversation.
2. The session is busy, idle, or waiting for a person, and that is written as its signs of life.
3. A permission is a question to the project's person (`wk ask`). It is closed when an editor has
   answered it, or when nobody waits for it any more.
4. It ends with the program, and at SIGTERM ends it.
5. When it is asked to end and nothing is going on, it closes what the program reads; a program that
   does not end by that is ended. Only here is it known that no turn begins meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess

from coord_agents.drive import READY, link
from coord_agents.drive.acp import Acp, Editor
from coord_agents.drive.protocol import plain
from coord_agents.drive.questions import Questions
from coord_envelope import codec
from coord_envelope.errors import Fault, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.cli.complaints import complain
from coord_kernel.journal.beat import EVERY_MS, beat
from coord_kernel.store import machine
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Any

    from coord_agents.drive.protocol import Protocol
    from coord_envelope.codec import Json
    from coord_kernel import Journal


REST_S, GRACE_S = 2, 10
"""How long what it printed last may take, and how long it has to end."""


class Driver:
    """One program and who talks to it."""

    def __init__(self, journal: Journal, actor: Json, protocol: Protocol) -> None:
        self._journal, self._actor, self._protocol = journal, actor, protocol
        self._questions = Questions(journal.store, actor, self._answered)
        self._editors: dict[Editor, asyncio.StreamWriter] = {}
        self._program: subprocess.Popen[bytes]
        self._input: asyncio.WriteTransport
        self._beat = "", 0
        self._said: list[str] = []
        """What was printed about the conversation."""
        self._stopped = self._ending = False

    async def run(self, argv: Sequence[str]) -> int:
        """Run the program; the status to exit with. Raises Unreachable, OSError."""
        # An editor that is gone must not end this process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        store, session = self._journal.store, self._actor["session_id"]
        self._program = _started(argv)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            output = await self._pipes()
            server = await asyncio.start_unix_server(
                self._connected, sock=link.listen(store, session), limit=link.LONGEST
            )
            reading = asyncio.create_task(self._read(output))
            reading.add_done_callback(self._unreadable)
            self._protocol.begin()
            self._flush()
            status = await asyncio.to_thread(self._program.wait)
            # What it left behind may hold its output open, and ends with the job.
            await asyncio.wait([reading], timeout=REST_S)
            reading.cancel()
            server.close()
        finally:
            self._program.kill()
            link.remove(store, session)
            await self._questions.close()
        if self._protocol.failure:
            raise Unreachable(self._protocol.failure, where=argv[0])
        if not self._protocol.is_ready and not self._stopped:
            raise Unreachable("ended before it took input", where=argv[0])
        if self._ending:
            return 0
        if self._stopped:
            return 128 + signal.SIGTERM
        return status if status >= 0 else 128 - status

    async def _pipes(self) -> asyncio.StreamReader:
        """What it prints, to be read; opens what it reads."""
        loop = asyncio.get_running_loop()
        output = asyncio.StreamReader(limit=link.LONGEST)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), self._program.stdout
        )
        self._input, _ = await loop.connect_write_pipe(asyncio.Protocol, self._program.stdin)
        return output

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(GRACE_S, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self._program.send_signal(number)

    # ---- the program

    def _unreadable(self, reading: asyncio.Task[None]) -> None:
        """What it prints cannot be read any more: it would wait for that for ever."""
        if not reading.cancelled() and (error := reading.exception()):
            self._protocol.failure = plain(f"{type(error).__name__}: {error}", 200)
            self._stop()

    async def _read(self, output: asyncio.StreamReader) -> None:
        async for line in _lines(output):
            self._received(line)

    def _received(self, line: bytes) -> None:
        write_all(1, line)
        if line.startswith(b"{"):
            with suppress(ValueError):
                message = codec.loads(line)
                self._protocol.received(message)
        self._flush()

    def _flush(self) -> None:
        """Do what the protocol has collected."""
        protocol = self._protocol
        for message in _taken(protocol.out):
            if not self._ending:
                self._input.write(codec.dumps(message) + b"\n")
        for editor, writer in self._editors.items():
            for message in _taken(editor.out):
                writer.write(codec.dumps(message) + b"\n")
            if writer.transport.get_write_buffer_size() > link.LONGEST:
                writer.transport.abort()  # it does not read
        for question in _taken(protocol.asks):
            self._questions.ask(question)
        for key, choice, who in _taken(protocol.settled):
            self._questions.settle(key, choice, who)
        if protocol.is_ready and (not self._said or protocol.provider != self._said[-1]):
            self._said.append(protocol.provider)
            known = {"provider_session": protocol.provider} if protocol.provider else {}
            write_all(1, codec.dumps({"coord": READY, **known}) + b"\n")
        if protocol.failure:
            self._stop()
        elif protocol.is_ready:
            self._show_life()

    def _show_life(self) -> None:
        """Write the status, if it is another, or a minute old."""
        status = "waiting" if self._questions.open else "busy" if self._protocol.is_busy else "idle"
        known, at = self._beat
        now = machine.boot_ns() // 1_000_000
        if known == status and now - at < EVERY_MS:
            return
        self._beat = status, now
        try:
            beat(self._journal, self._actor, status, why=self._questions.title or None)
        except (Fault, OSError) as error:
            complain(fault_of(error))

    def _answered(self, key: str, choice: int | None) -> None:
        self._protocol.answered(key, choice)
        self._flush()

    # ---- who talks to it

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = codec.loads(await reader.readline() or b"{}")
            if hello.get("op") == "say":
                writer.write(_result(self._say(str(hello.get("text", "")))))
            elif hello.get("op") == "end":
                writer.write(_result(self._end()))
            elif (
                hello.get("op") == "attach" and isinstance(self._protocol, Acp) and not self._ending
            ):
                writer.write(_result("attached"))
                await self._attached(
                    self._protocol, Editor(str(hello.get("as", ""))), (reader, writer)
                )
            else:
                writer.write(_result("refused"))
        except (OSError, ValueError):
            pass  # it is gone, or did not send JSON
        except asyncio.CancelledError:
            pass  # the program ended: until Python 3.12, asyncio would print this
        finally:
            writer.close()

    def _say(self, text: str) -> str:
        protocol = self._protocol
        listens = protocol.is_ready and not self._questions.open and not self._ending
        taken = listens and protocol.say(text)
        self._flush()
        return "delivered" if taken else "busy"

    def _end(self) -> str:
        protocol = self._protocol
        if self._ending:
            return "ended"
        if not protocol.is_ready or protocol.is_busy or self._questions.open or self._editors:
            return "busy"
        self._ending = True
        self._input.close()
        asyncio.get_running_loop().call_later(GRACE_S, self._stop)
        return "ended"

    async def _attached(
        self,
        protocol: Acp,
        editor: Editor,
        pipes: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        reader, self._editors[editor] = pipes
        protocol.enter(editor)
        try:
            async for line in _lines(reader):
                with suppress(ValueError):
                    message = codec.loads(line)
                    if isinstance(message, dict):
                        protocol.from_editor(editor, message)
                self._flush()
        finally:
            del self._editors[editor]
            protocol.leave(editor)


def _started(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """The program, with the lock of the session, too. Raises Unreachable, OSError."""
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, close_fds=False)
    except FileNotFoundError:
        raise Unreachable(f"{argv[0]} is not installed") from None


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await reader.readline():
        yield line


def _taken(collected: list[Any]) -> list[Any]:
    taken = list(collected)
    collected.clear()
    return taken


def _result(text: str) -> bytes:
    return codec.dumps({"result": text}) + b"\n"


def run(journal: Journal, actor: Json, protocol: Protocol, argv: Sequence[str]) -> int:
    """Drive a program to its end; the status to exit with. Raises Fault, OSError."""
    return asyncio.run(Driver(journal, actor, protocol).run(argv))
