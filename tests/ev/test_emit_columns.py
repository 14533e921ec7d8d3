"""Many lines at once are checked and encoded by columns: same bytes, same refusals, same acks as one by one."""

from __future__ import annotations

import json
import random
import re
import sys
from typing import Any

import pytest
from support import Json, Shell, open_journal

from coord_envelope import codec, event, ids
from coord_envelope.bodies import check_body
from coord_envelope.errors import Fault
from coord_ev.draft import from_record
from coord_kernel.cli import stdin
from coord_kernel.journal import columns
from coord_kernel.views.index import Index

ACTOR = {"agent_id": "agent:tester", "session_id": "s"}
HEAD = ("acme", "agent.tester~00000000", 7)
NOW = 1_760_000_000_000
PIECES = (
    '{"type":"a.b","body":{}}',
    '{"type":"a.b","body":{"n":1,"text":"äß\\n\\u0001\\"","list":[1,2.5,-3,null,true,[],{}]}}',
    '{"body":{"n":0.1},"type":"ci.passed"}',
    '{"type":"a.b","idempotency_key":"k","body":{"e":"1e5"}}',
    '{"type": "a.b", "body": {"n": 1}}',
    '{"type":"a.b","body":{"n":1e5}}',
    '{"type":"a.b","body":{"n":1E+22}}',
    '{"type":"a.b","body":{"n":0.00001,"m":100000000000000000.0}}',
    '{"type":"a.b","body":{"n":12345678901234567890123}}',
    '{"type":"a.b","body":{"n":-0,"m":-0.0,"k":18446744073709551615}}',
    '{"type":"a.b","body":{"t":"\\ud800"}}',
    '{"type":"a.b","body":{"t":"\\u00e9\\/\\b\\f"}}',
    '{"type":"a.b","body":{"n":1,"n":2}}',
    '{"type":"a.b","type":"c.d","body":{}}',
    '{"type":"a.b","body":{"gen":3}}',
    '{"type":"work.created","body":{"title":"x"}}',
    '{"type":"A.b","body":{}}',
    '{"type":7,"body":{}}',
    '{"type":"a.b","body":[]}',
    '{"type":"a.b"}',
    '{"type":"a.b","body":{},"to":["agent:x"]}',
    '{"type":"a.b","body":{},"$dup":true}',
    '{"type":"a.b","body":{},"seq":1}',
    '{"type":"a.b","idempotency_key":"","body":{}}',
    '{"type":"a.b","idempotency_key":null,"body":{}}',
    '{"type":"a.b","idempotency_key":"a\\u0000b","body":{}}',
    '{"type":"a.b","body":{"x":NaN}}',
    '{"type":"a.b","body":' + '{"x":' * 130 + "1" + "}" * 131,
    '{"type":"a.b","body":{"x":"' + "y" * 50_000 + '"}}',
    '{"type":"a.b","body":{}},{"type":"a.b","body":{}}',
    '{"type":"a.b","body":{"a":"',
    '"}}',
    '{"type":"a.b","idempotency_key":"\\u001f\\"\\\\ä\u007f\u2028","body":{"n":1}}',
    '{"type":"a.b","idempotency_key":"é/\\t","body":{"idempotency_key":"k"}}',
    "[]",
    "7",
    "",
)  # fmt: skip


def one_by_one(raw: bytes, event_id: str, seq: int) -> bytes:
    """The line of the event, in the way of a single one. Raises ValueError, Fault."""
    draft = from_record(stdin.record(raw), ACTOR["agent_id"])
    check_body(str(draft.get("type")), draft["body"])
    event.check(draft)
    return event.build(draft, event_id, NOW, (*HEAD[:2], seq), ACTOR).raw


def compare(rows: list[bytes]) -> bool:
    """Are these lines taken by columns? Then each is what it is alone."""
    drafts = columns.read(rows)
    made = drafts and columns.lines(drafts, NOW << 16, NOW, HEAD, ACTOR)
    for number, raw in enumerate(made or ()):
        event_id = raw[13:39].decode()
        assert ids.valid(event_id) and ids.stamp_of(event_id) == (NOW << 16) + number
        try:
            assert raw == one_by_one(rows[number], event_id, HEAD[2] + number)
        except (ValueError, Fault) as reason:
            pytest.fail(f"{rows[number][:200]!r} is refused alone: {reason}")
    return bool(made)


