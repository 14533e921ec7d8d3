"""The protocols by their names."""

from __future__ import annotations

import os

from coord_agents.drive.acp import Acp
from coord_agents.drive.protocol import Opening
from coord_agents.drive.requests import AppServer
from coord_agents.drive.streams import Rpc, StreamJson
from coord_agents.record import BUSY, DRIVEN
from coord_envelope import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_agents import groups as g
    from coord_agents.drive.protocol import Protocol

PROTOCOLS: dict[str, Callable[[Opening], Protocol]] = {
    "stream-json": StreamJson,
    "acp": Acp,
    "app-server": AppServer,
    "rpc": Rpc,
}


def protocol(talk: g.Talk) -> Protocol:
    """The protocol that the options name. Raises Usage."""
    if talk.via not in PROTOCOLS:
        raise Usage(f"--via {talk.via}: not a protocol", todo=f"use {', '.join(DRIVEN)}")
    if talk.busy not in BUSY:
        raise Usage(f"--busy {talk.busy}: not valid", todo=f"use {', '.join(BUSY)}")
    opening = Opening(os.getcwd(), talk.prompt or "", talk.resume, talk.busy)
    return PROTOCOLS[talk.via](opening)
