"""Which trace an event belongs to: a table, and a job whose child is in its trace."""

from __future__ import annotations

import pytest
from support import Json, Shell

from coord_kernel.rules import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ITEM, THREAD, CAUSE, OWN = (f"01KF4QBCFS000DHT52RH6PKM{n:02}" for n in range(4))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (PARENT, True),
        (PARENT.replace("00-", "cc-", 1) + "-what-a-later-version-adds", True),
        (PARENT + "-x", False),
        (PARENT.replace("00-", "ff-", 1), False),
        (PARENT.upper(), False),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", False),
        (PARENT.replace("-", "- ", 1), False),
        ("x" * 100_000, False),
        ("", False),
        (None, False),
        ({"a": 1}, False),
    ],
)
def test_a_traceparent_is_taken_if_it_is_valid(text: object, good: bool) -> None:
    assert bool(tracing.parsed(text)) is good


def event(actor: Json | None = None, **fields: object) -> Json:
    return {"event_id": OWN, "actor": {"agent_id": "agent:ada"} | (actor or {})} | fields


@pytest.mark.parametrize(
    ("given", "about"),
    [
        (event(refs={"work_id": ITEM, "thread_id": THREAD}, cause=CAUSE), ITEM),
        (event(refs={"thread_id": THREAD}, cause=CAUSE), THREAD),
        (event(cause=CAUSE), CAUSE),
        (event(), OWN),
        (event(refs="x", cause=3), OWN),
        (event({"traceparent": "bad"}), OWN),
        (event({"traceparent": 3}), OWN),
    ],
)
def test_an_event_is_of_the_trace_of_what_it_is_about(given: Json, about: str) -> None:
    assert tracing.context(given) == (tracing.trace_of(about), None)


def test_the_span_of_its_writer_goes_before_what_it_is_about() -> None:
    inside = event({"traceparent": PARENT}, refs={"work_id": ITEM})
    assert tracing.context(inside) == (PARENT[3:35], PARENT[36:52])


def test_ids_are_bits_of_event_ids_and_digests_of_foreign_ones() -> None:
    assert tracing.trace_of("7" + "Z" * 25) == "f" * 32
    assert tracing.span_of("7" + "Z" * 25) == "f" * 16
    assert tracing.trace_of("0" * 26).strip("0") and tracing.span_of("0" * 26).strip("0")
    assert tracing.trace_of("github#12") == tracing.trace_of("github#12") != tracing.trace_of("x")
    header = tracing.traceparent(tracing.trace_of(ITEM), CAUSE)
    assert tracing.parsed(header) == (tracing.trace_of(ITEM), tracing.span_of(CAUSE))


def test_a_job_its_child_and_a_job_of_that_are_of_one_trace(shell: Shell) -> None:
    inner = "run exec --env COORD_AGENT=bob -- sh -c 'wk new child'"
    shell(f'run exec --env COORD_AGENT=ada -- sh -c "{inner}"', TRACEPARENT=PARENT)
    events = shell("ev replay --type run.claimed --type run.requested --type work.created").lines
    traced = [tracing.parsed(each["actor"].get("traceparent")) for each in events]
    assert {each[0] for each in traced if each} == {PARENT[3:35]}
    outer, inner_job = (each for each in events if each["type"] == "run.claimed")
    (child,) = (each for each in events if each["type"] == "work.created")
    assert tracing.context(outer)[1] == PARENT[36:52]
    assert tracing.context(inner_job)[1] == tracing.span_of(outer["event_id"])
    assert tracing.context(child)[1] == tracing.span_of(inner_job["event_id"])


def test_a_job_of_an_item_is_of_its_trace(shell: Shell) -> None:
    work = shell("wk new x -o id").out.strip()
    printed = shell(f"run exec --work {work} -- printenv TRACEPARENT").out.strip()
    (claim,) = shell("ev replay --type run.claimed").lines
    assert printed == tracing.traceparent(tracing.trace_of(work), claim["event_id"])
    assert "traceparent" not in claim["actor"]
