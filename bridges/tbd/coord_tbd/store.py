"""The verbs of tbd about the store itself, and what it says of itself."""

from __future__ import annotations

from coord_envelope import Usage
from coord_kernel.cli.flags import described
from coord_kernel.cli.link import begin, tool
from coord_kernel.store import locate
from coord_tbd.verbs import VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json

    Values = dict[str, Any]
    Answer = tuple[object, list[str]]

BRIEF = """\
Work items (`tbd`) in this repository's coord store; `wk` shows the same items.

    tbd ready                            what can be started now
    tbd show ID                          everything about an issue
    tbd start ID                         take it: of several agents one gets it
    tbd create "Title" --type bug --priority P1
    tbd dep add ID BLOCKER               ID waits on BLOCKER
    tbd close ID --reason "..."          done
    tbd list --status in_progress        what is being worked on
"""
PRIME = f"""\
# {BRIEF}
Other agents work on the same list. Begin with `tbd ready`; start an issue before you work on it;
close it when you are done, with what came out. Make an issue of what you find on the way, with
`tbd dep add` if something waits on it. Keep what the next one must know in `tbd update ID --notes`.
`--json` prints the same for programs. Nothing has to be synced at the end of a session: what a
command printed is on the disk; `tbd sync` exchanges it with other copies.
"""


def init(args: list[str], values: Values) -> Answer:
    """init"""
    prefix = values.get("prefix")
    if prefix is None:
        raise Usage("--prefix is required")
    path = begin("tbd", prefix)
    steps = ["", "Next steps:", "  git add coord.toml && git commit -m 'Name the issues'"]
    done = {"initialized": True, "prefix": prefix, "path": path}
    return done, [f"✓ Initialized tbd repository (prefix: {prefix})", *steps]


def prime(args: list[str], values: Values) -> Answer:
    """prime"""
    text = (BRIEF if values.get("brief") else PRIME).rstrip("\n")
    return {"prime": text}, text.split("\n")


def sync(args: list[str], values: Values) -> Answer:
    """sync"""
    nothing = {"new": 0, "updated": 0, "deleted": 0}
    summary: Json = {"sent": nothing, "received": nothing, "conflicts": 0}
    remote = locate.remote(locate.find())
    if values.get("status"):
        return {"synced": True, "remote": remote}, ["✓ Repository is in sync"]
    if remote is None:
        return {"summary": summary, "conflicts": 0}, ["✓ Nothing to sync: no remote"]
    tool("ev", "sync")
    return {"summary": summary, "conflicts": 0}, ["✓ Synced"]


def usage(verb: str = "") -> str:
    """The help: the verbs, or the options of one."""
    if verb in VERBS:
        lines = "\n".join(described(VERBS, verb))
        return f"tbd {verb}, on a coord store; see coord-tbd(1)\n\n{lines}\n"
    names = sorted(name for name, entry in VERBS.items() if entry.most >= 0)
    every = "\n".join(f"  tbd {name}" for name in names)
    head = "tbd, on a coord store: work items that wk(1) shows, too. See coord-tbd(1).\n\n"
    return f"{head}{every}\n\nEvery verb: --json --quiet --dry-run --help\n"
