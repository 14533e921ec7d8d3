"""The claims of this store, and what it does about them. The same with every remote."""

from __future__ import annotations

from coord_envelope import event, ids, world
from coord_envelope.errors import BadData
from coord_kernel.rules import claims
from coord_kernel.store import locate, stamp
from coord_kernel.store.config import CONFIG
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.journal.journal import Journal
    from coord_kernel.rules.claims import ClaimsState
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.plan import Tentative

    Wishes = list[tuple[str, Json]]
    """The id of a claim, and the draft of an event for the arbiter's stream."""
    Settle = Callable[[], Wishes]


def signs(store: Store) -> bool:
    """Is what this store gives to be signed, as coord.toml says? Raises BadData."""
    value = locate.section(store, "sync").get("sign", False)
    if not isinstance(value, bool):
        raise BadData("[sync] sign is not true or false", where=CONFIG, todo="correct the file")
    return value


def tentative(store: Store) -> list[Tentative]:
    """The claims of this store that are open and not confirmed, by all that it has taken in."""
    own = store.replicas()
    if not any(name.rpartition("~")[2] in own for name in store.listdir("journal")):
        return []  # a new store: the view of what others have written is not needed yet
    view = View(store, claims).refresh()
    return [
        (entity, value.partition(" ")[2], view.get(entity) or claims.nothing())
        for replica in own
        for value, entity in view.find("tentative", f"{replica} ", f"{replica}!")
    ]


def confirmation(entity: str, claim: str, state: ClaimsState) -> Json:
    """The event that confirms a claim on an entity (`NAMESPACE ID`)."""
    kind, _, about = entity.partition(" ")
    body = {
        "claim": claim,
        "n": claims.token(state, claim),
        "agent_id": state["claims"][claim]["agent"],
    }
    refs = {claims.ENTITY[kind]: about}
    return {"type": f"{kind}.confirmed", "refs": refs, "base": [claim], "body": body}


def concede(journal: Journal, entity: str, claim: str, state: ClaimsState) -> None:
    """Concede a claim in its agent's name; the agent learns of it by mail."""
    kind, _, about = entity.partition(" ")
    holder, loser = claims.owner(state), state["claims"][claim]
    body = {"claim": claim, "reason": "conceded"}
    if holder:
        body["winner"] = holder["agent"]
    draft: Json = {
        "type": f"{kind}.conceded",
        "refs": {claims.ENTITY[kind]: about},
        "base": claims.base(state),
        "to": [loser["agent"]],
        "body": body,
    }
    actor: Json = {"agent_id": loser["agent"]}
    if loser["session"]:
        actor["session_id"] = loser["session"]
    journal.append(actor, [draft])


def entry(store: Store, writer: str, last: Event | None, draft: Json) -> Event:
    """The event that follows `last` in the arbiter's stream. Not written anywhere yet."""
    now = world.now_ms()
    known = stamp.load(store) or 0
    after = ids.tick(max(known, ids.stamp_of(last.id) if last else 0), now)
    actor = {"agent_id": draft["body"]["agent_id"]}
    seq = last["seq"] + 1 if last else 1
    head = (store.project, writer, seq)
    return event.build(draft, ids.mint(after, world.entropy(8)), now, head, actor)
