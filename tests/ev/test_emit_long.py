"""ev emit: a body that is too long for the line comes back whole."""

from __future__ import annotations

import json

from support import Shell


def test_a_long_body_is_kept_in_a_blob_and_printed_whole(shell: Shell) -> None:
    """History: a payload of 70 kB from elsewhere was refused."""
    body = {"x": "y" * 70_000, "n": 12345678901234567890123, "": [None]}
    (shell.cwd / "big.json").write_text(json.dumps(body))
    line = json.dumps({"type": "a.big", "body": body})
    for done in (shell("ev emit a.big --body @big.json"), shell("ev emit", line)):
        stored = done.one
        assert sorted(stored["body"]["blob"]) == ["bytes", "media", "sha256"]
        assert stored["body"]["blob"]["media"] == "application/json"
        shown = shell(f"ev show {stored['event_id']}").one
        assert shown == stored | {"$body": body}
        assert shell("ev show", json.dumps(shown)).one == shown
    assert shell("ev emit a.big --key k --body @big.json").one
    assert shell("ev emit a.big --key k --body @big.json").one["$dup"]
    short = shell("""ev emit a.small --body '{"blob":7}' -o id""").out.strip()
    assert "$body" not in shell(f"ev show {short}").one


def test_a_long_body_with_a_credential_or_of_a_kernel_type_is_refused(shell: Shell) -> None:
    secret = json.dumps({"type": "a.b", "body": {"x": "y" * 60_000 + "AKIA" + "A" * 16}})
    assert "credential" in shell("ev emit", secret, expect=77).err
    assert shell("ev emit --allow-secret", secret).one
    kernel = json.dumps({"type": "msg.sent", "to": ["agent:tester"], "body": {"x": "y" * 70_000}})
    assert "more than 65,536" in shell("ev emit", kernel, expect=65).err


def test_a_blob_that_is_not_here_is_one_line(shell: Shell) -> None:
    line = json.dumps({"type": "a.big", "body": {"x": "y" * 70_000}})
    sent = shell("ev emit -o id", line).out.strip()
    done = shell(f"rm -r .coord/blobs; ev show {sent}", expect=1)
    assert done.one["event_id"] == sent
    assert done.err.startswith(f"ev: {sent}: blob ") and done.err.count("\n") == 1
