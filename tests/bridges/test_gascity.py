"""coord-gc: each operation of Gas City's exec protocol, by its status, stdin and stdout.

Gas City starts the script anew for each operation, so the tests do. Status 2 is taken for success
with nothing to print: only an operation that is not there may end with it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import BIN, Shell, check_invariants, open_store

from coord_envelope import Fault, No
from coord_envelope.errors import Refused
from coord_gc import beads, cli, events, mail, session

README = Path(__file__).parent.parent.parent / "bridges/gascity/README.md"


class Gc:
    """`coord-gc` in a store.

    A call is made in this process, as `main` does it: a tenth of the time. Where processes matter,
    and what a shell sees, tests go through `shell`.
    """

    def __init__(self, shell: Shell, patch: pytest.MonkeyPatch) -> None:
        self.shell, self.patch = shell, patch
        for name in ("BEADS_ACTOR", "GC_AGENT", "GC_STORE_ROOT", "COORD_AGENT"):
            shell.env.pop(name, None)
        shell.env |= {"GC_BEADS_PREFIX": "gc"}

    def __call__(self, line: str, record: Any = "", expect: int = 0, **env: str) -> Any:
        """What an operation prints: JSON, else text; None if it prints nothing."""
        out, _ = self.run(line, record, expect, env)
        return json.loads(out) if out[:1] in ("{", "[") else out or None

    def fails(self, line: str, words: str, record: Any = "") -> None:
        out, err = self.run(line, record, 1, {})
        assert words in err and not out

    def run(self, line: str, record: Any, expect: int, env: dict[str, str]) -> tuple[str, str]:
        """What an operation prints, and what stands on standard error."""
        stdin = record if isinstance(record, str) else json.dumps(record)
        printed: dict[int, bytes] = {1: b"", 2: b""}

        def write(fd: int, data: bytes) -> None:
            printed[fd] += data

        with self.patch.context() as patch:
            patch.chdir(self.shell.cwd)
            patch.setattr(cli, "write_all", write)
            patch.setattr(sys, "argv", ["coord-gc"])
            for module in (cli, beads, session):
                patch.setattr(module, "received", stdin.encode)
            for name in ("BEADS_ACTOR", "GC_AGENT", "GC_STORE_ROOT", "COORD_AGENT"):
                patch.delenv(name, raising=False)
            for name, value in {"GC_BEADS_PREFIX": "gc", **env}.items():
                patch.setenv(name, value)
            status = cli.run(shlex.split(line))
        assert status == expect, f"coord-gc {line}: exit {status}\n{printed}"
        return printed[1].decode().rstrip("\n"), printed[2].decode()

    def new(self, title: str, **fields: Any) -> str:
        return str(self("beads create", {"title": title, **fields})["id"])


@pytest.fixture
def gc(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Gc:
    return Gc(shell, monkeypatch)


PROTOCOL = {
    "beads": "create get update close list ready children list-by-label set-metadata delete dep-add dep-remove"
    " dep-list init start stop probe health recover ensure-ready shutdown",
    "mail": "ensure-running send reply inbox check all get read mark-read mark-unread archive delete thread count",
    "events": "ensure-running record list latest-seq watch",
    "session": "start stop interrupt is-running process-alive attach nudge send-keys peek set-meta get-meta"
    " remove-meta list-running get-last-activity clear-scrollback copy-to check-image",
}


def test_every_operation_of_the_protocol_is_there_and_in_the_readme() -> None:
    modules = {"beads": beads, "mail": mail, "events": events, "session": session}
    page = README.read_text()
    for provider, module in modules.items():
        assert module.OPERATIONS.keys() == set(PROTOCOL[provider].split())
        assert all(f"`{op}`" in page for op in module.OPERATIONS), provider
    assert tuple(modules) == cli.PROVIDERS


@pytest.mark.parametrize("provider", cli.PROVIDERS)
def test_only_an_unknown_operation_ends_with_2(gc: Gc, provider: str) -> None:
    gc(f"{provider} frobnicate", expect=2)
    assert gc.shell(f"coord-gc {provider} frobnicate", expect=2).err == ""
    gc.fails(provider, "no operation")
    line = {"beads": "beads create", "mail": "mail send a", "events": "events record",
            "session": "session start x"}[provider]  # fmt: skip
    gc.fails(line, "not JSON", "{")
    gc.fails("beads list --limit=x", "malformed")
    gc.shell(f"cd / && coord-gc {line}", stdin='{"title":"x","type":"x"}', expect=1)


def test_a_bead_has_what_it_was_made_with(gc: Gc) -> None:
    top = gc.new("Top")
    record = {
        "title": "A", "type": "molecule", "priority": 1, "labels": ["gc:x", "y"], "parent_id": top,
        "ref": "step-1", "needs": ["one", "two"], "description": "Text", "assignee": "Mayor X", "from": "me",
        "metadata": {"gc.kind": "k", "n": 3, "b": True, "long": "x" * 9000},
    }  # fmt: skip
    made = gc("beads create", record)
    assert made.pop("created_at").endswith("Z") and made.pop("id").startswith("gc-")
    record["metadata"] = {"gc.kind": "k", "n": "3", "b": "true", "long": "x" * 9000}
    assert made == record | {"status": "open"}
    plain = gc("beads create", {"title": "B"})
    assert plain.keys() == {"id", "title", "status", "type", "created_at", "labels", "metadata"}
    assert gc(f"beads get {plain['id']}") == plain and plain["type"] == "task"
    gc.fails("beads get nope", "no issue found")
    gc.fails("beads create", "title is missing", {})


def test_update_leaves_what_is_absent(gc: Gc) -> None:
    top, item = gc.new("Top"), gc.new("A", labels=["a", "b"], priority=1, metadata={"k": "v"})
    gc(f"beads update {item}", {"title": "B", "labels": ["c"], "remove_labels": ["a"],
                                "metadata": {"l": "w"}, "parent_id": top, "description": "D"})  # fmt: skip
    bead = gc(f"beads get {item}")
    assert (bead["title"], bead["labels"], bead["priority"]) == ("B", ["b", "c"], 1)
    assert bead["metadata"] == {"k": "v", "l": "w"} and bead["parent_id"] == top
    gc(f"beads update {item}", {"status": "in_progress", "assignee": "bob"})
    assert gc.shell("wk mine --as bob").one["owner"] == "agent:bob", "it is a claim"
    gc(f"beads update {item}", {"status": "closed"})
    gc(f"beads update {item}", {"metadata": {"gc.outcome": "pass"}})
    bead = gc(f"beads get {item}")
    assert (bead["status"], bead["metadata"]["gc.outcome"]) == ("closed", "pass")
    gc(f"beads update {item}", {"status": "open", "assignee": ""})
    assert "assignee" not in gc(f"beads get {item}") and gc.shell("wk mine --as bob").out == ""
    gc.fails("beads update nope", "no issue found", {"title": "x"})
    gc.fails(f"beads update {item}", "not a valid status", {"status": "frob"})


def test_close_twice_is_no_failure(gc: Gc) -> None:
    item = gc.new("A")
    assert gc(f"beads close {item}") is None and gc(f"beads close {item}") is None
    assert gc(f"beads get {item}")["status"] == "closed"
    gc.fails("beads close nope", "no issue found")


def test_lists_are_one_array(gc: Gc) -> None:
    top = gc.new("Top")
    part = gc.new("Part", parent_id=top, labels=["x"], assignee="bob")
    gate = gc.new("Gate", type="gate", labels=["x"])
    gc(f"beads close {part}")

    def titles(rows: list[dict[str, str]]) -> list[str]:
        return [row["title"] for row in rows]

    assert titles(gc("beads list")) == ["Top", "Part", "Gate"]
    assert titles(gc("beads list --status=open")) == ["Top", "Gate"]
    assert titles(gc("beads list --status=closed --limit=5")) == ["Part"]
    assert titles(gc("beads list --assignee=bob")) == ["Part"]
    assert titles(gc("beads list --type=gate")) == ["Gate"] and len(gc("beads list --limit=1")) == 1
    assert titles(gc(f"beads children {top}")) == ["Part"], "closed ones, too"
    assert titles(gc("beads list-by-label x 0")) == ["Gate", "Part"], "newest first"
    assert (
        titles(gc("beads list-by-label x 1")) == ["Gate"] and gc("beads list-by-label zz 0") == []
    )
    assert titles(gc("beads ready")) == ["Top"], "a gate is not work"
    gc(f"beads dep-add {top} {gate} blocks")
    assert gc("beads ready") == []
    gc(f"beads close {gate}")
    assert titles(gc("beads ready")) == ["Top"]


def test_metadata_dependencies_and_deletion(gc: Gc) -> None:
    a, b = gc.new("a"), gc.new("b")
    gc(f"beads set-metadata {a} gc.out", 'raw "text"\n')
    assert gc(f"beads get {a}")["metadata"] == {"gc.out": 'raw "text"\n'}
    gc.fails("beads set-metadata nope k", "no issue found", "x")
    for how in ("blocks", "tracks", "waits-for"):
        gc(f"beads dep-add {a} {b} {how}")
        edge = {"issue_id": a, "depends_on_id": b, "type": how}
        assert gc(f"beads dep-list {a} down") == [edge] == gc(f"beads dep-list {b} up")
    gc(f"beads dep-remove {a} {b}")
    assert gc(f"beads dep-list {a} down") == []
    gc(f"beads delete --force {a}")
    gc.fails(f"beads get {a}", "no issue found")
    assert [row["id"] for row in gc("beads list")] == [b]
    assert gc.shell("coord-bd list --all --json").out.count('"id"') == 1


def test_one_script_serves_several_stores(gc: Gc, tmp_path: Path) -> None:
    rig = tmp_path / "rig"
    rig.mkdir()
    gc.shell(f"cd {rig} && git init -q . && coord-gc beads init {rig} rg")
    root: Any = {"GC_STORE_ROOT": str(rig), "GC_BEADS_PREFIX": "rg"}
    assert gc("beads create", {"title": "There"}, **root)["id"].startswith("rg-")
    assert gc("beads list") == [] and len(gc("beads list", **root)) == 1
    for op in ("start", "probe", "health", "stop", "recover", "ensure-ready", "shutdown"):
        assert gc(f"beads {op}", **root) is None


def test_twenty_writers_of_one_bead_lose_nothing(gc: Gc) -> None:
    item = gc.new("A")
    running = [
        subprocess.Popen([f"{BIN}/coord-gc", "beads", "set-metadata", item, f"k{n}"],
                         cwd=gc.shell.cwd, env=gc.shell.env, stdin=subprocess.PIPE)
        for n in range(20)
    ]  # fmt: skip
    for process in running:
        process.communicate(b"v")
    assert all(process.returncode == 0 for process in running)
    assert gc(f"beads get {item}")["metadata"] == {f"k{n}": "v" for n in range(20)}
    check_invariants(open_store(gc.shell.cwd))


def test_mail_is_unread_read_archived(gc: Gc) -> None:
    assert gc("mail ensure-running") is None and gc("mail inbox rig/nux") is None
    sent = gc("mail send rig/nux", {"from": "Mayor X", "subject": "Hi", "body": "Text"})
    assert sent.keys() == {"id", "from", "to", "subject", "body", "created_at", "read", "thread_id"}
    assert (sent["from"], sent["to"], sent["read"]) == ("Mayor X", "rig/nux", False)
    first = sent["id"]
    assert gc("mail inbox rig/nux") == [sent] == gc("mail check rig/nux")
    assert gc.shell("msg recv --as rig/nux").one["event_id"] == first, "it is mail of msg"
    assert gc("mail count rig/nux") == {"total": 1, "unread": 1}
    assert gc(f"mail read {first}") == sent | {"read": True}
    assert gc("mail inbox rig/nux") is None and gc("mail all rig/nux") == [sent | {"read": True}]
    gc(f"mail mark-unread {first}")
    assert gc(f"mail get {first}") == sent
    gc(f"mail mark-read {first}")
    assert gc("mail count rig/nux") == {"total": 1, "unread": 0}
    answer = gc(f"mail reply {first}", {"from": "rig/nux", "subject": "", "body": "Yes"})
    assert (answer["to"], answer["reply_to"], answer["thread_id"]) == ("Mayor X", first, first)
    assert [each["id"] for each in gc(f"mail thread {first}")] == [first, answer["id"]]
    assert gc("mail thread nope") is None
    gc(f"mail archive {first}")
    gc.fails(f"mail archive {first}", "already archived")
    gc.fails(f"mail delete {first}", "already archived")
    assert gc("mail all rig/nux") is None and gc(f"mail delete {answer['id']}") is None
    gc.fails("mail get nope", "not found")


def test_a_notice_about_an_item_is_mail_too(gc: Gc) -> None:
    """Who holds a bead that another closes is told so: by an event that is no message of a sender."""
    bead = gc("beads create", '{"title": "Cut", "assignee": "nux"}')["id"]
    gc(f"beads update {bead}", '{"status": "in_progress"}')
    gc(f"beads close {bead}")
    (notice,) = gc("mail inbox nux")
    assert (notice["from"], notice["to"], notice["subject"]) == ("gascity", "nux", "work.closed")
    assert notice["body"].startswith("about ") and not notice["read"]
    assert gc("mail count nux") == {"total": 1, "unread": 1}
    assert gc(f"mail get {notice['id']}") == notice == gc("mail all nux")[0]
    assert gc(f"mail read {notice['id']}")["read"] and gc("mail inbox nux") is None
    gc(f"mail archive {notice['id']}")
    assert gc("mail all nux") is None


def test_events_have_one_rising_number(gc: Gc) -> None:
    before = int(gc("events latest-seq"))
    gc("events record", {"seq": 0, "type": "bead.created", "ts": "0001-01-01T00:00:00Z", "actor": "me",
                         "subject": "gc-1", "message": "m", "payload": {"a": 1}})  # fmt: skip
    gc("events record", {"type": "order.run", "ts": "2026-01-01T00:00:00Z", "actor": "Me X"})
    gc.new("between")
    gc("events record", {"type": "session.started", "actor": "me"})
    zero = {"Type": "", "Actor": "", "Since": "0001-01-01T00:00:00Z", "AfterSeq": 0}
    one, two, three = gc("events list", zero)
    assert before < one["seq"] < two["seq"] < three["seq"] == int(gc("events latest-seq"))
    assert one | {"seq": 0, "ts": ""} == {"seq": 0, "ts": "", "type": "bead.created", "actor": "me",
                                          "subject": "gc-1", "message": "m", "payload": {"a": 1}}  # fmt: skip
    assert (two["ts"], two["actor"]) == ("2026-01-01T00:00:00Z", "Me X")
    assert gc("events list", {"Type": "order.run"}) == [two]
    assert gc("events list", {"Actor": "me", "AfterSeq": one["seq"]}) == [three]
    assert gc("events list", {"Since": "2026-02-01T00:00:00Z", "AfterSeq": one["seq"]}) == [three]
    watching = gc.shell.popen(f"coord-gc events watch {one['seq']}", stdout=subprocess.PIPE)
    assert watching.stdout
    assert [json.loads(watching.stdout.readline()) for _ in "12"] == [two, three]
    gc("events record", {"type": "mail.sent", "actor": "me"})
    assert json.loads(watching.stdout.readline())["type"] == "mail.sent", "and those to come"
    watching.stdout.close()
    gc("events record", {"type": "mail.sent", "actor": "me"})
    assert watching.wait(timeout=30) is not None, "it ends with its reader"


needs_tmux = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


@needs_tmux
def test_a_session_is_started_nudged_and_stopped(gc: Gc, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (tmp_path / "file").write_text("copied\n")
    record = {
        "work_dir": str(work), "command": "echo $KEY; exec cat", "nudge": "hello", "ready_prompt_prefix": "sk-",
        "env": {"KEY": "sk-ant-not-for-the-journal"}, "pre_start": ["echo before >pre"],
        "session_setup": ["echo after >post"], "copy_files": [{"src": str(tmp_path / "file"), "rel_dst": "new"}],
    }  # fmt: skip
    name = "city/Mayor"
    assert gc(f"session is-running {name}") == "false"
    gc(f"session start {name}", record)
    assert gc(f"session is-running {name}") == "true"
    gc.fails(f"session start {name}", "already exists", record)
    assert sorted(path.name for path in work.iterdir()) == ["new", "post", "pre"]
    assert gc(f"session nudge {name}", "two words") is None
    for _ in range(1_000):
        shown = str(gc(f"session peek {name} 20"))
        if shown.count("two words") == 2:
            break
    assert shown.split("\n")[0] == "sk-ant-not-for-the-journal" and shown.count("hello") == 2
    assert "sk-ant" not in gc.shell("cat .coord/local/gc/*; ev replay").out
    assert gc(f"session process-alive {name}", "cat\n") == "true"
    assert gc(f"session process-alive {name}", "emacs\n") == "false"
    assert gc("session list-running city/") == name and gc("session list-running town") is None
    assert str(gc(f"session get-last-activity {name}")).endswith("Z")
    gc(f"session set-meta {name} K", "a value")
    assert (
        gc(f"session get-meta {name} K") == "a value" and gc(f"session get-meta {name} L") is None
    )
    gc(f"session remove-meta {name} K")
    assert gc(f"session get-meta {name} K") is None
    gc(f"session copy-to {name} {tmp_path / 'file'} later")
    assert (work / "later").read_text() == "copied\n"
    assert gc(f"session clear-scrollback {name}") is None and gc("session check-image x") is None
    gc(f"session send-keys {name} C-d")
    ended(gc, name)
    gc(
        f"session start {name}",
        {**record, "command": "cat", "ready_prompt_prefix": "", "nudge": ""},
    )
    gc(f"session interrupt {name}")
    ended(gc, name)
    gc(f"session start {name}", {"work_dir": str(work), "command": "trap '' INT; cat"})
    assert gc(f"session stop {name}") is None and gc(f"session is-running {name}") == "false"
    assert gc(f"session stop {name}") is None, "absent"
    gc.fails(f"session peek {name} 3", "not found")
    gc.fails(f"session attach {name}", "not found")


def ended(gc: Gc, name: str) -> None:
    """Wait until its terminal is gone. Its job may have a moment to go: `start` waits for that."""
    for _ in range(2_000):
        if gc(f"session is-running {name}") == "false":
            return
    raise AssertionError(f"{name} runs")


def test_a_start_waits_for_a_session_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """History: a terminal was gone, as `is-running` said, its job was not, and `start` refused."""
    jobs = iter(["job", "job", None])
    ending: Any = SimpleNamespace(name="worker-1", open=lambda: next(jobs))
    monkeypatch.setattr(session, "_there", lambda name: "")
    session._refuse_open(ending)
    assert next(jobs, "asked") == "asked"
    running: Any = SimpleNamespace(name="worker-1", open=lambda: "job")
    monkeypatch.setattr(session, "_there", lambda name: "a terminal")
    with pytest.raises(No, match="already exists"):
        session._refuse_open(running)


@pytest.mark.parametrize(
    ("status", "words"), [(1, "session already exists: worker-1"), (74, "no space left")]
)
def test_a_start_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    done = subprocess.CompletedProcess[str]([], status, "", "run: no space left on device\n")
    monkeypatch.setattr(session, "_run", lambda *argv: done)
    store = SimpleNamespace(path="/nonexistent")
    other: Any = SimpleNamespace(
        name="worker-1", job="gc.worker-1", store=store, open=lambda: "job"
    )
    with pytest.raises(Fault, match=words):
        session._request(other)


OUT = ("../new", "sub/../../new", "{outside}/new", "link/new", "link", "linked")
"""Names that are not below the working directory; `link` and `linked` are links out of it."""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A working directory with links out of it, what is outside, and something to copy."""
    work, outside, source = (tmp_path / name for name in ("work", "outside", "source"))
    for directory in (work, outside, source / "link"):
        directory.mkdir(parents=True)
    (outside / "kept").write_text("as before")
    (work / "link").symlink_to(outside)
    (work / "linked").symlink_to(outside / "kept")
    (source / "link" / "kept").write_text("from within")
    return work, outside, source


