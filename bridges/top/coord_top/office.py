"""What is done about a record, and what it says: by the five tools, in the store that has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from coord_kernel.cli.person import person
from coord_kernel.store import locate
from coord_top import acts
from coord_top.page import commands, drawn
from coord_top.tools import Tools

if TYPE_CHECKING:
    from rich.text import Text

    from coord_top.stores import Looked, Stores
    from coord_top.table import Ref
    from coord_top.watch import Watch


class Office:
    """Acts as one agent in every store."""

    def __init__(self, stores: Stores, watch: Watch, me: str) -> None:
        self._stores, self._watch, self._me = stores, watch, me
        self._tools = [Tools(store.path, locate.root(store.path), me) for store in stores.stores]

    async def planned(self, verb: str, ref: Ref, looked: Looked | None) -> acts.Act:
        """What a verb does to a record. Raises No, OSError, BadData."""
        agents = [
            agent["agent_id"]
            for seen in (looked.seen if looked else ())
            for agent in seen.shop.agents
            if seen.number == ref.store
        ]
        last = ""
        if verb == "escalate":  # git may have to be asked
            last = await self._watch.read(person, self._stores.stores[ref.store])
        return acts.planned(verb, ref, acts.People(self._me, tuple(agents), last))

    async def run(self, store: int, command: acts.Command) -> tuple[bool, str]:
        """Run it: was it done, and the line that it printed."""
        argv = [command.argv[0], *command.argv[1:2], "--output=brief", *command.argv[2:]]
        status, said = await self._tools[store].run(argv, command.text)
        first = next((each for each in said.split("\n") if each.strip()), "")
        return status == 0, first or ("done" if status == 0 else f"exit status {status}")

    async def record(self, ref: Ref, at: str | None, columns: int) -> Text:
        """The page of a record, as its tools show it."""
        tools = self._tools[ref.store]
        runs = (
            tools.run([*argv, "--output=table", "--color=always"], columns=max(20, columns - 3))
            if argv[1] != "logs"
            else tools.run(argv)
            for argv in commands(ref, at)
        )
        return drawn(ref, await asyncio.gather(*runs))
