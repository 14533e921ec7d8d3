"""The events that coord-cron writes. Pure."""

from __future__ import annotations

from coord_envelope import ids, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_cron.schedule import Schedule
    from coord_envelope.codec import Json


def arm_key(schedule: Schedule, wrong: int = 0) -> str:
    """Of a schedule as it is written; again, if it was armed at a time that cannot be."""
    again = f":{world.format_ts(wrong)}" if wrong else ""
    return ids.key(f"arm:{schedule.name}:{schedule.spec}{again}")


def fire_key(schedule: Schedule, at: int) -> str:
    """Of a time of a schedule."""
    return f"cron:{schedule.name}:{world.format_ts(at)}"


def armed(schedule: Schedule, wrong: int = 0) -> Json:
    """From now on the schedule counts. `wrong` is when it was armed by a clock far ahead."""
    body: Json = {"name": schedule.name, "spec": schedule.spec}
    return {"type": "cron.armed", "body": body, "idempotency_key": arm_key(schedule, wrong)}


def fired(schedule: Schedule, at: int, missed: int = 0) -> Json:
    """The time came."""
    body = {**schedule.body, "name": schedule.name, "at": world.format_ts(at)}
    body |= {"missed": missed} if missed else {}
    return {"type": "cron.fired", "body": body, "idempotency_key": fire_key(schedule, at)}