def test_nothing_is_copied_out_of_the_working_directory(places: tuple[Path, Path, Path]) -> None:
    work, outside, source = places
    wrong = [(source / "link" / "kept", name.format(outside=outside)) for name in OUT]
    wrong += [(source, ""), (source, ".."), (source / "link", "link")]
    for what, name in wrong:
        with pytest.raises(Refused, match="outside of the working directory"):
            session._copy(str(what), str(work), name)
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("kept", "as before")]
    assert {path.name for path in work.parent.iterdir()} == {"work", "outside", "source"}
    session._copy(str(source / "link" / "kept"), str(work), "sub/../new")
    session._copy(str(source), str(work), "deep/tree")
    session._copy(str(source / "link" / "kept"), str(work), f"{work}/deep")
    made = {str(path.relative_to(work)) for path in work.rglob("kept")}
    assert (work / "new").read_text() == "from within" and made >= {
        "deep/tree/link/kept",
        "deep/kept",
    }


@needs_tmux
def test_a_session_copies_below_its_working_directory(
    gc: Gc, places: tuple[Path, Path, Path]
) -> None:
    work, outside, source = places
    record = {"work_dir": str(work), "command": "cat"}
    file, what = source / "link" / "kept", "outside of the working directory"
    for more in (
        {"copy_files": [{"src": str(file), "rel_dst": "../new"}]},
        {"overlay_dir": str(source)},
    ):
        gc.fails("session start worker-1", what, record | more)
    assert gc("session is-running worker-1") == "false"
    gc("session start worker-1", record)
    try:
        for name in ("../new", "link"):
            _, err = gc.run(f"session copy-to worker-1 {file} {name}", "", 1, {})
            assert what in err and err.count("\n") == 1
    finally:
        gc("session stop worker-1")
    assert (outside / "kept").read_text() == "as before" and not (work.parent / "new").exists()


