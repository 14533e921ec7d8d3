"""Options of bridges that contradict each other: one line, whatever else is wrong."""

from __future__ import annotations

import pytest
from support import Shell


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("coord-notify x.toml --dry-run --status", "--dry-run and --status"),
        ("coord-notify x.toml --once --dry-run --status", "--once and --dry-run and --status"),
        ("coord-otel --to http://h --once --status", "--once and --status"),
        ("coord-otel --to http://h --all --now", "--all and --now"),
        ("coord-slack x.toml --once --status", "--once and --status"),
        ("coord-cron run x.toml --once --dry-run", "--once and --dry-run"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    shell: Shell, line: str, names: str
) -> None:
    done = shell(line, expect=2)
    assert done.err == f"{line.split()[0]}: {names} cannot be used together; give only one\n"
