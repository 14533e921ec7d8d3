"""Which events of a store are signed: statements matched with bytes, wherever these are kept here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from coord_envelope import Event, event, ids
from coord_kernel.rules import signing
from coord_kernel.rules.signing import Claimed, Statement
from coord_kernel.store.directory import Store
from coord_kernel.streams.redaction import Redactions
from coord_kernel.streams.stream import Stream
from coord_kernel.streams.trusted import Trusted
from coord_kernel.sync import seat as seats
from coord_kernel.sync.signed.judge import Judge
from coord_kernel.views.index import Index

ADA, MAL = ("ssh-ed25519 " + letter * 60 for letter in "AM")
REPLICA = "k3f9x2ab"
NAME, SIGNER = f"agent.ada~{REPLICA}", f"bridge.signer~{REPLICA}"
FILE = "000000000001.jsonl"
SIGNERS = f"agent:ada {ADA}\nagent:mal {MAL}\n"


def line(number: int, text: str = "", writer: str = NAME, agent: str = "agent:ada") -> bytes:
    stamp = (1_700_000_000_000 + number) << 16
    head = ("acme", writer, number)
    draft = {"type": "a.b", "body": {"text": text}}
    built = event.build(draft, ids.mint(stamp, b"%08d" % number), 0, head, {"agent_id": agent})
    return built.raw + b"\n"


def put(store: Store, stream: str, data: bytes, file: str = FILE) -> None:
    """Append to a file of the journal, as a sync does."""
    path = Path(store.path) / "journal" / stream
    path.mkdir(exist_ok=True, parents=True)
    with open(path / file, "ab") as out:
        out.write(data)


class Ada:
    """A writer elsewhere: her stream's bytes, and her chain of statements."""

    def __init__(
        self, key: str = ADA, stream: str = SIGNER, file: str = f"journal/{NAME}/{FILE}"
    ) -> None:
        self.file = file
        self.key, self.data, self.signed, self.previous, self.said = key, b"", 0, "-", 0
        self.stream = stream

    def writes(self, *numbers: int) -> bytes:
        new = b"".join(map(line, numbers))
        self.data += new
        return new

    def signs(self, signature: str = "good", **more: str) -> bytes:
        """The line of a statement over what is new."""
        end = len(self.data)
        claimed = Claimed(self.file, self.signed, end, _sha(self.data))
        head = {
            "project": "acme",
            "replica": REPLICA,
            "time": f"2026-01-01T00:00:{self.said:02}.000Z",
            "previous": self.previous,
            "key": self.key,
            **more,
        }
        body = {"statement": signing.text(head, [claimed]), "signature": signature}
        self.previous, self.signed = signing.read(body).digest, end
        self.said += 1
        stamp = (1_700_000_000_000 + self.said) << 16
        head = ("acme", SIGNER, self.said)  # type: ignore[assignment]
        actor = {"agent_id": "bridge:signer"}
        mark = b"%08d" % self.said
        draft: Any = {"type": signing.TYPE, "body": body}
        return event.build(draft, ids.mint(stamp, mark), 0, head, actor).raw + b"\n"  # type: ignore[arg-type]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(repo: Path) -> Store:
    (repo / ".coord").mkdir(mode=0o700)
    store = Store(str(repo / ".coord"), "acme", new=True)
    store.save(SIGNERS.encode(), "local", ".git", "allowed_signers")
    return store


VERIFIED: list[str] = []


def verify(statement: Statement) -> bool:
    VERIFIED.append(statement.digest)
    return statement.signature == "good"


def judged(store: Store) -> list[str]:
    VERIFIED.clear()
    judge = Judge(store, verify)
    judge.run()
    return judge.warnings


def signed(store: Store, *streams: str) -> list[int]:
    """The seqs that somebody has signed, in these streams of the writer."""
    trusted = Trusted(store).refresh()
    lines = [line for name in streams or (NAME,) for line in Stream(store, "journal", name).read()]
    return [item["seq"] for item in lines if isinstance(item, Event) and not trusted.unsigned(item)]


def test_what_a_statement_covers_is_signed_and_what_follows_it_is_not(store: Store) -> None:
    ada = Ada()
    put(store, NAME, ada.writes(1, 2))
    put(store, SIGNER, ada.signs())
    put(store, NAME, line(3, "forged"))
    assert judged(store) == [] and signed(store) == [1, 2]


