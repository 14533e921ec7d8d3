"""What coord-notify plans to send: tables on the pure plan, and on the file of routes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support import Json

from coord_envelope import BadData, Usage, world
from coord_envelope.errors import Refused
from coord_envelope.ids import mint
from coord_notify import plan, text
from coord_notify.routes import Route, load

BEGIN = world.parse_ts("2026-06-01T09:00:00.000Z")
MINUTE, HOUR = 60_000, 3_600_000


def route(**fields: Any) -> Route:
    made = Route("phone")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def notice(minutes: float, n: int = 0, severity: int = 2, **more: str) -> Json:
    ms = BEGIN + int(minutes * MINUTE)
    at = mint(ms << 16, n.to_bytes(8, "big"))
    return (
        {"id": at, "ts": world.format_ts(ms), "type": "x.y", "severity": severity, "to": []}
        | {"subject": f"s{n}"}
        | more
    )


def planned(
    to: Route, notices: list[Json], minutes: float, sends: Any = ()
) -> tuple[list[int], float | None]:
    """How many notices each send has, and when to look again: minutes."""
    found = plan.plan(to, notices, sends, lambda _: False, BEGIN + int(minutes * MINUTE))
    wake = None if found.wake is None else (found.wake - BEGIN) / MINUTE
    return [len(act.about["notices"]) for act in found.acts], wake


def run(to: Route, notices: list[Json], times: list[float]) -> list[list[int]]:
    """What is sent at each of these times, each send being remembered."""
    sends: list[Any] = []
    left, seen = list(notices), []
    for minutes in times:
        now = BEGIN + int(minutes * MINUTE)
        there = [each for each in left if world.parse_ts(each["ts"]) <= now]
        found = plan.plan(to, there, sends, lambda _: False, now)
        for act in found.acts:
            loud = all(each["severity"] >= to.loud for each in act.about["notices"])
            for draft in plan.drafts(act, loud, ""):
                body = draft["body"]
                sends.append(
                    [world.format_ts(now), "phone", body.get("kinds", []), body.get("more", False)]
                )
                left = [each for each in left if each["id"] not in body["events"]]
        seen.append([len(act.about["notices"]) for act in found.acts])
        assert (
            plan.plan(to, [n for n in there if n in left], sends, lambda _: False, now).acts == []
        )
    return seen


def test_nothing_is_planned_for_nothing() -> None:
    assert planned(route(), [], 0) == ([], None)


def test_the_first_are_sent_one_by_one_and_the_rest_is_one_summary_when_the_window_is_over() -> (
    None
):
    many = [notice(0, n) for n in range(1_000)]
    assert planned(route(most=3), many, 0) == ([1, 1, 1], 60)
    assert run(route(most=3), many, [0, 30, 59.9, 60, 61]) == [[1, 1, 1], [], [], [997], []]


def test_a_thousand_of_one_kind_are_one_and_a_summary_a_window_whatever_most_is() -> None:
    many = [notice(n / 10, n, fingerprint="ci/build") for n in range(1_000)]  # in 100 minutes
    times = [0.0, 5, 30, 59, 60, 61, 100, 119, 120, 121, 200]
    assert [sent for sent in run(route(most=10), many, times) if sent] == [[1], [599], [400]]


def test_a_louder_level_of_one_alert_is_another_kind() -> None:
    levels = [notice(n, n, fingerprint="x", level=level) for n, level in enumerate(("low", "high"))]
    assert run(route(), levels, [0, 1]) == [[1], [1]]


def test_what_is_loud_is_neither_held_nor_counted() -> None:
    mixed = [notice(0, 0), notice(0, 1), *(notice(0, n, 3) for n in range(2, 7))]
    assert planned(route(most=1, loud=3), mixed, 0)[0] == [1] * 6
    assert run(route(most=1, loud=3), mixed, [0, 60]) == [[1] * 6, [1]]


def test_quiet_hours_hold_and_end_with_a_summary() -> None:
    night = route(quiet=(9 * 60, 17 * 60))  # 09:00 is the begin of the test
    early = [notice(n, n) for n in range(3)]
    assert planned(night, early, 5) == ([], 480)
    assert run(night, [*early, notice(480, 9)], [5, 479, 480]) == [[], [], [3, 1]]
    assert planned(route(quiet=(9 * 60, 17 * 60), loud=2), early, 5)[0] == [1, 1, 1]


@pytest.mark.parametrize(
    ("quiet", "zone", "minutes", "until"),
    [
        ((22 * 60, 7 * 60), "UTC", 0, None),
        ((22 * 60, 7 * 60), "UTC", 14 * 60, 22 * 60),
        ((22 * 60, 7 * 60), "UTC", 21.5 * 60, 22 * 60),
        ((11 * 60, 12 * 60), "Europe/Berlin", 0, 60),  # 09:00Z is 11:00 there
        ((11 * 60, 12 * 60), "UTC", 0, None),
    ],
)
def test_quiet_hours_are_those_of_the_zone(
    quiet: tuple[int, int], zone: str, minutes: float, until: float | None
) -> None:
    found = plan.quiet_until(route(quiet=quiet, zone=zone), BEGIN + int(minutes * MINUTE))
    assert (None if found is None else (found - BEGIN) / MINUTE) == until


def test_after_waits_and_what_was_taken_meanwhile_is_not_sent() -> None:
    late = route(after_ms=15 * MINUTE)
    assert planned(late, [notice(0)], 0) == ([], 15)
    assert planned(late, [notice(0)], 15)[0] == [1]
    taken = plan.plan(late, [notice(0)], (), lambda _: True, BEGIN + HOUR)
    assert (taken.acts, taken.wake) == ([], None)


def test_what_is_older_than_a_day_is_not_sent() -> None:
    assert planned(route(), [notice(-24 * 60)], 0) == ([], None)
    assert planned(route(), [notice(-24 * 60 + 1)], 0)[0] == [1]


def test_the_events_of_a_very_great_summary_are_several() -> None:
    many = [notice(0, n) for n in range(1_200)]
    before = [[many[0]["ts"], "phone", ["k"], False]]
    (act,) = plan.plan(route(most=1), many, before, lambda _: False, BEGIN + HOUR).acts
    drafts = plan.drafts(act, False, "t")
    assert [len(draft["body"]["events"]) for draft in drafts] == [500, 500, 200]
    assert [draft["body"].get("more") for draft in drafts] == [None, True, True]
    assert len({draft["idempotency_key"] for draft in drafts}) == 3


def test_a_text_has_no_control_characters_and_an_end() -> None:
    evil = notice(0, 1, subject="\x1b[2J‮evil" + "x" * 500)
    title, body = text.written("acme", [evil], None)
    assert "\x1b" not in title and "‮" not in title and len(title) == text.TITLE
    assert body.startswith("acme: ev show ev-")
    title, body = text.written(
        "acme", [notice(0, n, subject=f"a{n % 30}") for n in range(90)], None
    )
    assert title == "acme: 90 notices"
    assert "a0 (3 times)" in body and "and 10 others" in body


def test_a_text_pings_nobody() -> None:
    said = "@everyone <@12> <@&3> <!channel> (@here) a@b.org a < b"
    quiet = "@|everyone <|@|12> <|@|&3> <|!channel> (@|here) a@b.org a < b".replace("|", "\u200b")
    assert text.written("acme", [notice(0, subject=said)], None)[0] == quiet
    many = text.written("acme", [notice(0, n, subject=said) for n in range(2)], None)[1]
    assert many.startswith(f"{quiet} (2 times)")


GOOD = '[routes.phone]\nurl = "$NTFY"\nto = ["ada", "human:eve"]\n'


def test_a_file_of_routes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(
        GOOD
        + 'severity = "high"\nafter = "15m"\nmost = 3\nwindow = "30m"\nquiet = "22:00-07:30"\nzone = "Europe/Berlin"\nloud = "critical"\n'
    )
    (made,) = load(str(path))
    assert (made.to, made.severity, made.loud) == (["agent:ada", "human:eve"], 2, 3)
    assert (made.after_ms, made.most, made.window_ms) == (15 * MINUTE, 3, 30 * MINUTE)
    assert (made.quiet, made.zone) == ((22 * 60, 7 * 60 + 30), "Europe/Berlin")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("x = 1\n", "not a file of routes"),
        ("routes = 3\n", "not a file of routes"),
        ("[routes.A b]\n", "not valid TOML"),
        ('[routes."A b"]\nurl = "x"\n', "not a valid name"),
        ('[routes.a]\nto = ["ada"]\n', "url is missing"),
        ('[routes.a]\nurl = "$X"\n', "would send every event"),
        ('[routes.a]\nurl = "nonsense"\n', 'routes.a: not a valid url; url = "$NTFY_URL"'),
        ('[routes.a]\nurl = "$"\n', "routes.a: not the name of a variable: '$'; use $NAME"),
        (GOOD + 'after = "-1m"\n', "routes.phone: not a valid after: -1m; from 1ms to 1d"),
        (GOOD + "colour = 1\n", "unknown field 'colour'"),
        (GOOD + "most = 0\n", "not a valid most"),
        (GOOD + "most = true\n", "not a valid most"),
        (GOOD + 'severity = "bad"\n', "not a valid severity"),
        (GOOD + 'quiet = "22-7"\n', "not a valid quiet"),
        (GOOD + 'quiet = "25:00-07:00"\n', "not a valid quiet"),
        (GOOD + 'zone = "Mars/Base"\n', "not a valid zone"),
        (GOOD + 'zone = "../../etc/passwd"\n', "not a valid zone"),
        (GOOD + 'window = "2 weeks"\n', "not a valid window: 2 weeks"),
        (GOOD + "type = [1]\n", "not a valid type"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, wrong: str, said: str) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(wrong)
    with pytest.raises(BadData, match=re.escape(said)):
        load(str(path))


def test_a_url_is_of_the_environment_or_of_a_file_that_nobody_else_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(GOOD)
    routes = load(str(path))
    with pytest.raises(Usage, match=r"\$NTFY is not set"):
        routes.url(routes["phone"])
    monkeypatch.setenv("NTFY", "ntfy://x")
    assert routes.url(routes["phone"]) == "ntfy://x"
    path.write_text(GOOD.replace("$NTFY", "ntfy://secret"))
    path.chmod(0o644)
    routes = load(str(path))
    with pytest.raises(Refused, match="others can read"):
        routes.url(routes["phone"])
    path.chmod(0o600)
    assert routes.url(routes["phone"]) == "ntfy://secret"
