"""Paths into JSON values, and conditions on them: total, as jq writes them."""

from __future__ import annotations

from typing import Any

import pytest

from coord_envelope.fields import Where, found, parsed

ALERT = {
    "status": "firing",
    "n": 3,
    "on": True,
    "labels": {"severity": "critical", "x y": 1, "team": None},
    "alerts": [{"name": "a", "tags": ["x"]}, {"name": "b"}, 7],
}
PATHS: list[tuple[str, list[Any]]] = [
    (".status", ["firing"]),
    (".labels.severity", ["critical"]),
    ('.labels."x y"', [1]),
    (".labels.team", [None]),
    (".alerts[1].name", ["b"]),
    (".alerts.name", ["a", "b"]),
    (".alerts[].name", ["a", "b"]),
    (".alerts[].tags[0]", ["x"]),
    (".alerts[9].name", []),
    (".status.no", []),
    (".none", []),
    (".", [ALERT]),
    (".[0]", []),
]


@pytest.mark.parametrize(("path", "values"), PATHS)
def test_a_path_finds_the_values_that_are_there(path: str, values: list[Any]) -> None:
    assert list(found(ALERT, parsed(path))) == values


@pytest.mark.parametrize("value", [None, 1, "x", [], [[]], {}, [{"status": 1}]])
def test_a_path_leads_nowhere_in_any_other_value(value: Any) -> None:
    for path, _ in PATHS:
        list(found(value, parsed(path)))


@pytest.mark.parametrize(
    "path", ["", "a", ".a..b", '."a', ".a[x]", ".a[-1]", ".a b", ".a[1", "..", ".a."]
)
def test_what_is_not_a_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        parsed(path)


HOLDS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"status": "firing"}, True),
    ({"status": "resolved"}, False),
    ({"status": ["resolved", "firing"]}, True),
    ({"status": "fir*"}, True),
    ({"status": "[a-e]*"}, False),
    ({"labels.severity": "critical", "n": 3}, True),
    ({"labels.severity": "critical", "n": 4}, False),
    ({"alerts.name": "b"}, True),
    ({"alerts.tags": "x"}, True),
    ({"alerts.name": "c"}, False),
    ({"on": True}, True),
    ({"on": 1}, False),
    ({"n": "3"}, False),
    ({"n": 3.0}, True),
    ({"labels.team": "*"}, False),
    ({"labels": "*"}, False),
    ({".status": "firing"}, True),
    ({"none": "x"}, False),
]


@pytest.mark.parametrize(("conditions", "holds"), HOLDS)
def test_conditions_hold_all_of_them_or_not(conditions: dict[str, Any], holds: bool) -> None:
    assert Where(conditions)(ALERT) is holds


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"s": "[x]"}, True),
        ({"s": "[[]x]"}, True),
        ({"s": "[xyz]"}, False),
        ({"star": "a[*]"}, True),
        ({"star": "a[?]"}, False),
        ({'"a.b"': 1}, True),
        ({'."a.b"': 1.0}, True),
        ({"a.b": 1}, False),
        ({'"a.b"': True}, False),
    ],
)
def test_wildcards_and_dots_can_be_meant_as_themselves(
    conditions: dict[str, Any], holds: bool
) -> None:
    assert Where(conditions)({"s": "[x]", "star": "a*", "a.b": 1}) is holds


@pytest.mark.parametrize(
    "conditions", [{"a": None}, {"a": []}, {"a": {"b": 1}}, {"a": [[1]]}, {"a..b": 1}, {".": 1}]
)
def test_a_condition_that_can_never_be_meant_is_refused(conditions: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not|names"):
        Where(conditions)
