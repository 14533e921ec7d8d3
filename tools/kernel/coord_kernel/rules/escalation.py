"""Alerts: what went wrong, how often, how loud it is by now, and who took it. Pure and total.

    msg.sent, alert.raised {fingerprint, severity}     something of this kind went wrong
    alert.notified {fingerprint, episode, level, route} somebody was notified
    msg.acked {fingerprint}, of kind done               somebody took it
    alert.resolved {fingerprint, episode}               it is over

1. An alert is a fingerprint. Its events, in order of their ids, are cut into episodes: the first
   begins with the first that raises it; another with the first that raises it after it was
   resolved, or CALM_MS after the last one of an episode that was acknowledged.
2. An episode has the id of the event that began it. An event about it names the message or the
   episode that its writer saw: it is about the last episode that begins with that or earlier. So
   what two stores said of their halves of one episode holds when they have met. What was written
   by a clock that is behind, and so comes before what it names, waits for that.
3. Each severity counts from when it was first raised: after `wait`, and two times louder, each a
   level more, after each of `louder`. The level of an episode is the greatest of these: it only
   rises.
4. An episode that was acknowledged or resolved has no level any more; nor has one as long as a
   worse one of its group is open, which speaks for it.
"""

from __future__ import annotations

from coord_envelope import ids, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import NotRequired, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class Episode(TypedDict):
        """From when something went wrong until it was over."""

        id: str
        ts: str
        last: str
        count: int
        first: dict[str, str]
        """Severity → when it was first raised with it."""
        subject: str
        group: NotRequired[str]
        about: list[str]
        """Work items: when all are closed it is over."""
        sent: dict[str, str]
        """Recipient of a message that raised it → the greatest severity it had."""
        notified: dict[str, str]
        """`LEVEL ROUTE` → when."""
        acked: NotRequired[dict[str, str]]
        """by, ts"""
        resolved: NotRequired[str]
        """The ts."""

    class Alert(TypedDict):
        """The state of a fingerprint."""

        fingerprint: str
        episodes: list[Episode]
        early: NotRequired[dict[str, list[dict[str, str]]]]
        """Id of what was named → what was said about its episode before that came."""


name, version = "alerts", "3"
needles = (b'"type":"msg.', b'"type":"alert.')
SEVERITIES = ("low", "medium", "high", "critical")
RAISES = ("msg.sent", "alert.raised")
CALM_MS = 3_600_000
MOST_EPISODES, MOST_ABOUT, MOST_SENT, MOST_EARLY = 4, 100, 100, 64
LONGEST = 200
"""Bytes of a fingerprint."""


def entities(event: Event) -> Iterable[str]:
    """The fingerprint that an event is about."""
    kind, body = event["type"], event["body"]
    fingerprint = body.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        return ()
    if len(fingerprint.encode("utf-8", "replace")) > LONGEST:
        return ()
    signed = "$trust" not in event  # nobody is called by what nobody has signed
    raises = signed and kind in RAISES and body.get("severity") in SEVERITIES
    acks = kind == "msg.acked" and body.get("kind") == "done"
    if not raises and not acks and kind not in ("alert.notified", "alert.resolved"):
        return ()
    return (fingerprint,)


def step(state: Alert | None, event: Event) -> Alert:
    """The state after one event more, taken in order of event_id."""
    body, refs = event["body"], event.get("refs")
    state = {"fingerprint": body["fingerprint"], "episodes": []} if state is None else state
    if event["type"] in RAISES:
        _raised(state, event, body, refs if isinstance(refs, dict) else {})
        return state
    seen, said = body.get("episode"), _said(event, body)
    if event["type"] == "msg.acked" and not isinstance(seen, str):
        seen = refs.get("msg_id") if isinstance(refs, dict) else None
    if isinstance(seen, str) and seen > event.id:
        early = state.setdefault("early", {})
        if said and len(early) < MOST_EARLY:
            early.setdefault(seen, []).append(said)
    elif said and (episode := _containing(state, seen)):
        _apply(episode, said)
    return state


def _said(event: Event, body: Json) -> dict[str, str] | None:
    """What an event says about an episode; None if that makes no sense."""
    if event["type"] == "msg.acked":
        return {"acked": event["actor"]["agent_id"], "ts": event["ts"]}
    if event["type"] == "alert.resolved":
        return {"resolved": "", "ts": event["ts"]}
    if isinstance(body.get("route"), str) and body.get("level") in SEVERITIES:
        return {"notified": f"{body['level']} {body['route']}", "ts": event["ts"]}
    return None


