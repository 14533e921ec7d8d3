"""Which events a reader wants: the same words on every backend and in every tool."""

from __future__ import annotations

from coord_envelope.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json

    Test = Callable[[str], bool]

WILD = "*?["


class Filter:
    """A conjunction of conditions on an event; an empty one does not restrict.

    `types` and `not_types` are globs in which `*` also matches dots (`audit.*` is everything below
    audit). `agents` and `not_agents` are addresses in full, `work` and `thread` event ids. `since`
    is an RFC 3339 stamp in UTC with milliseconds, compared with `ts`: for people, not for cursors.
    """

    def __init__(
        self,
        types: Sequence[str] = (),
        not_types: Sequence[str] = (),
        agents: Sequence[str] = (),
        not_agents: Sequence[str] = (),
        work: str | None = None,
        thread: str | None = None,
        since: str | None = None,
    ) -> None:
        given = {"types": types, "not_types": not_types, "agents": agents, "not_agents": not_agents}
        lists = {name: list(values) for name, values in given.items() if values}
        one = {
            name: value
            for name, value in (("work", work), ("thread", thread), ("since", since))
            if value
        }
        self.said: Json = lists | one
        """Its arguments as JSON: in another process `Filter(**said)` is the same filter."""
        self._types, self._not_types = _any_of(types), _any_of(not_types)
        self._agents, self._not_agents = frozenset(agents), frozenset(not_agents)
        self._refs = {
            name: value for name, value in (("work_id", work), ("thread_id", thread)) if value
        }
        self._since = since or ""

    def __call__(self, event: Event) -> bool:
        kind, agent = event["type"], event["actor"]["agent_id"]
        return (
            (not self._types or self._types(kind))
            and not (self._not_types and self._not_types(kind))
            and (not self._agents or agent in self._agents)
            and agent not in self._not_agents
            and self._since <= event["ts"]
            and (not self._refs or self._refers(event))
        )

    def types(self) -> list[str] | None:
        """The types, if there is no glob and no other condition; an empty list is all types."""
        named = self.said.get("types", [])
        plain = not any(character in name for name in named for character in WILD)
        return named if plain and self.said.keys() <= {"types"} else None

    def _refers(self, event: Event) -> bool:
        refs = event.get("refs")
        known = refs if isinstance(refs, dict) else {}
        # An entity's own first event has its id.
        return all(
            known.get(name) == value or event.id == value for name, value in self._refs.items()
        )


class Within(Filter):
    """A filter, of the events of one namespace: `msg` is all types that begin with `msg.`."""

    def __init__(self, namespace: str, wanted: Filter) -> None:
        super().__init__(**wanted.said)
        self._begin = f"{namespace}."

    def __call__(self, event: Event) -> bool:
        return event["type"].startswith(self._begin) and super().__call__(event)

    def types(self) -> None:
        """None: the namespace is a condition, too."""


def _any_of(globs: Sequence[str]) -> Test | None:
    if not globs:
        return None
    plain = frozenset(glob for glob in globs if not _is_wild(glob))
    begins = tuple(glob[:-1] for glob in globs if glob[-1:] == "*" and not _is_wild(glob[:-1]))
    rest = [glob for glob in globs if _is_wild(glob[:-1]) or glob[-1:] in ("?", "[")]
    if not begins and not rest:
        return plain.__contains__
    if not rest:
        return lambda kind: kind in plain or kind.startswith(begins)
    from fnmatch import fnmatchcase  # brings `re`: 8 ms, only for a wildcard not at the end

    return lambda kind: any(fnmatchcase(kind, glob) for glob in globs)


def _is_wild(glob: str) -> bool:
    return any(character in glob for character in WILD)
