"""`lease ls --at` shows what was held at a time."""

from __future__ import annotations

from support import Shell


def held(shell: Shell, at: str, options: str = "") -> list[str]:
    return [row["resources"][0] for row in shell(f"lease ls --at {at} {options}").lines]


def test_a_lease_was_held_from_its_acquisition_to_its_end(shell: Shell) -> None:
    one = shell("COORD_NOW=2026-01-01T10:00:00Z lease acquire env:one --ttl 10m").one["event_id"]
    shell("COORD_NOW=2026-01-01T10:05:00Z lease acquire port:2 --ttl 1h --as other")
    shell(f"COORD_NOW=2026-01-01T10:06:00Z lease renew {one}")
    assert held(shell, "2026-01-01T09:59:59Z") == []
    assert held(shell, "2026-01-01T10:00:00Z") == ["env:one"]
    assert held(shell, "2026-01-01T10:15:00Z") == ["env:one", "port:2"]
    assert held(shell, "2026-01-01T10:16:01Z") == ["port:2"]
    assert held(shell, "2026-01-01T10:15:00Z", "--mine") == ["env:one"]
    assert held(shell, "2026-01-01T10:15:00Z", "port:2") == ["port:2"]
    assert held(shell, "2026-01-01T10:15:00Z", "--prefix env:") == ["env:one"]
    (row,) = shell("lease ls --at 2026-01-01T10:16:01Z").lines
    assert row["left_ms"] == 48 * 60_000 + 59_000 and row["holder"] == "agent:other"


def test_a_released_lease_was_held_until_then(shell: Shell) -> None:
    one = shell("COORD_NOW=2026-01-01T10:00:00Z lease acquire env:one --ttl 1h").one["event_id"]
    shell(f"COORD_NOW=2026-01-01T10:30:00Z lease release {one}")
    assert held(shell, "2026-01-01T10:29:59Z") == ["env:one"]
    assert held(shell, "2026-01-01T10:30:00Z") == []