def _apply(episode: Episode, said: dict[str, str]) -> None:
    if "notified" in said:
        episode["notified"].setdefault(said["notified"], said["ts"])
    elif "acked" in said:
        episode.setdefault("acked", {"by": said["acked"], "ts": said["ts"]})
    else:
        episode.setdefault("resolved", said["ts"])


def _raised(state: Alert, event: Event, body: Json, refs: Json) -> None:
    last = state["episodes"][-1] if state["episodes"] else None
    if last is None or _over(last, event["ts"]):
        last = {
            "id": event.id,
            "ts": event["ts"],
            "last": event["ts"],
            "count": 0,
            "first": {},
            "subject": "",
            "about": [],
            "sent": {},
            "notified": {},
        }
        state["episodes"] = [*state["episodes"][1 - MOST_EPISODES :], last]
    severity, subject, group = body["severity"], body.get("subject"), body.get("group")
    last["count"] += 1
    last["last"] = max(last["last"], event["ts"])
    if rank(severity) >= rank(worst(last)) and isinstance(subject, str):
        last["subject"] = subject  # of the worst
    last["first"].setdefault(severity, event["ts"])
    if isinstance(group, str):
        last.setdefault("group", group)
    work, to = refs.get("work_id"), event.get("to")
    if isinstance(work, str) and work not in last["about"] and len(last["about"]) < MOST_ABOUT:
        last["about"].append(work)
    for address in to if isinstance(to, list) else ():
        if isinstance(address, str) and len(last["sent"]) < MOST_SENT:
            before = last["sent"].get(address, severity)
            last["sent"][address] = max(before, severity, key=rank)
    for said in state.get("early", {}).pop(event.id, ()):
        _apply(last, said)


def _over(episode: Episode, ts: str) -> bool:
    """Does what is raised then begin another episode?"""
    return "resolved" in episode or (
        "acked" in episode and _ms(ts) - _ms(episode["last"]) > CALM_MS
    )


def _containing(state: Alert, seen: object) -> Episode | None:
    """The episode that an event is in which the writer saw; the last, if it named none."""
    episodes = state["episodes"]
    if isinstance(seen, str):
        episodes = [episode for episode in episodes if episode["id"] <= seen]
    return episodes[-1] if episodes else None


def indexed(state: Alert) -> Iterable[tuple[str, str]]:
    """`open`: since when it is, unless nothing more is to be done about it."""
    last = state["episodes"][-1] if state.get("episodes") else None
    if last and "resolved" not in last and ("acked" not in last or last["about"]):
        yield "open", last["ts"]


# ---- how loud


class Times:
    """How long an alert waits at first, and how long until it is louder: milliseconds."""

    wait = 30_000
    louder: tuple[int, ...] = (15 * 60_000, 30 * 60_000)


def rank(severity: str | None) -> int:
    """0 for low … 3 for critical; -1 for none."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


def worst(episode: Episode) -> str | None:
    """The greatest severity that it was raised with; None before it is raised."""
    return max(episode["first"], key=rank, default=None)


def current(state: Alert | None, now: int) -> Episode | None:
    """The episode that what is raised now would belong to."""
    last = state["episodes"][-1] if state and state["episodes"] else None
    return None if last is None or _over(last, world.format_ts(now)) else last


def level(episode: Episode, now: int, times: Times) -> tuple[str | None, int | None]:
    """(how loud it is, when it may be louder); None: not yet, and never."""
    loudest, wakes = -1, list[int]()
    for severity, ts in episode["first"].items():
        since = _ms(ts) + times.wait
        if since - now > times.wait + ids.AHEAD_MS:  # by a clock that is ahead
            since = now
        loud = rank(severity)
        steps = [since, *_sums(since, times.louder)][: len(SEVERITIES) - loud]
        reached = sum(at <= now for at in steps)
        loudest = max(loudest, loud + reached - 1 if reached else -1)
        wakes += [at for at in steps if at > now]
    return (SEVERITIES[loudest] if loudest >= 0 else None), min(wakes, default=None)


def _sums(since: int, spans: Sequence[int]) -> Iterator[int]:
    for span in spans:
        since += span
        yield since


def spoken_for(episode: Episode, others: Iterable[Episode]) -> bool:
    """Is a worse one of its group among these, which are open and which nobody took?"""
    group, loud = episode.get("group"), rank(worst(episode))
    return group is not None and any(
        other.get("group") == group and rank(worst(other)) > loud for other in others
    )


def _ms(ts: str) -> int:
    try:
        return world.parse_ts(ts)
    except (ValueError, OverflowError):
        return 0
