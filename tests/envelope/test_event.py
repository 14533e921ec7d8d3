"""Lenient readers, strict writers: the vectors of spec/, and what the vectors cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SPEC

from coord_envelope import SELF, codec, event
from coord_envelope.bodies import check_body
from coord_envelope.errors import BadData
from coord_kernel.sync import layout


def vectors(name: str) -> list[Any]:
    found = [json.loads(line) for line in (SPEC / "vectors" / name).read_text().split("\n") if line]
    return [
        pytest.param(one, id=one.get("name") or f"{one.get('type', name)}-{place}")
        for place, one in enumerate(found)
    ]


@pytest.fixture(params=["stdlib", "orjson"])
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "orjson":
        codec.bulk()
    yield
    codec._fast = None


@pytest.mark.parametrize("vector", vectors("lines.jsonl"))
def test_a_reader_takes_the_good_lines_and_no_other(vector: dict[str, Any], parser: None) -> None:
    raw = bytes.fromhex(vector["hex"])
    if vector["good"]:
        assert event.parse(raw).raw == raw
    else:
        with pytest.raises(ValueError):
            event.parse(raw)


LINES = [bytes.fromhex(param.values[0]["hex"]) for param in vectors("lines.jsonl")]
GOOD = [
    bytes.fromhex(param.values[0]["hex"])
    for param in vectors("lines.jsonl")
    if param.values[0]["good"]
]
HALVES = [
    b'{"event_id":"01KF4QBCFS000DHT52RH6PKMCY","x":[1',
    b'{"event_id":"01KF4QBCFS000HY2KBEWSW1ZZE"}]},%b',
]


@given(st.lists(st.sampled_from(GOOD), min_size=event.FEW, max_size=40), st.data())
def test_many_lines_at_once_are_what_each_is(rows: list[bytes], data: st.DataObject) -> None:
    """Two lines that are one value together, and one that is two, are each bad, whatever stands around them."""
    codec.bulk()
    bad = [
        *LINES,
        b"",
        b"1],[1,2",
        b"{}",
        b"[]",
        b"1",
        *(half.replace(b"%b", GOOD[0]) for half in HALVES),
    ]
    for row in data.draw(st.lists(st.sampled_from(bad), max_size=3)):
        rows.insert(data.draw(st.integers(0, len(rows))), row)
    place = data.draw(st.integers(0, len(rows)))
    rows[place:place] = data.draw(
        st.sampled_from([[], [half.replace(b"%b", GOOD[0]) for half in HALVES]])
    )
    rows = [row for row in rows if b"\n" not in row]
    each = [event.parse_or_reason(row) for row in rows]
    found = event.parse_all(rows)
    codec._fast = None
    assert found == each
    assert [type(one) for one in found] == [type(one) for one in each]
    assert [one.raw for one in found if isinstance(one, event.Event)] == [
        one.raw for one in each if isinstance(one, event.Event)
    ]


@pytest.mark.parametrize("vector", vectors("drafts.jsonl"))
def test_a_writer_takes_the_good_drafts_and_no_other(vector: dict[str, Any]) -> None:
    if vector["good"]:
        event.check(vector["draft"])
    else:
        with pytest.raises(ValueError):
            event.check(vector["draft"])


@pytest.mark.parametrize("vector", vectors("bodies.jsonl"))
def test_kernel_bodies_are_what_the_schema_says(vector: dict[str, Any]) -> None:
    if vector["good"]:
        check_body(vector["type"], vector["body"])
    else:
        with pytest.raises(BadData):
            check_body(vector["type"], vector["body"])


def build(**fields: Any) -> event.Event:
    draft = {"type": "a.b", "body": {}, **fields}
    head = ("acme", "agent.x~00000000", 1)
    return event.build(draft, "01" + "0" * 24, 0, head, {"agent_id": "agent:x"})


def test_a_written_line_begins_with_id_and_type_at_a_fixed_place() -> None:
    assert build().raw.startswith(
        b'{"event_id":"01000000000000000000000000","type":"a.b","ts":"1970-01-01T00:00:00.000Z"'
    )


def test_a_written_event_is_a_good_line_and_fits_the_schema() -> None:
    from jsonschema import Draft202012Validator

    written = build(
        refs={"work_id": "x"}, to=["all"], idempotency_key="k", on_behalf_of="someone/else", hops=1
    )
    assert event.parse(written.raw) == written
    schema = json.loads((SPEC / "schema/event.schema.json").read_text())
    Draft202012Validator(schema).validate(dict(written))


def test_the_longest_event_is_65536_bytes_with_its_newline() -> None:
    room = event.LIMIT - 1 - len(build(body={"x": ""}).raw)
    assert len(build(body={"x": "a" * room}).raw) == event.LIMIT - 1
    with pytest.raises(ValueError, match="65,537 bytes, more than 65,536"):
        build(body={"x": "a" * (room + 1)})


def test_self_becomes_the_events_own_id_and_no_users_text_does() -> None:
    draft = {"refs": {"mine": SELF, "yours": str(b"$self", "ascii")}, "body": {"x": "$self"}}
    assert event.filled(draft, "ID") == {
        "refs": {"mine": "ID", "yours": "$self"},
        "body": {"x": "$self"},
    }


def test_annotations_are_added_to_the_stored_bytes() -> None:
    one = event.Event(b'{"a": 1, "unknown":[ 2 ]}\r', {"a": 1})
    assert one.annotated(dup=True).raw == b'{"a": 1, "unknown":[ 2 ],"$dup":true}'


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("claude-07", "agent:claude-07"),
        ("human:ada", "human:ada"),
        ("bridge:s.l_a-ck", "bridge:s.l_a-ck"),
    ],
)
def test_short_addresses_are_agents(text: str, full: str) -> None:
    assert event.address(text) == full


@pytest.mark.parametrize(
    "text",
    ["", "A", "robot:x", "agent:", "agent:-x", "agent:a b", "agent:" + "a" * 101, "é", "a:b:c"],
)
def test_other_forms_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        event.address(text)


@pytest.mark.parametrize("vector", vectors("names.jsonl"))
def test_an_address_is_good_or_not_and_has_one_file_form(vector: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator

    text, form = vector["address"], vector.get("file", "")
    schema = json.loads((SPEC / "schema/event.schema.json").read_text())
    assert Draft202012Validator(schema["$defs"]["agent_id"]).is_valid(text) == vector["good"]
    if not vector["good"]:
        with pytest.raises(ValueError):
            event.address(text)
        return
    assert event.address(text) == text
    assert event.file_form(text) == form == form.lower()
    assert form.replace("%2f", "/").replace(".", ":", 1) == text
    assert layout.segment(f"journal/{form}~k3f9x2ab/000000000001.jsonl")
    writer = Draft202012Validator(schema["properties"]["writer"])
    assert writer.is_valid(f"{form}~k3f9x2ab+live")
    assert len(f"{form}~k3f9x2ab+live!{'0' * 64}") <= 255


@pytest.mark.parametrize(
    "stream",
    ["agent.a/b", "agent.a%2fb%2f%2f", "agent.a%2Fb", "agent.%2fa", "agent.a%2f..", "agent..", "agent.",
     "agent.a%00b", "agent.a%2e%2e", "agent.a\0", "agent.A", "agent.a\n", "agent." + "a" * 201, "robot.a"],
)  # fmt: skip
def test_a_stream_with_a_hostile_name_is_no_part_of_a_store(stream: str) -> None:
    assert not layout.segment(f"journal/{stream}~k3f9x2ab/000000000001.jsonl")
    assert not layout.is_directory(f"journal/{stream}~k3f9x2ab")
