"""Three replicas whatever happens to them: every kind of command, clocks a year apart and stepping back and forth,
stores that meet in pairs, appends cut off, indexes lost, disks set back.

After any of it a replica shows what an oracle says: it knows of each event what its replica held when it was written
(vector clocks), and nothing of the tools. In the end all that was acked, and not taken away by a disk before anybody
had it, is in every replica; their replays are the same bytes, and their views the same, with an index and without.
Confirmed claims have an arbiter, which costs a git process a step: `test_claims_model` searches through them.
"""

from __future__ import annotations

import sys

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from proof.replicas import NOW, Replica
from proof.replicas_proof import check_view, settle
from proof.replicas_world import SEEN, World

from coord_envelope import world

SECOND, DAY = 1_000, 86_400_000
YEAR = 365 * DAY
WHO = st.sampled_from(("ada", "bob"))
WHERE = st.integers(0, 2)
WHICH = st.integers(0, 3)
KEY = st.sampled_from((None, None, "k1", "k2"))
ADDRESS = st.sampled_from(("agent:ada", "agent:bob", "queue:q", "chan:c", "group:g"))
WORD = st.sampled_from(("x", "y", "z"))
FIELDS = ("title", "priority", "assignee", "hold", "desc", "label", "rm-label", "field", "kind")
VALUES = {
    "priority": "0134",
    "kind": ("bug", "task"),
    "assignee": ("ada", "bob"),
    "field": ("a=x", "a=y", "b=z"),
}
STEP = st.sampled_from(
    (SECOND, -SECOND, 61 * SECOND, -400 * SECOND, 400 * SECOND, DAY, -DAY, YEAR, -YEAR)
)
SAID = (
    "note.made",
    "work.created",
    "work.updated",
    "work.claimed",
    "work.closed",
    "work.commented",
    "msg.sent",
)
"""What is redacted."""


