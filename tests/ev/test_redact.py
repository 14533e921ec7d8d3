"""ev redact: whoever reads gets a tombstone, however the redaction came; the bytes stay."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support import ME, Shell, check_invariants, drafts, open_journal, open_store, segment

from coord_envelope import event, ids
from coord_kernel.streams import redaction

SECRET = "hunter2"


def emitted(shell: Shell, *options: str) -> str:
    return shell(
        f'ev emit note.made --body \'{{"text":"{SECRET}"}}\' {" ".join(options)} -o id'
    ).out.strip()


@pytest.fixture
def target(shell: Shell) -> str:
    return emitted(shell)


def cache(shell: Shell) -> Path:
    return shell.cwd / ".coord/local/redacted"


def test_every_reader_of_events_prints_the_tombstone(shell: Shell, target: str) -> None:
    before = shell(f"ev show {target}").one
    made = shell(f"ev redact {target[-8:].lower()} --reason 'a password'").one
    assert made["body"]["target"] == target
    for command in (
        "tail -n 2",
        "replay",
        f"show {target}",
        "tail --cursor c",
        "replay --type note.made",
    ):
        done = shell(f"ev {command}")
        assert SECRET not in done.out, command
        line = done.out.splitlines()[0].encode()
        assert event.parse(line) == before | {
            "body": {"redacted": True, "by": made["event_id"], "reason": "a password"}
        }
    assert SECRET.encode() in segment(shell.cwd).read_bytes()
    check_invariants(open_store(shell.cwd))


def test_what_an_event_belongs_to_stays_and_what_a_user_wrote_goes(shell: Shell) -> None:
    options = ("--to qa", "--ref work_id=acme-1", f"--ref mine={SECRET}", f"--key {SECRET}")
    target = emitted(shell, *options)
    shell(f"ev redact {target} --reason x")
    (shown,) = shell("ev replay --work acme-1").lines
    assert (shown["to"], shown["refs"]) == (["agent:qa"], {"work_id": "acme-1"})
    assert "idempotency_key" not in shown


def test_mail_is_printed_as_a_tombstone_and_can_be_acked(shell: Shell) -> None:
    shell("msg join --as qa")
    sent = shell(f"msg send --to qa --subject s --body {SECRET}").one["event_id"]
    shell(f"ev redact {sent} --reason x")
    (mail,) = shell("msg recv --as qa").lines
    assert (mail["event_id"], mail["body"]["redacted"]) == (sent, True)
    shell(f"msg ack {sent} --as qa")
    assert shell("msg recv --as qa").out == ""


@pytest.mark.parametrize("seen_before", [True, False])
def test_a_view_forgets_what_was_redacted(shell: Shell, seen_before: bool) -> None:
    item = shell(f"wk new first --desc {SECRET} -o id").out.strip()
    comment = shell(f"wk comment {item} {SECRET}").one["event_id"]
    if seen_before:
        assert shell(f"wk show {item}").out.count(SECRET) == 2
    shell(f"ev redact {comment} --reason x")
    shown = shell(f"wk show {item}")
    assert shown.out.count(SECRET) == 1
    assert shown.one["comments"][0]["event_id"] == comment
    shell(f"ev redact {item} --reason x")
    assert SECRET not in shell(f"wk show {item}").out
    assert SECRET not in shell(f"wk show {item} --at 0s").out
    (shell.cwd / ".coord/local/work.sqlite").unlink()
    assert shell(f"wk show {item}").one["title"] == "(redacted)"


def test_a_redacted_release_still_releases(shell: Shell) -> None:
    item = shell("wk new x -o id").out.strip()
    shell(f"wk claim {item}")
    released = shell(f"wk release {item}").one["event_id"]
    shell(f"ev redact {released} --reason x")
    assert shell(f"wk show {item}").one["status"] == "ready"


def test_a_redaction_that_comes_from_another_store_is_noticed(
    shell: Shell, target: str, tmp_path: Path
) -> None:
    other = Shell(tmp_path / "other")
    other.cwd.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=other.cwd, check=True)
    other("ev init")
    other(f"ev sync --with {shell.cwd}")
    assert SECRET in other("ev tail").out
    shell(f"ev redact {target} --reason x")
    other(f"ev sync --with {shell.cwd}")
    assert SECRET not in other("ev tail").out
    assert other("ev replay").out == shell("ev replay").out


def test_a_follow_that_runs_notices_it_too(shell: Shell, target: str) -> None:
    follower = shell.popen("ev tail -f -n 1", stdout=subprocess.PIPE)
    assert follower.stdout
    assert SECRET in follower.stdout.readline().decode()
    copy = shell.cwd / "copy"
    shutil.copytree(shell.cwd / ".coord", copy / ".coord")
    away = Shell(copy)
    away.env["COORD_DIR"] = str(copy / ".coord")
    later = emitted(away)
    away(f"ev redact {later} --reason x")
    shell(f"ev sync --with {copy}")
    seen = [json.loads(follower.stdout.readline()) for _ in range(2)]
    follower.terminate()
    follower.wait(timeout=20)
    assert {one["event_id"]: one["body"].get("redacted") for one in seen}[later] is True


def test_what_is_read_after_the_look_is_looked_for_again(shell: Shell) -> None:
    # Redactions were looked for, then events read; an event that came with its redaction in between was shown.
    journal = open_journal(shell.cwd)
    later = journal.append(ME, drafts(2))
    read = journal.replay()
    come = journal.append(ME, [{"type": "note.made", "body": {"text": SECRET}}])[0]
    journal.append(ME, [{"type": redaction.TYPE, "body": {"target": come.id, "reason": "x"}}])
    assert [one["body"].get("redacted") for one in read] == [None, None, True, None]
    assert len(later) == 2


def test_the_cache_changes_no_output(shell: Shell, target: str) -> None:
    shell(f"ev redact {target} --reason x")
    shown = shell("ev replay").out
    saved = cache(shell).read_bytes()
    for damage in (
        None,
        b"",
        b"{",
        b"[]",
        b'{"boot":1}',
        saved.replace(b'"read"', b'"r"'),
        saved.replace(b":[1,", b":[9,"),
    ):
        if damage is None:
            cache(shell).unlink()
        else:
            cache(shell).write_bytes(damage)
        assert shell("ev replay").out == shown, damage


def test_nothing_is_written_where_nothing_was_redacted(shell: Shell, target: str) -> None:
    shell("ev tail")
    assert not cache(shell).exists()


def test_a_long_history_is_searched_once(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, drafts(40, body={"filler": "x" * 60_000}))
    redaction.Redactions(journal.store).refresh()
    (place,) = json.loads(cache(shell).read_bytes().splitlines()[1]).values()
    last = segment(shell.cwd)
    assert place == [int(last.stem), last.stat().st_size]


def test_a_half_written_redaction_is_none_yet(shell: Shell, target: str) -> None:
    shell(f"ev redact {target} --reason x")
    path = segment(shell.cwd)
    whole = path.read_bytes()
    cache(shell).unlink(missing_ok=True)
    path.write_bytes(whole[:-1])  # as a reader sees it while it is written
    assert SECRET in shell("ev replay").out
    path.write_bytes(whole)
    assert SECRET not in shell("ev replay").out


def test_again_is_done_and_another_reason_is_bad_data(shell: Shell, target: str) -> None:
    first = shell(f"ev redact {target} --reason x").one
    again = shell(f"ev redact {target} --reason x").one
    assert again == first | {"$dup": True}
    shell(f"ev redact {target} --reason y", expect=65)


def test_a_redaction_that_is_redacted_stands_without_its_reason(shell: Shell, target: str) -> None:
    wrong = shell(f"ev redact {target} --reason 'it was {SECRET}'").one["event_id"]
    shell(f"ev redact {wrong} --reason x")
    assert SECRET not in shell("ev replay").out
    assert shell(f"ev show {target}").one["body"] == {"redacted": True, "by": wrong, "reason": ""}


def test_the_line_is_named_by_its_hash(shell: Shell, target: str) -> None:
    raw = segment(shell.cwd).read_bytes().split(b"\n")[0]
    number = int(hashlib.sha256(raw).hexdigest(), 16) >> 126
    expected = "".join(ids.CROCKFORD[number >> 5 * place & 31] for place in range(25, -1, -1))
    assert shell(f"ev redact {target} --reason x").one["body"]["h"] == expected


def test_what_cannot_be_redacted_is_said(shell: Shell, target: str) -> None:
    assert shell("ev redact ZZZZ --reason x", expect=1).err == "ev: ZZZZ: no such event\n"
    assert "longer than 200" in shell(f"ev redact {target} --reason {'é' * 101}", expect=65).err
    shell(f"ev redact {target}", expect=2)
    assert len(shell("ev replay").lines) == 1


def test_what_the_arbiter_says_is_not_hidden(shell: Shell, target: str) -> None:
    confirmed = shell(f"ev show {target}").one | {"writer": "arbiter.main~k3f9x2ab"}
    path = shell.cwd / ".coord/journal/arbiter.main~k3f9x2ab/000000000001.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps(confirmed | {"seq": 1, "event_id": target[:-4] + "0000"}) + "\n")
    shell(f"ev redact {target[:-4]}0000 --reason x", expect=1)
    shell(f'ev emit coord.redacted --body \'{{"target":"{target[:-4]}0000","reason":"x"}}\'')
    assert SECRET in shell(f"ev show {target[:-4]}0000").out
