"""The file of schedules."""

from __future__ import annotations

from coord_cron import draft
from coord_cron.schedule import MOST_MISSED, Schedule
from coord_envelope import event, world
from coord_envelope.errors import BadData, Refused
from coord_envelope.secrets import refuse_secret
from coord_kernel.cli.escape import shown
from coord_kernel.cli.extra import extra
from coord_kernel.cli.values import span
from coord_kernel.store import toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

KEYS = ("every", "cron", "zone", "jitter", "body")
LEAST_MS = 1_000
MOST_SPEC = 500
"""Characters, as spec/userland.md has it."""
FIELDS = 5
_ID = "7" + "Z" * 25
_ACTOR = {"agent_id": "bridge:cron", "session_id": "s" * 1_024}
"""Longer than any: what fits here fits whoever starts coord-cron."""


def load(path: str) -> list[Schedule]:
    """The schedules of a file, by name. Raises BadData, Refused, DiskFault."""
    tables = toml.load(path)
    if tables is None:
        raise BadData("no such file", where=path)
    if not tables:
        raise BadData("has no schedule", where=path, todo='write [NAME] and every = "1h"')
    return [
        _schedule(name, table, f"{path}: {shown(name, 100)}")
        for name, table in sorted(tables.items())
    ]


def _schedule(name: str, table: object, where: str) -> Schedule:
    if not isinstance(table, dict):
        raise BadData("is not a table", where=where, todo=f"write [{shown(name, 100)}]")
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise BadData("not a valid name", where=where, todo="use up to 100 characters")
    for key in table:
        if key not in KEYS:
            what = f"unsupported key '{shown(key, 100)}'"
            raise BadData(what, where=where, todo=f"use {', '.join(KEYS)}")
    if ("every" in table) == ("cron" in table):
        raise BadData("needs one of every and cron", where=where)
    schedule = Schedule(name)
    if "every" in table:
        schedule.every = _span(table, "every", where, LEAST_MS)
    else:
        schedule.cron = _cron(table["cron"], where)
    if "zone" in table:
        _zone(schedule, table["zone"], where)
    if "jitter" in table:
        schedule.jitter = _span(table, "jitter", where, 1)
    body = table.get("body", {})
    if not isinstance(body, dict) or {"name", "at", "missed"} & body.keys():
        todo = "write [NAME.body], without name, at and missed"
        raise BadData("not a valid body", where=where, todo=todo)
    schedule.body = body
    _check(schedule, where)
    return schedule


def _check(schedule: Schedule, where: str) -> None:
    """Raise BadData if the journal would not take what the schedule emits."""
    where_body, todo = f"{where}: body", "correct the file"
    if len(schedule.spec) > MOST_SPEC:
        what = f"the times take more than {MOST_SPEC} characters"
        raise BadData(what, where=where, todo="write several schedules")
    try:
        fired = draft.fired(schedule, world.LAST_MS, MOST_MISSED)
        line = event.build(fired, _ID, world.LAST_MS, ("p" * 64, "w" * 256, 1 << 63), _ACTOR)
        refuse_secret(line.raw)
        return
    except TypeError:  # all that TOML has and JSON has not
        what, todo = "holds a date or a time", "put it in quotes"
    except RecursionError:
        what = "nested too deeply"
    except Refused as fault:
        what, todo = fault.what, "remove it"
    except ValueError as reason:
        what = str(reason)
        if "JSON compliant" in what:
            what = "holds nan or inf, which JSON has not"
    raise BadData(what, where=where_body, todo=todo)


def _span(table: Json, key: str, where: str, least: int) -> int:
    text = table[key]
    if not isinstance(text, str):
        raise BadData(f"{key} is not a time: {text!r}", where=where, todo="use 90s, 10m, 2h or 1d")
    try:
        return span(text, key, least)
    except Exception as reason:
        raise BadData(str(reason), where=where) from None


def _cron(text: object, where: str) -> str:
    from datetime import UTC, datetime  # 2 ms

    with extra("cron", "cronsim"):
        from cronsim import CronSim, CronSimError  # 25 ms
    try:
        if not isinstance(text, str):
            raise ValueError("not text")
        if len(text.split()) != FIELDS:  # CronSim takes a sixth, of seconds
            raise ValueError("not five fields")
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError) as reason:
        what = f"not a cron expression: {str(text)[:100]!r}: {reason}"
        raise BadData(what, where=where, todo='five fields, as in "0 3 * * 1"') from None
    return " ".join(str(text).split())


def _zone(schedule: Schedule, text: object, where: str) -> None:
    from zoneinfo import ZoneInfo

    if schedule.every:
        raise BadData("zone is for cron only", where=where)
    try:
        schedule.zone, schedule.zoned = str(text), ZoneInfo(str(text))
    except (ValueError, OSError, KeyError):
        todo = "name one of the time zone database, such as Europe/Berlin"
        raise BadData(f"not a time zone: {text!r}", where=where, todo=todo) from None
