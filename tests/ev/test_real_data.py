"""A week of a real fleet through the pipe, twice: 3,667 events of 31 actors, and 788 messages."""

from __future__ import annotations

import json

import pytest
from support import DATA, Shell

SOURCE = DATA / "gastown_audit_3667.jsonl"
EVENT = (
    '{type:("audit."+.event_type), actor:{on_behalf_of:.actor}, refs:{issue_id}, '
    'idempotency_key:"gt:\\(.id)", body:{new_value,old_value,comment,created_at}}'
)
MAIL = '{to:"agent:qa", subject:.refs.issue_id, text:"closed", idempotency_key:.event_id}'

pytestmark = pytest.mark.skipif(
    not SOURCE.exists(), reason="shared/data is not beside this checkout"
)


def test_a_real_fleets_week_is_kept_and_twice_is_once(shell: Shell) -> None:
    for _ in range(2):
        assert len(shell(f"jq -c '{EVENT}' {SOURCE} | ev emit").lines) == 3667
    replayed = shell("ev replay").lines
    originals = [json.loads(line) for line in SOURCE.read_text().split("\n") if line]
    assert len(replayed) == len(originals) == 3667
    assert len({event["actor"]["on_behalf_of"] for event in replayed}) == 31
    assert [event["body"]["new_value"] for event in replayed] == [
        one["new_value"] for one in originals
    ]


def test_a_pipe_of_mail_run_twice_sends_once(shell: Shell) -> None:
    shell(f"msg join --as qa; jq -c '{EVENT}' {SOURCE} | ev emit")
    for _ in range(2):
        assert (
            len(shell(f"ev replay --type 'audit.closed' | jq -c '{MAIL}' | msg send").lines) == 788
        )
    assert len(shell("msg recv --as qa").lines) == 788
    assert shell("ev verify").out == ""