def test_a_statement_may_come_before_the_bytes_or_after_them(store: Store) -> None:
    ada = Ada()
    data = ada.writes(1, 2)
    put(store, SIGNER, ada.signs())
    judged(store)
    put(store, NAME, data)
    judged(store)
    era = Trusted(store).refresh().era
    assert signed(store) == [1, 2]
    put(store, NAME, ada.writes(3))
    judged(store)
    assert signed(store) == [1, 2] and Trusted(store).refresh().era == era
    put(store, SIGNER, ada.signs())
    judged(store)
    assert signed(store) == [1, 2, 3]
    assert Trusted(store).refresh().era != era, "a view that has folded 3 is made again"


def test_one_signature_proves_all_before_it_and_is_verified_once(store: Store) -> None:
    ada = Ada()
    for number in range(1, 40):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs("" if number % 3 else "good"))
    judged(store)
    assert len(VERIFIED) == 1 and signed(store) == list(range(1, 40))
    judged(store)
    assert VERIFIED == []
    put(store, NAME, ada.writes(40))
    put(store, SIGNER, ada.signs(""))
    judged(store)
    assert signed(store)[-1] == 39, "no signature has come that proves it"


@pytest.mark.parametrize("good", [0, 1, 7, 20])
def test_forged_statements_behind_good_ones_are_refused_and_found_by_bisection(
    store: Store, good: int
) -> None:
    ada = Ada()
    for number in range(1, 31):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs("good" if number <= good else "forged"))
    (warning,) = judged(store)
    assert "has no good signature; refused" in warning
    assert signed(store) == list(range(1, good + 1)) and len(VERIFIED) <= 6
    assert judged(store) == [] and VERIFIED == [], "refused for good"


def test_lines_that_were_put_before_the_writers_own_leave_these_signed_in_a_fork(
    store: Store,
) -> None:
    """Whoever can push can put lines behind a stream; what its writer adds then comes as a fork."""
    ada = Ada()
    put(store, NAME, ada.writes(1, 2))
    put(store, SIGNER, ada.signs())
    put(store, NAME, line(3, "forged") + line(4, "forged"))
    put(store, SIGNER, b'{"forged":"statement"}\n')
    judged(store)
    more = ada.writes(3, 4)
    fork = f"{NAME}!{_sha(more[: more.index(b'}}' + chr(10).encode()) + 2])}"
    put(store, fork, more, "000000000003.jsonl")
    statement = ada.signs()
    put(store, f"{SIGNER}!{_sha(statement[:-1])}", statement, "000000000002.jsonl")
    judged(store)
    assert signed(store) == [1, 2] and signed(store, fork) == [3, 4]
    put(store, fork, ada.writes(5), "000000000003.jsonl")
    judged(store)
    assert signed(store, fork) == [3, 4]


def test_the_same_line_in_two_streams_is_signed_if_it_is_in_one(store: Store) -> None:
    """A line that is no event before it makes a copy of which no digest fits."""
    ada = Ada()
    data = ada.writes(1)
    put(store, NAME, b"not an event\n" + data)
    put(store, f"{NAME}!{_sha(data[:-1])}", data)
    put(store, SIGNER, ada.signs())
    judged(store)
    assert signed(store) == [1]


def test_many_ranges_of_two_keys_are_each_found_and_joined(store: Store) -> None:
    judge = Judge(store, verify)
    for who in (0, 1):
        for seq in [*range(1 + who, 41, 4), *range(3 + who, 41, 4)]:
            judge._cover(NAME, (seq, seq), who, {})
    ranges = judge.table["ranges"][NAME]
    assert ranges["0"] == [[seq, seq] for seq in range(1, 41, 2)]
    judge._cover(NAME, (2, 20), 0, {})
    assert ranges["0"] == [[1, 21], *([seq, seq] for seq in range(23, 41, 2))]
    assert ranges["1"] == [[seq, seq] for seq in range(2, 41, 2)]


def test_a_key_signs_for_its_principals_only(store: Store) -> None:
    mal = Ada(MAL)
    put(store, NAME, mal.writes(1))
    put(store, SIGNER, mal.signs())
    assert judged(store) == [] and signed(store) == []
    (item,) = (item for item in Stream(store, "journal", NAME).read() if isinstance(item, Event))
    assert Trusted(store).refresh().of(item) == "unsigned"


def test_a_statement_about_other_bytes_covers_nothing(store: Store) -> None:
    ada = Ada()
    ada.writes(1)
    put(store, SIGNER, ada.signs())
    put(store, NAME, line(1, "other bytes"))
    assert judged(store) == [] and signed(store) == []