class Replicas(RuleBasedStateMachine, World):
    """Three stores and what can happen to them."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        World.__init__(self)

    @initialize(offsets=st.tuples(*[st.integers(-YEAR, YEAR) | st.just(0)] * 3))
    def begin(self, offsets: tuple[int, ...]) -> None:
        SEEN["runs"] += 1
        self.replicas = [
            Replica(self.place / name, self.stage, by)
            for name, by in zip("abc", offsets, strict=True)
        ]
        if self.signs:
            self.sign()

    # Work

    @rule(at=WHERE, who=WHO, title=WORD, key=KEY, above=st.none() | WHICH)
    def new(self, at: int, who: str, title: str, key: str | None, above: int | None) -> None:
        parent = None if above is None else self.item(at, above)
        options = [*(("--key", key) if key else ()), *(("--parent", parent) if parent else ())]
        self.act(at, "wk new", title, *options, agent=who)

    @rule(
        at=WHERE,
        who=WHO,
        which=WHICH,
        field=st.sampled_from(FIELDS),
        value=WHICH,
        force=st.booleans(),
    )
    def update(self, at: int, who: str, which: int, field: str, value: int, force: bool) -> None:
        values = VALUES.get(field, ("x", "y", "z"))
        given = [f"--{field}", values[value % len(values)], *["--force"] * force]
        self.act(at, "wk update", self.item(at, which), *given, agent=who)

    @rule(
        at=WHERE,
        who=WHO,
        which=WHICH,
        how=st.sampled_from(("", "--force", "--steal --reason r --force")),
    )
    def claim(self, at: int, who: str, which: int, how: str) -> None:
        item = self.item(at, which)
        before = self.oracle(at).items[item]
        done = self.act(at, "wk claim", item, *how.split(), agent=who)
        if (
            before.owner
            and before.owner.event["actor"]["agent_id"] != f"agent:{who}"
            and "steal" not in how
        ):
            assert done.status == 1, "claimed, though another held it"

    @rule(
        at=WHERE,
        who=WHO,
        which=WHICH,
        how=st.sampled_from(("release", "close", "reopen")),
        force=st.booleans(),
    )
    def end(self, at: int, who: str, which: int, how: str, force: bool) -> None:
        self.act(
            at,
            f"wk {how}",
            self.item(at, which),
            *["--force"] * (force and how != "reopen"),
            agent=who,
        )

    @rule(at=WHERE, which=WHICH, to=WHICH, how=st.sampled_from(("dep", "dep", "parent", "--rm")))
    def link(self, at: int, which: int, to: int, how: str) -> None:
        one, other = self.item(at, which), self.item(at, to)
        if how == "parent":
            self.act(at, "wk update", one, "--parent", other)
        else:
            self.act(at, "wk dep", one, other, *["--rm"] * (how == "--rm"))

    @rule(at=WHERE, which=WHICH, say=st.sampled_from(("comment", "artifact", "apply")))
    def say(self, at: int, which: int, say: str) -> None:
        item = self.item(at, which)
        if say == "comment":
            self.act(at, "wk comment", item, "hm")
        elif say == "artifact":
            self.act(at, "wk artifact", item, "--uri", "u")
        else:
            lines = f'{{"op":"comment","id":"{item}","text":"1"}}\n{{"op":"update","id":"{item}","set":{{"title":"2"}}}}\n'
            self.act(at, "wk apply", given=lines.encode())

    # Events

    @rule(at=WHERE, who=WHO, key=KEY, body=WORD, to=st.booleans())
    def emit(self, at: int, who: str, key: str | None, body: str, to: bool) -> None:
        options = [*(("--key", key) if key else ()), *(("--to", "bob") if to else ())]
        self.act(at, "ev emit note.made --body", f'{{"n":"{body}"}}', *options, agent=who)

    @rule(at=WHERE, which=WHICH, kind=st.sampled_from(SAID))
    def redact(self, at: int, which: int, kind: str) -> None:
        self.act(at, "ev redact", self.event(at, which, kind, "ev emit note.made"), "--reason", "r")

    @rule(at=WHERE, dies=st.booleans())
    def tail(self, at: int, dies: bool) -> None:
        self.read(at, "ev tail --cursor", "c", dies)

    @rule(at=WHERE, who=WHO, dies=st.booleans())
    def channel(self, at: int, who: str, dies: bool) -> None:
        self.read(at, "msg recv", "chan:c", dies, agent=who)

    # Mail, leases, jobs

    @rule(
        at=WHERE,
        who=WHO,
        to=st.sampled_from(("agent:ada", "agent:bob", "queue:q", "chan:c")),
        key=KEY,
        late=st.booleans(),
    )
    def send(self, at: int, who: str, to: str, key: str | None, late: bool) -> None:
        options = [*(("--key", key) if key else ()), *(("--expires", "10m") if late else ())]
        options = [] if to == "chan:c" else options
        self.act(at, "msg send --force --body b --to", to, *options, agent=who)

    @rule(at=WHERE, who=WHO)
    def receive(self, at: int, who: str) -> None:
        found = [one["event_id"] for one in self.act(at, "msg recv", agent=who).lines]
        assert found == self.oracle(at).waiting(
            f"agent:{who}", world.format_ts(self.replicas[at].now)
        )

    @rule(at=WHERE, who=WHO, how=st.sampled_from(("", "--ack", "--visibility 1s")))
    def take(self, at: int, who: str, how: str) -> None:
        free = self.oracle(at).queued("queue:q")
        found = {
            one["event_id"]
            for one in self.act(at, f"msg recv queue:q --max 2 {how}", agent=who).lines
        }
        assert found <= free

    @rule(at=WHERE, who=WHO, which=WHICH, how=st.sampled_from(("ack", "ack", "nack", "requeue")))
    def answer(self, at: int, who: str, which: int, how: str) -> None:
        self.act(
            at,
            f"msg {how}",
            self.event(at, which, "msg.sent", "msg send --force --to queue:q --body b"),
            agent=who,
        )

    @rule(at=WHERE, who=WHO, which=WHICH, how=st.sampled_from(("join", "leave", "reply")))
    def group(self, at: int, who: str, which: int, how: str) -> None:
        if how == "reply":
            message = self.event(at, which, "msg.sent", "msg send --force --to bob --body b")
            self.act(at, "msg reply", message, "--body", "b", agent=who)
        else:
            self.act(at, f"msg {how} g", agent=who)

    @rule(at=WHERE, who=WHO)
    def first(self, at: int, who: str) -> None:
        done = self.act(at, "wk ready --claim", agent=who)
        assert done.status == 0 or not any(
            row["status"] == "ready" for row in self.act(at, "wk ls").lines
        )

    @rule(at=WHERE, who=WHO, how=st.sampled_from(("--shared", "", "renew", "release")), what=WORD)
    def lease(self, at: int, who: str, how: str, what: str) -> None:
        held = self.act(at, "lease ls").lines
        if how in ("renew", "release"):
            for one in held[:1]:
                self.act(at, f"lease {how}", one["lease_id"], agent=who)
            return
        done = self.act(at, f"lease acquire --ttl 60s {how}", f"env:{what}", agent=who)
        taken = [
            one
            for one in held
            if f"env:{what}" in one["resources"] and not (how and one["mode"] == "s")
        ]
        assert done.status == (1 if taken else 0), f"{done.status}: {done.err} {held}"

    @rule(at=WHERE, who=WHO, key=KEY, which=st.none() | WHICH)
    def job(self, at: int, who: str, key: str | None, which: int | None) -> None:
        if which is None:
            self.act(at, "run request", *(("--key", key) if key else ()), "--", "true", agent=who)
        else:
            self.act(
                at,
                "run cancel",
                self.event(at, which, "run.requested", "run request -- true"),
                agent=who,
            )

    # What happens to stores

    @rule(pair=st.permutations((0, 1, 2)), kept=st.booleans())
    def sync(self, pair: list[int], kept: bool) -> None:
        if kept:
            self.back_up(pair[0])
        self.meet(*pair[:2])

    @rule(at=WHERE, by=STEP)
    def clock(self, at: int, by: int) -> None:
        replica = self.replicas[at]
        replica.now = min(max(replica.now + by, NOW - 2 * YEAR), NOW + 2 * YEAR)
        replica.awake_ms += max(0, min(by, DAY))

    @rule(at=WHERE, part=st.floats(0, 1), newline=st.booleans())
    def crash(self, at: int, part: float, newline: bool) -> None:
        self.cut_off(at, part, newline)

    @rule(at=WHERE, how=st.sampled_from(("delete", "garbage", "older", "older")))
    def index(self, at: int, how: str) -> None:
        self.damage(at, how)

    @rule(at=WHERE)
    def save(self, at: int) -> None:
        self.back_up(at)

    @rule(at=WHERE, to=WHERE, boots=st.booleans(), which=WHICH)
    def roll_back(self, at: int, to: int, boots: bool, which: int) -> None:
        """The disk is set back, as a virtual machine's is: the same store, and it knows nothing of what came since."""
        replica = self.replicas[at]
        if at not in self.backups:
            self.back_up(at)
        if to != at:  # its last words were heard elsewhere
            self.update(at, "ada", which, "title", which, force=True)
            self.meet(to, at)
        replica.put_back(self.place / f"backup{at}", self.backups[at])
        replica.boot += boots
        assert self.history.look(replica) == []
        SEEN["rollbacks"] += 1
        self.update(at, "ada", which, "title", which + 1, force=True)

    # What must be so

    @rule(at=WHERE)
    def check(self, at: int) -> None:
        SEEN["checks"] += 1
        check_view(self, at)

    def teardown(self) -> None:
        try:
            if self.replicas and sys.exc_info()[1] is None:
                settle(self)
        finally:
            self.ended.close()
