"""The fold of mail: recipients, deliveries from a queue, members of groups, in any order of events."""

from __future__ import annotations

from typing import Any

import pytest

from coord_envelope import BadData, Event, world
from coord_envelope.bodies import check_body
from coord_kernel.views.past import Snapshot
from coord_msg import draft, fold
from coord_msg.mail import Mail

Json = dict[str, Any]
MINUTE = 60_000
T0 = world.parse_ts("2026-01-02T00:00:00Z")
ME, QUEUE = ["agent:me"], ["queue:q"]


def at(minutes: float) -> str:
    return world.format_ts(T0 + int(minutes * MINUTE))


def event(
    event_id: str, type_: str = "msg.sent", agent: str = "agent:b", ts: str = at(0), **fields: Any
) -> Event:
    actor = {"agent_id": agent}
    return Event(
        b"", {"event_id": event_id, "type": type_, "ts": ts, "actor": actor, "body": {}, **fields}
    )


def about(
    event_id: str,
    verb: str,
    of: str,
    agent: str = "agent:me",
    ts: str = at(0),
    writer: str = "",
    **body: Any,
) -> Event:
    return event(event_id, f"msg.{verb}", agent, ts, refs={"msg_id": of}, writer=writer, body=body)


def acked(event_id: str, of: str, agent: str = "agent:me", **body: Any) -> Event:
    return about(event_id, "acked", of, agent, **{"kind": "done", **body})


def claimed(
    event_id: str, of: str, minutes: float, n: int, agent: str = "agent:me", vis: int = 10
) -> Event:
    return about(event_id, "claimed", of, agent, at(minutes), n=n, vis_ms=vis * MINUTE)


def mail(events: list[Event], minutes: float = 0) -> Mail:
    return Mail(
        Snapshot(fold, sorted(events, key=lambda event: event.id)), T0 + int(minutes * MINUTE)
    )


def waits_for(events: list[Event]) -> list[str]:
    """The addresses that message 1 waits for."""
    state = mail(events).state("1")
    assert state
    return fold.waits_for(state)


def ids(states: Any) -> list[str]:
    return [state["mail"]["id"] for state in states]


@pytest.mark.parametrize(
    ("waits", "events"),
    [
        ([], []),
        (["1"], [event("1", to=ME)]),
        (["1"], [event("1", "ci.failed", to=["agent:x", "agent:me"])]),
        ([], [event("1", to=["agent:x"])]),
        ([], [event("1", to=["all"])]),
        ([], [event("1", to=ME), acked("2", "1")]),
        (["1"], [event("1", to=ME), acked("2", "1", agent="agent:x")]),
        (["1"], [event("1", to=ME), acked("2", "1", kind="read")]),
        ([], [event("1", to=ME, body={"ack": "none"})]),
        ([], [event("1", to=ME, body={"expires_at": at(0)})]),
        (["1"], [event("1", to=ME, body={"expires_at": at(1)})]),
        (
            ["1"],
            [
                event("1", to=ME, body={"expires_at": 7, "ack": ["x"]}),
                event("2", to="agent:me"),
                acked("3", "9"),
            ],
        ),
        (["1", "2", "3"], [event(n, to=ME) for n in ("3", "1", "2")]),
        ([], [acked("1", "2"), event("2", to=ME)]),
        ([], [acked("2", "1"), acked("3", "1", kind="delivered"), event("1", to=ME)]),
        ([], [event("1", "msg.acked", to=ME, refs={"msg_id": "0"}, body={"kind": "done"})]),
        ([], [event("1", "msg.conceded", to=ME, refs={"msg_id": "0"}, body={"claim": "2"})]),
    ],
)
def test_a_message_waits_while_it_is_addressed_unacked_and_not_expired(
    waits: list[str], events: list[Event]
) -> None:
    assert ids(mail(events).waiting("agent:me")) == waits


def test_messages_with_one_key_are_one_message() -> None:
    """Sent with one key in two stores that had not met: the oldest is printed, an ack of any acks it."""
    same = [event(n, to=ME, idempotency_key="k") for n in ("1", "2")]
    assert ids(mail(same).waiting("agent:me")) == ["1"]
    assert ids(mail([*same, acked("3", "2")]).waiting("agent:me")) == []
    assert ids(
        mail([*same, event("3", "ci.failed", to=ME, idempotency_key="k")]).waiting("agent:me")
    ) == ["1", "3"]
    queue = [event(n, to=QUEUE, idempotency_key="k") for n in ("1", "2")]
    assert ids(mail(queue).queued("queue:q")) == ["1"]
    assert ids(mail([*queue, claimed("3", "2", 0, 1)], 1).queued("queue:q")) == []