@pytest.mark.parametrize("of", ["project", "replica"])
def test_a_statement_that_was_taken_elsewhere_says_nothing(store: Store, of: str) -> None:
    ada = Ada()
    put(store, NAME, ada.writes(1, 2))
    put(store, SIGNER, ada.signs(**{of: "00000000"}))
    (warning,) = judged(store)
    assert f"is of {of} 00000000; refused" in warning and signed(store) == []


def test_agreeing_to_other_signers_judges_everything_anew(store: Store) -> None:
    ada = Ada()
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    judged(store)
    era = Trusted(store).refresh().era
    store.save(f"agent:mal {MAL}\n".encode(), "local", ".git", "allowed_signers")
    judged(store)
    assert signed(store) == [] and Trusted(store).refresh().era != era
    store.save(SIGNERS.encode(), "local", ".git", "allowed_signers")
    judged(store)
    assert signed(store) == [1]


def test_a_file_that_became_shorter_is_judged_anew(store: Store) -> None:
    ada = Ada()
    put(store, NAME, ada.writes(1, 2))
    put(store, SIGNER, ada.signs())
    judged(store)
    path = Path(store.path) / "journal" / NAME / FILE
    path.write_bytes(line(1))
    judged(store)
    put(store, NAME, line(2, "another second line"))
    judged(store)
    assert signed(store) == []


def test_without_a_table_nothing_of_others_is_signed_and_nothing_is_hidden(store: Store) -> None:
    put(store, NAME, Ada().writes(1))
    trusted = Trusted(store).refresh()
    assert trusted.end(Stream(store, "journal", NAME)) is None and signed(store) == []


def test_what_a_remote_gives_of_a_stream_that_was_this_stores_is_not_its_own(store: Store) -> None:
    from coord_kernel.streams import trusted

    with store.lock():
        own = f"agent.ada~{store.replica()}"
    put(store, own, line(1, writer=own) + line(2, writer=own))
    with store.lock():
        store.renew_replica()
        trusted.begin_of_others(store, own, 2)
    judged(store)
    assert signed(store, own) == [1]
    put(store, own, line(3, writer=own))
    assert Trusted(store).refresh().end(Stream(store, "journal", own)) == 2, "3 was not judged"


def test_a_statement_that_was_refused_does_not_stop_what_its_author_signs_with_another_key(
    store: Store,
) -> None:
    """Ada signed twice with an expired key, and goes on in the same stream with a new one."""
    ada = Ada()
    expiring = f'agent:ada valid-before="20260101000001Z" {ADA}\nagent:ada {MAL}\n'
    store.save(expiring.encode(), "local", ".git", "allowed_signers")
    for number in (1, 2, 3):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs())
    late, behind = judged(store)
    assert "was not valid at" in late and "follows a refused statement" in behind
    assert signed(store) == [1] and judged(store) == []

    ada.key, ada.previous, ada.signed = MAL, "-", 0
    for number in (4, 5):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs())
        assert judged(store) == [] and signed(store) == list(range(1, number + 1))
        assert len(VERIFIED) == 1
    put(store, NAME, line(6, "forged"))
    assert judged(store) == [] and signed(store)[-1] == 5
    Judge(store, verify).begin()
    assert signed(store) == [1, 2, 3, 4, 5]


def test_a_later_good_statement_of_its_chain_heals_one_without_a_good_signature(
    store: Store,
) -> None:
    """So whoever judges one after the other comes to what a late clone does."""
    ada = Ada()
    for number, signature in enumerate(("good", "bad", "good"), 1):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs(signature))
        warnings = judged(store)
        assert bool(warnings) is (signature == "bad")
    assert signed(store) == [1, 2, 3]


@pytest.mark.parametrize("hostile", ["bad", "no previous", "other previous", "no statement"])
def test_a_hostile_statement_between_good_ones_blocks_no_later_one(
    store: Store, hostile: str
) -> None:
    """In the same stream, as whoever takes its ref over may have it."""
    ada, mal = Ada(), Ada()
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    mal.previous = {"no previous": "-", "other previous": "0" * 64}.get(hostile, ada.previous)
    mal.said, mal.data = 5, ada.data + line(9, "forged")
    forged = mal.signs("bad")
    put(store, SIGNER, b'{"no":"event"}\n' if hostile == "no statement" else forged)
    judged(store)
    ada.said = 9  # behind it
    for number in (2, 3):
        put(store, NAME, ada.writes(number))
        put(store, SIGNER, ada.signs())
        assert judged(store) == [] and signed(store) == list(range(1, number + 1))
        assert len(VERIFIED) == 1, "what was bad is not verified again"
    assert judged(store) == [] and VERIFIED == []


