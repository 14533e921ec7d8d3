"""The permissions that a program waits for, as questions to the person of the project."""

from __future__ import annotations

import asyncio
import os

from coord_envelope import codec
from coord_envelope.errors import Fault
from coord_envelope.platform import suppress
from coord_kernel.cli.complaints import complain
from coord_kernel.cli.person import person
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_agents.drive.protocol import Question
    from coord_envelope.codec import Json
    from coord_kernel import Store

AGENT = "bridge:drive"
"""Who asks, and so has mail with the answer: the agent has it through its program."""


class _Asked:
    """A question that is open."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.task: asyncio.Task[None]
        self.waiter: asyncio.subprocess.Process | None = None
        self.work = ""
        """Its item, once there is one."""
        self.over: tuple[int | None, str] | None = None
        """What was chosen elsewhere, and by whom."""


class Questions:
    """The questions of one program."""

    def __init__(
        self, store: Store, actor: Json, answered: Callable[[str, int | None], None]
    ) -> None:
        self._store, self._actor, self._answered = store, actor, answered
        self._asked: dict[str, _Asked] = {}
        ours = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        self._env = {**ours, "PATH": beside.path(), "COORD_AGENT": AGENT}
        self._closing = set[asyncio.Task[None]]()

    @property
    def open(self) -> bool:
        """Does the program wait for a person?"""
        return bool(self._asked)

    @property
    def title(self) -> str:
        """What it waits for."""
        return next((asked.question.title for asked in self._asked.values()), "")

    def ask(self, question: Question) -> None:
        """Ask a person; the answer comes to `answered`, None if there is none."""
        asked = self._asked[question.key] = _Asked(question)
        asked.task = asyncio.create_task(self._ask(asked))

    def settle(self, key: str, choice: int | None, who: str) -> None:
        """It was answered elsewhere, or nobody waits for it."""
        asked = self._asked.pop(key, None)
        if asked:
            asked.over = choice, who
            if asked.waiter and asked.work:
                with suppress(ProcessLookupError):
                    asked.waiter.kill()
            self._closing.add(asked.task)

    async def close(self) -> None:
        """Withdraw what is open, and wait until all of that is done."""
        for key in list(self._asked):
            self.settle(key, None, "")
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _ask(self, asked: _Asked) -> None:
        choice = None
        try:
            choice = await self._wait(asked, detailed=True)
            if choice is None and not asked.work and not asked.over:
                # It seems to hold a credential: then without what the program would do.
                choice = await self._wait(asked, detailed=False)
        except (Fault, OSError) as error:
            complain(error if isinstance(error, Fault) else Fault(str(error), where="wk ask"))
        if asked.over:
            await self._end(asked, *asked.over)
        elif self._asked.pop(asked.question.key, None):
            self._answered(asked.question.key, choice)

    async def _wait(self, asked: _Asked, detailed: bool) -> int | None:
        """The option that a person has chosen. Raises Fault, OSError."""
        question = asked.question
        who = self._actor["agent_id"]
        text = f"{who} asks: {question.title}\n\n{question.detail}"
        if not detailed:
            text = f"{who} asks for a permission\n\nIts details could not be shown: see its output."
        options = [f"--option={option}" for option in question.options]
        words = [f"--to={person(self._store)}", *options, "--wait"]
        asked.waiter = await self._wk("ask", text, *words)
        assert asked.waiter.stdout
        answer = None
        async for line in asked.waiter.stdout:
            with suppress(ValueError):
                row = codec.loads(line)
                asked.work = asked.work or row.get("event_id", "")
                answer = row.get("answer", answer)
                if asked.over:
                    asked.waiter.kill()
        await asked.waiter.wait()
        return question.options.index(answer) if answer in question.options else None

    async def _end(self, asked: _Asked, choice: int | None, who: str) -> None:
        """Close the question with what was chosen elsewhere."""
        if not asked.work:
            return
        words = ["close", asked.work, "--resolution=cancelled"]
        if choice is not None:
            words = ["answer", asked.work, asked.question.options[choice], f"--as={who or AGENT}"]
        process = await self._wk(*words)
        await process.communicate()

    async def _wk(self, *words: str) -> asyncio.subprocess.Process:
        nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            "wk", *words, env=self._env, stdin=nothing, stdout=pipe
        )