GIVEN_BACK = about("3", "nacked", "1", ts=at(1), claim="2", delay_ms=MINUTE)
DELIVERIES = [claimed(f"1{n}", "1", 10 * n, n) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("minutes", "status", "events"),
    [
        (0, "waiting", []),
        (9.9, "claimed", [claimed("2", "1", 0, 1)]),
        (10, "waiting", [claimed("2", "1", 0, 1)]),
        (1, "waiting", [claimed("2", "1", 0, 1, vis=1)]),
        (15, "claimed", [claimed("2", "1", 0, 1), claimed("3", "1", 10, 2, "agent:x")]),
        (
            10,
            "claimed",
            [claimed("2", "1", 0, 1), claimed("3", "1", 5, 1)],
        ),  # the same delivery, for longer
        (
            15,
            "claimed",
            [claimed("3", "1", 10, 2), claimed("4", "1", 0, 1, "agent:x")],
        ),  # came late, and is past
        (1, "waiting", [claimed("2", "1", 20, 1)]),  # its clock runs ahead: hides nothing
        (
            1,
            "waiting",
            [claimed("2", "1", 0, 1), about("3", "nacked", "1", ts=at(1), claim="2", delay_ms=0)],
        ),
        (2, "waiting", [claimed("2", "1", 0, 1), GIVEN_BACK]),
        (59.9, "claimed", DELIVERIES),
        (60, "dead", DELIVERIES),
        (51, "dead", [*DELIVERIES, about("2", "nacked", "1", ts=at(51), claim="15", delay_ms=0)]),
        (60, "done", [*DELIVERIES, acked("2", "1", claim="11")]),  # late, by the first of them
        (20, "done", [claimed("2", "1", 0, 1), acked("3", "1", claim="2")]),
        (1, "waiting", [claimed("2", "1", 0, 1), about("3", "conceded", "1", claim="2")]),
        (1, "waiting", [about("0", "released", "1", claim="2"), claimed("2", "1", 0, 1)]),
        (
            1,
            "claimed",
            [
                claimed("2", "1", 0, 1),
                claimed("3", "1", 0, 1),
                about("4", "conceded", "1", claim="3"),
            ],
        ),
        (
            50,
            "waiting",
            [*DELIVERIES, about("2", "released", "1", claim="15")],
        ),  # it was no delivery
        (
            9.9,
            "claimed",
            [about("3", "confirmed", "1", writer="arbiter.main~a", claim="2")],
        ),  # whose claim comes later
        (10, "waiting", [about("3", "confirmed", "1", writer="arbiter.main~a", claim="2")]),
        (1, "waiting", [about("3", "confirmed", "1", writer="agent.x~a", claim="2")]),
        (1, "waiting", [about("3", "confirmed", "1", writer="arbiter.main~a", claim=7)]),
        (0, "waiting", [acked("3", "1", agent="agent:x")]),  # by an agent that never claimed it
        (20, "waiting", [about("2", "claimed", "1", ts="soon", n="x", vis_ms=-1)]),
    ],
)
def test_a_queue_delivers_what_is_not_claimed_done_or_dead(
    minutes: float, status: str, events: list[Event]
) -> None:
    box = mail([event("1", to=QUEUE), *events], minutes)
    state = box.state("1")
    assert state is not None
    assert box.status(state) == status
    assert ids(box.queued("queue:q")) == (["1"] if status == "waiting" else [])
    assert ids(box.dead()) == ids(box.dead("queue:q")) == (["1"] if status == "dead" else [])
    assert ids(box.dead("queue:x")) == ids(box.queued("queue:x")) == []


def test_a_message_nacked_with_a_delay_waits_and_is_not_delivered() -> None:
    box = mail([event("1", to=QUEUE), claimed("2", "1", 0, 1), GIVEN_BACK], 1)
    state = box.state("1")
    assert state is not None
    assert (box.status(state), box.holder(state), ids(box.queued("queue:q"))) == (
        "waiting",
        None,
        [],
    )


def test_a_redelivery_comes_after_older_messages_and_before_newer_ones() -> None:
    sent = [event(n, to=QUEUE, ts=at(minutes)) for n, minutes in (("1", 0), ("2", 5), ("3", 15))]
    box = mail([*sent, claimed("4", "1", 1, 1)], 20)
    assert ids(box.queued("queue:q")) == ["2", "1", "3"]