def test_what_follows_a_stolen_key_s_rotation_counts_neither_when_it_comes_later(
    store: Store,
) -> None:
    ada = Ada()
    new = "ssh-ed25519 " + "N" * 60
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs(next=MAL))
    stolen = ada.previous
    text = f"agent:ada {ADA}\nagent:ada {new}\n@revoked {ADA}\n"
    store.save(text.encode(), "local", ".git", "allowed_signers")
    assert judged(store) == []
    ada.key, ada.previous, ada.signed = new, "-", 0
    put(store, SIGNER, ada.signs())
    assert judged(store) == [] and signed(store) == [1]
    ada.key, ada.previous = MAL, stolen  # the thief goes on
    put(store, NAME, ada.writes(2))
    put(store, SIGNER, ada.signs())
    assert judged(store) == [] and signed(store) == [1]


def redacting(number: int, target: str) -> bytes:
    head = ("acme", NAME, number)
    draft: Any = {"type": "coord.redacted", "body": {"target": target, "reason": "secret"}}
    stamp = (1_700_000_000_000 + number) << 16
    made = event.build(draft, ids.mint(stamp, b"%08d" % number), 0, head, {"agent_id": "agent:ada"})
    return made.raw + b"\n"


def test_a_redaction_counts_once_somebody_who_may_has_signed_it(store: Store) -> None:
    ada, redactions = Ada(), Redactions(store)
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    target = event.parse(ada.data.split(b"\n")[0]).id
    line_ = redacting(2, target)
    put(store, NAME, line_)
    judged(store)
    assert redactions.refresh().targets == {} == Redactions(store).refresh().targets
    ada.data += line_
    put(store, SIGNER, ada.signs())
    judged(store)
    assert redactions.refresh().targets.keys() == {target}
    assert Redactions(store).refresh().targets == redactions.targets
    store.save(f"agent:mal {MAL}\n".encode(), "local", ".git", "allowed_signers")
    judged(store)
    assert redactions.refresh().targets == {} == Redactions(store).refresh().targets


def test_a_redaction_in_a_stream_of_this_store_needs_no_signature(store: Store) -> None:
    with store.lock():
        replica = store.replica()
    own = f"agent.ada~{replica}"
    target = event.parse(line(1).rstrip()).id
    put(store, NAME, line(1))
    put(store, own, redacting(2, target).replace(NAME.encode(), own.encode()))
    assert Redactions(store).refresh().targets.keys() == {target}


def test_a_key_of_idempotency_is_the_first_signed_events(store: Store) -> None:
    def keyed(number: int, writer: str = NAME) -> bytes:
        draft: Any = {"type": "a.b", "body": {}, "idempotency_key": "k"}
        mark, head = (
            ids.mint((1_700_000_000_000 + number) << 16, b"%08d" % number),
            ("acme", writer, number),
        )
        return event.build(draft, mark, 0, head, {"agent_id": "agent:ada"}).raw + b"\n"

    other = "agent.ada~mmmmmmmm"
    ada, index = Ada(), Index(store)
    put(store, other, keyed(1, other))
    judged(store)
    assert index.refresh().by_key("a.b", "k") is None
    assert not index.has_any([("a.b", "k")]) and not index.has_key("k")
    ada.data = keyed(2)
    put(store, NAME, ada.data)
    put(store, SIGNER, ada.signs())
    judged(store)
    known = index.refresh().by_key("a.b", "k")
    assert known and known.event["seq"] == 2
    assert index.has_any([("a.b", "k")]) and index.has_key("k")


ARBITER = "arbiter.main~00000000"


def moving(number: int, to: str, stream: str = ARBITER, forced: bool = False) -> bytes:
    draft: Any = {"type": seats.MOVED, "body": {"to": to, "forced": forced}}
    stamp = (1_700_000_000_000 + number) << 16
    actor = {"agent_id": "agent:arbiter"}
    head = ("acme", stream, number)
    return event.build(draft, ids.mint(stamp, b"%08d" % number), 0, head, actor).raw + b"\n"