@needs_tmux
def test_of_twenty_starts_of_one_name_one_wins(gc: Gc) -> None:
    running = [
        subprocess.Popen([f"{BIN}/coord-gc", "session", "start", "worker-1"], cwd=gc.shell.cwd,
                         env=gc.shell.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(20)
    ]  # fmt: skip
    errors = [process.communicate(b'{"command": "cat"}')[1].decode() for process in running]
    try:
        assert sorted(process.returncode for process in running) == [0] + [1] * 19, errors
        assert sum("already exists" in error for error in errors) == 19, errors
        assert gc("session list-running worker") == "worker-1"
        assert len(gc.shell("run ls").lines) == 1
    finally:
        gc("session stop worker-1")


def test_link_makes_a_script_for_each_provider(gc: Gc, tmp_path: Path) -> None:
    made = gc.shell(f"coord-gc link {tmp_path}").out.split()
    assert [Path(path).name for path in made] == [f"coord-gc-{name}" for name in cli.PROVIDERS]
    assert (
        gc.shell(f"{made[0]} list").out == "[]\n"
        and gc.shell(f"{made[1]} frob", expect=2).out == ""
    )
    gc.shell(f"coord-gc link {tmp_path}")
    (tmp_path / "coord-gc-mail").write_text("mine\n")
    assert "is there already" in gc.shell(f"coord-gc link {tmp_path}", expect=1).err
    assert "missing: no such directory" in gc.shell("coord-gc link missing", expect=1).err