@pytest.fixture(autouse=True)
def bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_fast", None)
    codec.bulk()


def test_each_line_alone_and_beside_a_plain_one() -> None:
    plain, taken = PIECES[0].encode(), []
    for piece in PIECES:
        raw = piece.encode()
        both = {compare([raw]), compare([plain, raw]), compare([raw, plain])}
        taken.append(both == {True})
    assert taken[:3] == [True, True, True] and taken[4], "or nothing is gained"
    assert sum(taken) < 12


@pytest.mark.parametrize("seed", range(4))
def test_mutated_lines(seed: int) -> None:
    chance, taken = random.Random(seed), 0
    alphabet = b'{}[]",:\\u0d8e1E+-. \tabn\x00\x7f\xc3\xa9'
    for _ in range(400):
        rows = []
        for _ in range(chance.randint(1, 3)):
            raw = bytearray(chance.choice(PIECES[:5] * 6 + PIECES[:27]).encode())
            for _ in range(chance.choice((0, 0, 1, 1, 2))):
                at = chance.randrange(len(raw) + 1)
                raw[at : at + chance.randint(0, 1)] = bytes([chance.choice(alphabet)])
            rows.append(bytes(raw).replace(b"\n", b""))
        taken += compare(rows)
    assert taken > 20


def test_bodies_with_any_numbers_and_texts() -> None:
    chance, taken = random.Random(5), 0
    for _ in range(300):
        body = {
            "float": chance.uniform(-1, 1) * 10 ** chance.randint(-8, 20),
            "int": chance.randint(-(10 ** chance.randint(1, 22)), 10 ** chance.randint(1, 22)),
            "text": "".join(
                chr(chance.choice((0, 9, 31, 65, 127, 233, 8232, 128512))) for _ in range(5)
            ),
        }
        del body[chance.choice(list(body))]
        draft: Json = {"type": "a.b", "body": body}
        compact = json.dumps(draft, ensure_ascii=chance.random() < 0.5, separators=(",", ":"))
        taken += compare([compact.encode()]) + compare([json.dumps(draft).encode()])
    assert taken > 100


def test_the_ids_are_random_and_in_order() -> None:
    parts = columns.event_ids((NOW << 16) + 50, 1_000)
    made = [b"".join(each).decode() for each in zip(*parts, strict=True)]
    assert made == sorted(set(made)) and all(map(ids.valid, made))
    for place in range(13, 26):
        digits = {event_id[place] for event_id in made}
        assert digits == set(ids.CROCKFORD), place


MASK = re.compile(rb'"event_id":"\w{26}"|~\w{8}"')


def both_ways(shell: Shell, data: bytes, options: str = "") -> tuple[Shell, list[str], list[str]]:
    """Output and errors of `ev emit`, by columns and one by one, in two stores."""
    slow = f'{sys.executable} -c "from coord_ev import cli; cli.MANY = 10**9; cli.main()" emit {options}'
    results = []
    for name, command in (("columns", f"ev emit {options}"), ("single", slow)):
        env: dict[str, Any] = {
            "COORD_DIR": f"{shell.cwd}/{name}",
            "COORD_NOW": "2026-01-02T03:04:05Z",
        }
        shell(f"mkdir {name} && ev init", **env)
        done = shell(command, stdin=data, expect=None, **env)
        out = MASK.sub(b"", done.out.encode()).decode()
        stored = MASK.sub(b"", shell("ev replay", **env).out.encode()).decode()
        err = re.sub(r"\b[0-9A-Z]{26}\b", "ID", done.err).replace("-c: ", "ev: ")
        results.append([str(done.status), err, out, stored])
        assert shell("ev verify", **env).status == 0
    assert results[0] == results[1]
    return shell, results[0], results[1]