def test_a_move_of_the_arbiter_counts_if_a_key_has_signed_it(store: Store) -> None:
    ada = Ada(file=f"journal/{ARBITER}/{FILE}")
    before = moving(1, "old")
    put(store, ARBITER, before)
    judged(store)
    assert seats.seat(store).place == "old", "nobody signs yet"
    ada.data, ada.signed = before, len(before)
    ada.data += (signed_ := moving(2, "new"))
    put(store, ARBITER, signed_)
    put(store, SIGNER, ada.signs())
    put(store, ARBITER, moving(3, "mallory"))
    judged(store)
    assert seats.seat(store) == (ARBITER, "new", False)

    # A stream of her own, by force, and a fork are passed over, too.
    other = "arbiter.main~mmmmmmmm"
    put(store, other, moving(9, "mallory", other, forced=True))
    put(store, f"{ARBITER}!{_sha(b'x')}", moving(2, "mallory"), "000000000002.jsonl")
    judged(store)
    assert seats.seat(store) == (ARBITER, "new", False)
    store.save(b"", "local", ".git", "allowed_signers")
    os.unlink(Path(store.path) / "local/.git/allowed_signers")
    assert seats.seat(store).diverged or seats.seat(store).place == "mallory"


def test_what_a_store_has_signed_itself_is_verified_when_something_of_others_comes(
    store: Store,
) -> None:
    with store.lock():
        replica = store.replica()
    own, ada = f"agent.ada~{replica}", Ada()
    ada.writes(1)
    judged(store)
    put(store, own, line(1, writer=own))
    put(store, f"{signing.STREAM}{replica}", ada.signs())
    judge = Judge(store, verify)
    judge.run(own=False)
    assert VERIFIED == [] and not Trusted(store).refresh().ends
    put(store, NAME, line(1))
    Judge(store, verify).run(own=False)
    assert {own, NAME} < Trusted(store).refresh().ends.keys()


def test_statements_of_a_revoked_key_that_cannot_count_do_not_stop_the_next_key(
    store: Store,
) -> None:
    """Ada wrote on with a key that was stolen meanwhile, and then with a new one."""
    ada = Ada()
    new = "ssh-ed25519 " + "N" * 60
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    good = ada.previous
    put(store, NAME, ada.writes(2))
    put(store, SIGNER, ada.signs(next=MAL))
    ada.key = MAL  # the thief's, named by the stolen one
    put(store, NAME, ada.writes(3))
    put(store, SIGNER, ada.signs())
    revoked = f"agent:ada {ADA}\nagent:ada {new}\n@revoked {ADA}"
    path = "local", ".git", "allowed_signers"
    store.save(f"{revoked} {REPLICA}={good}\n".encode(), *path)
    assert judged(store) == [] and signed(store) == [1]

    ada.key, ada.previous, ada.signed = new, "-", 0
    put(store, NAME, ada.writes(4))
    put(store, SIGNER, ada.signs())
    put(store, NAME, line(5, "forged"))
    assert judged(store) == [] and signed(store) == [1, 2, 3, 4]

    # As long as the last good statement is not here, what waits for it is not passed over.
    store.save(f"{revoked} {REPLICA}={'0' * 64}\n".encode(), *path)
    assert judged(store) == [] and signed(store) == []
    store.save(f"{revoked}\n".encode(), *path)
    assert judged(store) == [] and signed(store) == [1, 2, 3, 4]


def test_what_follows_a_statement_of_a_revoked_key_is_passed_over(store: Store) -> None:
    ada = Ada()
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs(next=MAL))
    ada.key = MAL
    put(store, NAME, ada.writes(2))
    put(store, SIGNER, ada.signs())
    store.save(f"{SIGNERS}@revoked {ADA}\n".encode(), "local", ".git", "allowed_signers")
    assert judged(store) == [] and signed(store) == []


def behind(kind: str, seq: int) -> bytes:
    """What somebody puts behind the statements of a stream: nothing, or what is none."""
    if kind == "nothing":
        return b""
    stamp, mark = (1_700_000_000_000 + seq) << 16, b"%08d" % seq
    bodies = {"another type": ("a.b", {"x": 1}), "no text": (signing.TYPE, {"statement": 3})}
    form, body = bodies.get(kind, (signing.TYPE, {"statement": f"coord-statement 2\n{kind}"}))
    draft: Any = {"type": form, "body": body}
    head = ("acme", SIGNER, seq)
    made = event.build(draft, ids.mint(stamp, mark), 0, head, {"agent_id": "bridge:signer"})
    return made.raw + b"\n"


