"""The file of schedules."""

from __future__ import annotations

import tomllib

from coord_cron.schedule import Schedule
from coord_envelope.errors import BadData, Unreachable
from coord_kernel.cli.extra import extra
from coord_kernel.cli.values import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

KEYS = ("every", "cron", "zone", "jitter", "body")
LONGEST = 1 << 20
LEAST_MS = 1_000


def load(path: str) -> list[Schedule]:
    """The schedules of a file, by name. Raises BadData, Unreachable, OSError."""
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise Unreachable("no such file", where=path) from None
    if len(data) > LONGEST:
        raise BadData(f"longer than {LONGEST:,} bytes", where=path)
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as reason:
        raise BadData(f"not TOML: {reason}", where=path) from None
    if not tables:
        raise BadData("has no schedule", where=path, todo='write [NAME] and every = "1h"')
    return [_schedule(name, table, f"{path}: {name}") for name, table in sorted(tables.items())]


def _schedule(name: str, table: object, where: str) -> Schedule:
    if not isinstance(table, dict):
        raise BadData("is not a table", where=where, todo=f"write [{name}]")
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise BadData("not a valid name", where=where, todo="use up to 100 characters")
    for key in table:
        if key not in KEYS:
            raise BadData(f"unsupported key {key!r}", where=where, todo=f"use {', '.join(KEYS)}")
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
    return schedule


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
        CronSim(str(text), datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError) as reason:
        what = f"not a cron expression: {text!r}: {reason}"
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
