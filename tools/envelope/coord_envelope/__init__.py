"""coord_envelope - one event on one line, and what may be said about it. No files.

    draft ──check, build──▶ Event ══ a line of JSON ══ parse ──▶ Event
                              │
              Filter: is it wanted?   Cursor: was it read?   ids: when, and before which?

Everything here is a function of its arguments, except `world`, where time, randomness and the
environment enter. Stores, locks and commands are in `coord_kernel`.
"""

from coord_envelope.errors import BadData, Fault, No, Unreachable, Usage
from coord_envelope.event import SELF, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.cursor import Cursor
    from coord_envelope.filter import Filter
else:

    def __getattr__(name):
        """`Cursor` and `Filter`, loaded when they are first asked for: a writer needs neither."""
        if name not in ("Cursor", "Filter"):
            raise AttributeError(name)
        home = __import__(f"coord_envelope.{name.lower()}", fromlist=[name])
        globals()[name] = getattr(home, name)
        return globals()[name]


__all__ = [
    "SELF",
    "VERSION",
    "BadData",
    "Cursor",
    "Event",
    "Fault",
    "Filter",
    "No",
    "Unreachable",
    "Usage",
]
VERSION = "0.1.0"
