"""Statements, chains and allowed_signers as text; what a name may be; what an unsigned event is to a fold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import SPEC, Json

from coord_envelope import Event
from coord_kernel.rules import claims, signing, trust
from coord_kernel.rules.signing import Claimed, RefusedError, Signers, Statement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.rules.signing import Chain

ADA, NEW, MAL = ("ssh-ed25519 " + letter * 60 for letter in "ANM")
REPLICA = "k3f9x2ab"
STREAM = f"bridge.signer~{REPLICA}"
FILE = Claimed(f"journal/agent.ada~{REPLICA}/000000000001.jsonl", 0, 10, "0" * 64)
SIGNERS = f"agent:ada,agent:ada-* {ADA} ada's laptop\nagent:mal {MAL}\n"


def vectors(kind: str) -> list[Json]:
    lines = (SPEC / "vectors/trust.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["of"] == kind]


def made(previous: Statement | None = None, key: str = ADA, at: int = 0, **more: str) -> Statement:
    head = {
        "project": "acme",
        "replica": REPLICA,
        "time": f"2026-01-{at + 1:02}T00:00:00.000Z",
        "previous": previous.digest if previous else "-",
        "key": key,
        **more,
    }
    return signing.read({"statement": signing.text(head, [FILE]), "signature": "s"})


def taken(
    *statements: Statement, signers: str = SIGNERS, project: str = "acme", stream: str = STREAM
) -> dict[str, Chain]:
    """The chains up to each of these, by its digest. Raises RefusedError."""
    known, chains = Signers(signers), dict[str, Any]()
    if signing.sound(statements, known) < len(statements):
        raise RefusedError("its key was revoked", later=True)
    for statement in statements:
        before = chains.get(statement.previous)
        chains[statement.digest] = signing.follows(statement, before, known, project, stream)
    return chains


@pytest.mark.parametrize("vector", vectors("match"), ids=str)
def test_a_pattern_of_principals_matches_as_ssh_has_it(vector: Json) -> None:
    assert trust.principal([vector["patterns"]], vector["name"]) == vector["by"]


@pytest.mark.parametrize("vector", vectors("signers"), ids=str)
def test_a_line_of_allowed_signers_is_read_or_its_fault_is_named(vector: Json) -> None:
    signers = Signers(vector["line"])
    assert bool(signers.faults) is ("fault" in vector)
    if "fault" in vector:
        assert vector["fault"] in signers.faults[0]
    for time, principals in vector.get("at", {}).items():
        assert signers.principals(ADA, time) == principals


@pytest.mark.parametrize("vector", vectors("statement"), ids=str)
def test_a_statement_is_read_or_refused(vector: Json) -> None:
    body = {"statement": vector["text"]}
    if "fault" in vector:
        with pytest.raises(ValueError, match=vector["fault"]):
            signing.read(body)
        return
    statement = signing.read(body)
    assert statement.digest == vector["digest"]
    assert [list(claimed) for claimed in statement.files] == vector["files"]


def test_statements_that_follow_each_other_are_a_chain() -> None:
    first = made()
    second = made(first, at=1)
    chain = taken(first, second)[second.digest]
    assert chain == {"key": ADA, "root": ADA, "tip": second.digest, "time": second.time}


def test_a_chain_divides_where_a_disk_was_put_back_and_both_parts_count_in_any_order() -> None:
    one, other = made(FIRST, at=3), made(FIRST, at=2)
    assert taken(FIRST, one, other) == taken(FIRST, other, one) == taken(FIRST, one, other, FIRST)


FIRST = made()
SECOND = made(FIRST, at=2)
REFUSED: dict[str, tuple[list[Statement], str, dict[str, Any]]] = {
    "left out": ([FIRST, made(SECOND, at=3)], "does not follow", {}),
    "reordered": ([SECOND, FIRST], "does not follow", {}),
    "without its beginning": ([SECOND], "does not follow", {}),
    "back in time": ([FIRST, SECOND, made(SECOND, at=1)], "older than the one before", {}),
    "of another project": ([FIRST], "of project acme", {"project": "other"}),
    "of another replica": ([FIRST], "of replica", {"stream": "bridge.signer~00000000"}),
    "in another stream": ([FIRST], "of replica", {"stream": f"agent.ada~{REPLICA}"}),
    "by a key that nobody knows": ([made(key=NEW)], "not in allowed_signers", {}),
    "by another's key": ([FIRST, made(FIRST, MAL, 1)], "not by the key of its chain", {}),
    "by the old key after its rotation": (
        [made(next=NEW), made(made(next=NEW), at=1)],
        "not by the key of its chain",
        {},
    ),
    "expired": (
        [FIRST, SECOND],
        "not valid at 2026-01-03",
        {"signers": f'agent:ada valid-before="20260102Z" {ADA}'},
    ),
    "too early": ([FIRST], "not valid", {"signers": f'agent:ada valid-after="20270101" {ADA}'}),
    "revoked": ([FIRST], "revoked", {"signers": f"{SIGNERS}@revoked {ADA}"}),
    "revoked, behind the last good one": (
        [FIRST, SECOND],
        "revoked",
        {"signers": f"{SIGNERS}@revoked {ADA} {REPLICA}={FIRST.digest}"},
    ),
    "revoked, good elsewhere": (
        [FIRST],
        "revoked",
        {"signers": f"{SIGNERS}@revoked {ADA} 00000000={FIRST.digest}"},
    ),
    "made for git": ([FIRST], "allowed_signers", {"signers": f'agent:ada namespaces="git" {ADA}'}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_statement_that_does_not_fit_is_refused(what: str) -> None:
    statements, why, where = REFUSED[what]
    with pytest.raises(RefusedError, match=why):
        taken(*statements, **where)


def test_a_rotated_key_writes_as_the_one_before_it_and_may_rotate_again() -> None:
    first = made(next=NEW)
    second = made(first, NEW, 1, next=MAL)
    third = made(second, MAL, 2)
    chain = taken(first, second, third)[third.digest]
    assert (chain["root"], chain["key"]) == (ADA, MAL)


def test_a_revoked_key_keeps_what_it_had_signed_up_to_the_last_good_statement() -> None:
    signers = f"{SIGNERS}@revoked {ADA} {REPLICA}={SECOND.digest}"
    assert taken(FIRST, SECOND, signers=signers)
    known = Signers(signers)
    assert signing.sound([FIRST, SECOND, made(SECOND, at=3)], known) == 2
    assert signing.sound([FIRST, made(FIRST, at=3), SECOND], known) == 1, "beside it"


def test_who_names_anothers_key_as_its_next_one_does_not_stop_that_one() -> None:
    theft = made(key=MAL, next=ADA)
    chains = taken(theft, FIRST, SECOND)
    assert chains[SECOND.digest]["root"] == ADA


def test_an_unsigned_event_that_decides_is_inert_and_one_that_says_something_is_marked() -> None:
    def event(kind: str) -> Event:
        fields = {"type": kind, "event_id": "y", "body": {"claim": "x"}}
        return Event(b"raw", fields, "agent.a~00000000")

    for kind in ("work.claimed", "work.closed", "lease.confirmed", "run.requested", "my.own.type"):
        shown = trust.demoted(event(kind))
        assert shown["type"] == f"{kind.partition('.')[0]}.unsigned"
        assert (shown["$type"], shown["$trust"], shown.raw) == (kind, "unsigned", b"raw")
        assert shown["type"].rpartition(".")[2] not in claims._VERBS
    for kind in trust.SAYS - {"work.created"}:
        assert trust.demoted(event(kind))["type"] == kind
    assert trust.demoted(event("work.created"))["type"] == "work.unsigned", "about another item"
    own = Event(b"", {"type": "work.created", "event_id": "x", "refs": {"work_id": "x"}})
    assert trust.demoted(own)["type"] == "work.created"


def test_an_unsigned_event_does_not_stand_beside_a_signed_one_of_its_id() -> None:
    def event(name: str, **fields: str) -> Event:
        return Event(b"", {"event_id": name, **fields})

    forged, true, alone = event("1", **{"$trust": "unsigned"}), event("1"), event("2")
    other = event("3", **{"$trust": "unsigned"})
    assert trust.believed([forged, true, alone, other]) == [true, alone, other]


def test_levels_of_trust_are_in_order_and_what_is_unknown_is_the_least() -> None:
    values = ["unsigned", "synced", "bridge", "signed:agent:ada", "store", "self"]
    assert [trust.level(value) for value in values] == list(range(6))
    assert trust.level("selfish") == 0
    assert trust.wanted("signed:human:ada", ["store", "signed:human:*"])
    assert trust.wanted("signed:x", ["signed"]) and not trust.wanted("unsigned", ["signed"])
