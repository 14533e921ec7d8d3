"""Numbers and times far beyond any list, on every tool's command line."""

from __future__ import annotations

import pytest
from support import Shell

from coord_envelope import world

HUGE = ("9" * 20, "9" * 5_000)


@pytest.mark.parametrize(
    "line",
    [
        *("wk ready -n {}", "wk ls -n {}", "ev tail -n {}", "run ls -n {}", "msg ls -n {}"),
        *("msg recv --max {}", "run worker --once --slots {}", "ev consume none.toml --max {}"),
        *("msg send --to tester --subject s --max-deliveries {} </dev/null",),
    ],
)
def test_a_number_beyond_any_list_means_all_or_is_a_usage_error(shell: Shell, line: str) -> None:
    """History: a traceback, status 70."""
    for number in HUGE:
        done = shell(line.format(number), expect=None)
        assert done.status in (0, 2, 74) and done.err.count("\n") <= 1, done.err


@pytest.mark.parametrize("span", ["9" * 20 + "h", "0" * 20 + "1d", "9" * 5_000 + "s"])
@pytest.mark.parametrize(
    "line",
    [
        *("lease acquire x-a:1 --ttl {}", "msg recv --wait {}", "run request --timeout {} -- true"),
        *("msg send --to tester --subject s --expires {} </dev/null",),
    ],
)
def test_an_absurd_span_is_a_usage_error(shell: Shell, line: str, span: str) -> None:
    assert shell(line.format(span), expect=2).err.count("\n") == 1


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_outside_of_four_digits_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="year"):
        world.parse_ts(text)


def test_a_stamp_is_read_as_it_was_written() -> None:
    for ms in (world.FIRST_MS, -1, 0, 951_782_400_000, 1_782_604_800_123, world.LAST_MS):
        assert world.parse_ts(world.format_ts(ms)) == ms
    for text in ("2026-02-30T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "1-1-1", ""):
        with pytest.raises(ValueError):
            world.parse_ts(text)