def test_next_ms_is_when_a_queue_delivers_something_again() -> None:
    events = [event("1", to=QUEUE), claimed("2", "1", 0, 1)]
    assert mail(events, 4).next_ms("queue:q") == 6 * MINUTE
    assert mail(events, 11).next_ms("queue:q") == mail([]).next_ms("queue:q") == float("inf")


def test_a_message_is_done_at_each_address_separately() -> None:
    sent = event("1", to=["agent:me", "human:ada", "queue:q"])
    by_me = [sent, acked("2", "1")]
    assert waits_for(by_me) == ["human:ada", "queue:q"]
    all_of_them = [
        *by_me,
        acked("3", "1", "human:ada"),
        claimed("4", "1", 0, 1),
        acked("5", "1", claim="4"),
    ]
    assert waits_for(all_of_them) == []


def updated(event_id: str, base: list[str], agent: str = "agent:me", **body: Any) -> Event:
    return event(event_id, "agent.updated", agent, base=base, body=body)


@pytest.mark.parametrize(
    ("members", "events"),
    [
        ([], []),
        (["agent:me"], [updated("1", [], add={"groups": ["g", "h"]})]),
        ([], [updated("1", [], add={"groups": ["g"]}), updated("2", ["1"], rm={"groups": ["g"]})]),
        (["agent:me"], [updated("1", [], rm={"groups": ["g"]}), updated("2", ["1"], add={"groups": ["g"]})]),
        (["agent:me"], [updated("1", [], add={"groups": ["g"]}), updated("2", [], rm={"groups": ["g"]})]),
        ([], [updated("9", [], add={"groups": ["g"]}), updated("2", ["9"], rm={"groups": ["g"]})]),  # a wrong clock
        (["agent:a", "agent:me"], [updated(n, [], f"agent:{n}", add={"groups": ["g"]}) for n in ("me", "a")]),
        ([], [updated("1", [], add={"groups": "g"}), updated("2", [], add=7), updated("3", [], add={"groups": [7]})]),
        (["agent:me"], [acked("0", "agent:me"), updated("1", [], add={"groups": ["g"]})]),  # an ack of no message
    ],
)  # fmt: skip
def test_the_members_of_a_group_are_those_who_joined_and_did_not_leave(
    members: list[str], events: list[Event]
) -> None:
    assert mail(events).members("g") == members


@pytest.mark.parametrize(
    "fields",
    [{}, {"to": []}, {"to": 7}, {"to": "robot:x"}, {"to": "a", "text": 7},
     {"to": "a", "subject": "ä" * 101}, {"to": "a", "bdy": "x"}, {"to": "a", "refs": []}, {"to": "a", "ack": "maybe"},
     {"to": "a", "max_deliveries": 0}, {"to": "a", "vis_ms": -1}, {"to": "a", "expires_at": "soon"}],
)  # fmt: skip
def test_a_bad_message_is_refused(fields: Json) -> None:
    with pytest.raises(BadData):
        draft.message(fields)


def test_a_forwarded_event_keeps_its_refs_and_its_key_is_of_id_and_recipients() -> None:
    origin = {
        "event_id": "E",
        "type": "ci.failed",
        "refs": {"work_id": "W"},
        "body": {"n": 1},
        "hops": 2,
    }
    origin["actor"] = {"agent_id": "agent:ci"}
    to_both, to_qa = (
        draft.forward(origin, {"to": ["qa", "dev"]}),
        draft.forward(origin, {"to": ["qa"]}),
    )
    assert to_both["body"] == {"subject": "ci.failed", "text": '{"n":1}'}
    assert (to_both["cause"], to_both["hops"], to_both["refs"]["work_id"]) == ("E", 3, "W")
    assert to_both == draft.forward(origin, {"to": ["agent:dev", "agent:qa"]})
    assert (to_both["to"], to_both["on_behalf_of"]) == (["agent:dev", "agent:qa"], "agent:ci")
    assert draft.forward(origin, {"to": ["qa"], "thread": "T"})["refs"]["thread_id"] == "T"
    assert to_both["idempotency_key"] != to_qa["idempotency_key"]


def test_an_expiry_is_stored_in_the_form_that_is_compared() -> None:
    message = draft.message({"to": "a", "expires_at": "2026-01-02T01:00:00+01:00"})
    assert message["body"] == {"expires_at": at(0)}
    check_body("msg.sent", message["body"])
