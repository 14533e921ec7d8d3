"""coord_envelope - the shared library of wk, ev, lease, msg and run.

    find() ──▶ Store ──▶ Journal ──append──▶ segments on disk ──replay, tail, follow──▶ Event …
                            │                                   Filter, Cursor: which of them
                            └──▶ index: where an id or a key is

A Store is a directory, a Journal its events, an Event one line of it. State is a pure fold over events.
Command line, output and exit codes are `coord_envelope.tool`; it is not imported here.
"""

from coord_envelope.cursor import Cursor
from coord_envelope.errors import BadData, Fault, No, Unreachable, Usage
from coord_envelope.event import SELF, Event
from coord_envelope.filter import Filter
from coord_envelope.journal import Journal
from coord_envelope.locate import find, init
from coord_envelope.store import Store

__all__ = [
    "SELF",
    "VERSION",
    "BadData",
    "Cursor",
    "Event",
    "Fault",
    "Filter",
    "Journal",
    "No",
    "Store",
    "Unreachable",
    "Usage",
    "find",
    "init",
]
VERSION = "0.1.0"
