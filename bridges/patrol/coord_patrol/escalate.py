"""What is to be done about alerts. Pure; the rules are in `coord_kernel.rules.escalation`.

1. Of an open episode each route of its level is notified once: the key names the episode, the
   level and the route. Who had the message that raised it knows of its severity already.
2. An episode is over when everything that it is about is closed: that is said, and nothing else.
3. Under a stop of everything nothing is planned.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control, escalation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.escalation import Alert, Episode


class Policy(escalation.Times):
    """The times, and the routes of each level: addresses."""

    person = "human:unknown"
    routes: dict[str, Sequence[str]]

    def __init__(self) -> None:
        self.routes = {}

    def of(self, level: str) -> Sequence[str]:
        """Whom to tell at a level; without a setting the person, from medium on."""
        return self.routes.get(level, () if level == "low" else (self.person,))


def plan(
    alerts: Iterable[Alert],
    state: Control,
    closed: Callable[[str], bool],
    now: int,
    policy: Policy,
) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    if control.stopped(state):
        return Plan([])
    acts, wakes = list[Act](), list[int]()
    live: list[tuple[str, Episode]] = []
    for alert in alerts:
        episode = alert["episodes"][-1]
        if "resolved" in episode:
            continue
        if episode["about"] and all(map(closed, episode["about"])):
            acts.append(_act("resolve", f"resolve:{episode['id']}", alert, episode))
        elif "acked" not in episode:
            live.append((alert["fingerprint"], episode))
    others = [episode for _, episode in live]
    for fingerprint, episode in live:
        if escalation.spoken_for(episode, others):
            continue
        level, at = escalation.level(episode, now, policy)
        wakes += [] if at is None else [at]
        for route in _left(episode, level, policy) if level else ():
            key = f"notify:{episode['id']}:{level}:{route}"
            about: Json = {"level": level, "route": route}
            acts.append(_act("notify", key, {"fingerprint": fingerprint}, episode, **about))
    return Plan(acts, min(wakes, default=None))


def _act(kind: str, key: str, alert: Json | Alert, episode: Episode, **about: object) -> Act:
    return Act(kind, key, fingerprint=alert["fingerprint"], episode=episode, **about)


def _left(episode: Episode, level: str, policy: Policy) -> Iterator[str]:
    """The routes of a level that were not notified of it."""
    loud = escalation.rank(level)
    for route in dict.fromkeys(policy.of(level)):
        knows = escalation.rank(episode["sent"].get(route)) >= loud
        if not knows and f"{level} {route}" not in episode["notified"]:
            yield route


def draft(act: Act) -> Json:
    """The event of an act, with its key."""
    episode, fingerprint = act.about["episode"], act.about["fingerprint"]
    body: Json = {"fingerprint": fingerprint, "episode": episode["id"]}
    refs = {"work_id": episode["about"][0]} if episode["about"] else {}
    if act.kind == "resolve":
        body["why"] = "what it is about is closed"
        said = {"type": "alert.resolved", "body": body}
    else:
        said = _notified(act, episode, body)
    return {**said, **({"refs": refs} if refs else {}), "idempotency_key": act.key}


def _notified(act: Act, episode: Episode, body: Json) -> Json:
    level, route, count = act.about["level"], act.about["route"], episode["count"]
    times = f" ({count:,} times)" if count > 1 else ""
    subject = episode["subject"] or body["fingerprint"]
    text = f"Raised {episode['ts']}"
    text += f", and {count - 1:,} times since, last {episode['last']}" if count > 1 else ""
    text += f". `ev show {ids.short('ev', episode['id'])}` shows the first.\n"
    if escalation.rank(level) > escalation.rank(escalation.worst(episode)):
        text += f"Nobody has acknowledged it: it was {escalation.worst(episode)}.\n"
    text += "`msg ack` of this message ends the escalation."
    body |= {"level": level, "severity": level, "route": route, "count": count}
    body |= {"group": episode["group"]} if "group" in episode else {}
    body |= {"subject": f"{_cut(f'{level}: {subject}', 180)}{times}", "text": text}
    return {"type": "alert.notified", "to": [route], "body": body}


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore")


def row(alert: Alert, now: int, policy: Policy) -> Json:
    """What a list shows of an alert: its last episode."""
    episode = alert["episodes"][-1]
    quiet = "acked" in episode or "resolved" in episode
    loud = None if quiet else escalation.level(episode, now, policy)[0]
    fields: Json = {
        "fingerprint": alert["fingerprint"],
        "severity": escalation.worst(episode),
        "level": loud,
        "count": episode["count"],
        "since": episode["ts"],
        "last": episode["last"],
        "subject": episode["subject"],
        "group": episode.get("group"),
        "about": episode["about"],
        "notified": sorted({place.partition(" ")[2] for place in episode["notified"]}),
        "acked_by": episode.get("acked", {}).get("by"),
        "resolved": episode.get("resolved"),
        "episode": episode["id"],
    }
    return {name: value for name, value in fields.items() if value}