def test_a_command_says_and_stores_the_same(shell: Shell) -> None:
    chance, rows = random.Random(1), list[str]()
    for number in range(2_600):
        body = {"n": number, "text": "x" * chance.randrange(80)}
        draft: Json = {"type": chance.choice(("a.b", "ci.passed")), "body": body}
        if number // 500 == 2:
            draft["idempotency_key"] = f"k{number}"
        rows.append(json.dumps(draft, separators=(",", ":")))
    rows[700] = "not JSON"
    rows[701] = '{"type":"a.b","body":{"token":"ghp_' + "a" * 36 + '"}}'
    rows[1_600] = rows[1_100]  # a key twice
    rows[1_601] = rows[1_101].replace('"n":', '"m":')  # and for something else
    rows[2_200] = ""
    rows[2_201] = '{"type":"a.b","body":{"text":"' + "long" * 15_000 + '"}}'
    _, result, _ = both_ways(shell, "\n".join(rows).encode())
    status, err, out, stored = result
    assert status == "65" and [word in err for word in ("line 701:", "line 702:", "line 1602:")]
    assert out.count("\n") == 2_600 - 4 and stored.count("\n") == 2_600 - 5


def test_ids_and_tables_are_printed_as_ever(shell: Shell) -> None:
    rows = b'{"type":"a.b","body":{}}\n' * 1_500
    done = shell("ev emit -o id", stdin=rows)
    assert done.out.split() == [each["event_id"] for each in shell("ev replay").lines]


def test_a_full_disk_acknowledges_what_is_there(shell: Shell) -> None:
    rows = b'{"type":"a.b","body":{"text":"%s"}}\n' % (b"x" * 300) * 2_000
    done = shell("ulimit -f 300; trap '' XFSZ; ev emit", stdin=rows, expect=74)
    assert "events were written" in done.err
    assert 0 < len(done.lines) < 2_000
    assert done.lines == shell("ev replay").lines
    assert shell("ev emit", stdin=rows).out.count("\n") == 2_000


def keyed_block(*keys: str) -> columns.Drafts:
    rows = [b'{"type":"a.b","idempotency_key":"%b","body":{}}' % key.encode() for key in keys]
    codec.bulk()
    drafts = columns.read(rows)
    assert drafts
    return drafts


@pytest.mark.parametrize("other", ["agent:tester", "agent:other"])
def test_keys_of_others_are_seen_between_blocks_and_own_ones_without_the_index(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    journal, elsewhere = open_journal(shell.cwd), open_journal(shell.cwd)
    with journal.transaction(ACTOR) as t:
        assert t.add_block(keyed_block("a", "b"))
    with monkeypatch.context() as patch:
        patch.setattr(Index, "refresh", None)
        with journal.transaction(ACTOR) as t:
            assert t.add_block(keyed_block("c"))
            assert t.add_block(keyed_block("b")) is None
    elsewhere.append({"agent_id": other}, [{"type": "a.b", "idempotency_key": "x", "body": {}}])
    with journal.transaction(ACTOR) as t:
        for key in "abcx":
            assert t.add_block(keyed_block(key)) is None
            assert "$dup" in t.add({"type": "a.b", "idempotency_key": key, "body": {}})


def test_a_block_that_was_not_written_leaves_no_key(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    with journal.transaction(ACTOR) as t:
        assert t.add_block(keyed_block("a"))
    with pytest.raises(KeyboardInterrupt), journal.transaction(ACTOR) as t:
        assert t.add_block(keyed_block("b"))
        raise KeyboardInterrupt
    with journal.transaction(ACTOR) as t:
        assert t.add_block(keyed_block("a")) is None
        assert t.add_block(keyed_block("b"))


@pytest.mark.parametrize("order", ["{t},{k},{b}", "{t},{b},{k}", "{k},{t},{b}"])
def test_a_key_of_any_text_is_written_as_it_is_alone(order: str) -> None:
    for key in ("k", "ä\u2028\x7f", '"\\', "\x1f\t", "é" * 200, "body"):
        parts = {"t": '"type":"a.b"', "b": '"body":{"idempotency_key":"x"}'}
        parts["k"] = '"idempotency_key":' + json.dumps(key, ensure_ascii=False)
        raw = ("{" + order.format(**parts) + "}").encode()
        assert compare([raw, raw])