@pytest.mark.parametrize("kind", ["nothing", "another type", "no text", "other"])
def test_what_is_no_statement_behind_one_that_waits_refuses_none_that_follows(
    store: Store, kind: str
) -> None:
    """A chain divides where the stream has a statement that waits for another."""
    ada, mal = Ada(), Ada()
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    first = ada.previous
    mal.data, mal.previous, mal.said = ada.data, "0" * 64, ada.said
    put(store, SIGNER, mal.signs())
    ada.said = 2
    put(store, NAME, ada.writes(2))
    put(store, SIGNER, ada.signs())
    assert judged(store) == [] and signed(store) == [1, 2]
    ada.previous = first  # its disk was put back
    put(store, NAME, ada.writes(3))
    put(store, SIGNER, ada.signs() + behind(kind, 5))
    assert not any("follow" in warning for warning in judged(store))
    ada.said = 5
    put(store, NAME, ada.writes(4))
    put(store, SIGNER, ada.signs())
    assert judged(store) == [] and signed(store) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["nothing", "another type", "no text", "other"])
def test_what_is_no_statement_in_a_fork_stops_nobody_when_a_key_is_revoked(
    store: Store, kind: str
) -> None:
    text = f"{SIGNERS}@revoked {MAL}\n"
    store.save(text.encode(), "local", ".git", "allowed_signers")
    ada, mal = Ada(), Ada()
    put(store, NAME, ada.writes(1))
    put(store, SIGNER, ada.signs())
    mal.data, mal.previous, mal.said = ada.data, "0" * 64, ada.said
    waits = mal.signs()
    fork, file = f"{SIGNER}!{_sha(waits[:-1])}", "000000000002.jsonl"
    put(store, NAME, ada.writes(2))
    ada.said = 2
    put(store, fork, waits + ada.signs(), file)
    assert judged(store) == [] and signed(store) == [1, 2]
    late = Ada(MAL)
    late.data, late.said = ada.data, 1
    put(store, SIGNER, late.signs())
    put(store, fork, behind(kind, 4), file)
    judged(store)
    put(store, NAME, ada.writes(3))
    ada.said = 4
    put(store, fork, ada.signs(), file)
    judged(store)
    assert judged(store) == [] and signed(store) == [1, 2, 3]


def test_a_chain_whose_first_statement_is_in_a_fork_only_keeps_its_key(store: Store) -> None:
    """Somebody wrote a line in the place of the first statement, and then the key was rotated."""
    store.save(f"agent:ada {ADA}\n".encode(), "local", ".git", "allowed_signers")
    ada = Ada()
    put(store, NAME, ada.writes(1))
    first = ada.signs(next=MAL)
    put(store, f"{SIGNER}!{_sha(first[:-1])}", first)
    ada.key = MAL
    put(store, NAME, ada.writes(2))
    put(store, SIGNER, behind("another type", 1) + ada.signs())
    second = ada.previous
    put(store, NAME, ada.writes(3))
    put(store, SIGNER, ada.signs())
    judged(store)
    assert signed(store) == [1, 2, 3]
    ada.previous, ada.said = second, 2  # its disk was put back
    put(store, NAME, ada.writes(4))
    other = ada.signs()
    put(store, f"{SIGNER}!{_sha(other[:-1])}", other, "000000000003.jsonl")
    assert judged(store) == [] and signed(store) == [1, 2, 3, 4]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_line_that_takes_a_place_left_free_in_what_was_signed_is_not_signed(
    store: Store, damaged: bool
) -> None:
    """Each of these seqs lies between signed ones; none of these lines was among the signed bytes."""
    ada = Ada()
    for numbers in ((1, 2, 3), (5, 6), (9,)):
        ada.writes(*numbers)
        if damaged:  # as many lines as seqs
            ada.data += b'{"event_id":"damaged"}\n' * (1 + (numbers[-1] == 6))
    put(store, NAME, ada.data)
    put(store, SIGNER, ada.signs())
    judged(store)
    assert signed(store) == [1, 2, 3, 5, 6, 9]
    for number in (8, 7, 4):
        put(store, NAME, line(number, "forged"))
        judged(store)
        trusted = Trusted(store).refresh()
        assert not trusted.counts(NAME, number, "agent:ada")
        assert not {4, 7, 8}.intersection(signed(store))
