"""The settings of agents: the table `[agents]` of coord.toml."""

from __future__ import annotations

from coord_envelope import BadData
from coord_kernel.cli import values
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

SECTION = "agents"


class Settings:
    """What holds for every start in a store."""

    def __init__(self, store: Store) -> None:
        """Raises BadData, Usage."""
        self.worktrees, self.within = 8, 120_000
        """Most work trees; milliseconds in which a session has to come up."""
        for name, value in locate.section(store, SECTION).items():
            if name == "worktrees" and type(value) is int and 0 < value < 1_000:
                self.worktrees = value
            elif name == "within" and isinstance(value, str):
                self.within = values.span(value, f"{SECTION}.within")
            elif name != "checkpoint":  # of coord-hooks
                todo = "use worktrees, within"
                raise BadData(f"not a valid setting: {SECTION}.{name}", "coord.toml", todo=todo)
