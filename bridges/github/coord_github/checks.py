"""The checks of commits, as drafts of events. What an answer becomes is pure.

    ci.failed        a check of an open pull request failed
    ci.completed     a check is over that a merge queue waits for, or as the queue calls it

A key has the run of the check and when it was over: a second run is a second event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from coord_envelope import BadData, No, codec
from coord_envelope.event import KERNEL, type_fault
from coord_github.fields import desc_of, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_github.api import Api

FAILED = ("failure", "timed_out", "cancelled", "action_required", "startup_failure", "error")
PASSED = ("success", "neutral", "skipped")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ACTIONS = "github-actions"


class Checks:
    """The checks of commits of a repository."""

    def __init__(self, api: Api, slug: str) -> None:
        self._api, self._slug = api, slug
        self._runs: dict[str, list[Json]] = {}
        """By commit, what was answered last."""

    def of(self, commit: str) -> list[Json]:
        """The checks and statuses of a commit. Raises Fault."""
        if not _SHA.fullmatch(commit):
            return []
        paths = (f"/commits/{commit}/check-runs", f"/commits/{commit}/status")
        for path in paths:
            try:
                rows = self._api.changed(path, {})
            except (No, BadData):  # the commit is not of this repository, or not there yet
                rows = iter(())
            if rows is not None:
                self._runs[path] = [as_run(row) if "context" in row else row for row in rows]
        return [run for path in paths for run in self._runs.get(path, ())]

    def failed(self, commit: str, number: int) -> Iterator[Json]:
        """Drafts of the checks that failed, of a pull request. Raises Fault."""
        for run in self.of(commit):
            body = body_of(run, self._slug, commit)
            if body and body["conclusion"] in FAILED:
                body |= {"job": body["check"], "pr": number}
                yield {"type": "ci.failed", "body": body, "idempotency_key": _key(run, self._slug)}

    def asked(self, asks: Iterable[Json]) -> Iterator[Json]:
        """Drafts of the answers to what a merge queue asks. Raises Fault."""
        for ask in asks:
            kind = ask.get("event")
            if type_fault(kind) or str(kind).partition(".")[0] in KERNEL:
                continue
            for run in self.of(str(ask.get("commit"))):
                body = body_of(run, self._slug, str(ask.get("commit")))
                if body and answers(ask, body):
                    key = _key(run, self._slug)
                    yield {"type": kind, "body": body, "idempotency_key": key}

    def again(self, ask: Json) -> Json | None:
        """The check that has to be run again for this ask; None if it runs, or there is none."""
        commit = str(ask.get("commit"))
        for run in self.of(commit):
            body = body_of(run, self._slug, commit)
            if body and answers(ask, body) and "context" not in run:
                return run
        return None

    def rerun(self, run: Json) -> None:
        """Have a check run again. Raises Fault."""
        app = run.get("app")
        actions = isinstance(app, dict) and app.get("slug") == _ACTIONS
        kind, verb = ("actions/jobs", "rerun") if actions else ("check-runs", "rerequest")
        self._api.write("POST", f"/{kind}/{run['id']}/{verb}", {})


def answers(ask: Json, body: Json) -> bool:
    """Has the body the fields that the queue waits for?"""
    where = ask.get("where")
    wanted = where if isinstance(where, dict) else {}
    return all(name in body and codec.same(body[name], value) for name, value in wanted.items())


def body_of(run: Json, slug: str, commit: str) -> Json | None:
    """The body of an event about a check that is over; None while it is not. Total."""
    ident, conclusion = run.get("id"), run.get("conclusion")
    if type(ident) is not int or not isinstance(conclusion, str):
        return None
    if conclusion not in FAILED and conclusion not in PASSED:
        return None
    output = run.get("output")
    body: Json = {
        "repository": slug,
        "commit": commit,
        "check": title_of(run.get("name")),
        "conclusion": conclusion,
        "url": str(run.get("html_url") or run.get("details_url") or "")[:2000],
    }
    summary = desc_of(output.get("summary")) if isinstance(output, dict) else ""
    return body | ({"text": summary[:4000]} if summary else {})


def as_run(status: Json) -> Json:
    """A commit's status, of the older API, in the form of a check."""
    state: Any = status.get("state")
    return {
        "id": status.get("id"),
        "name": status.get("context"),
        "context": True,
        "conclusion": state if state in (*FAILED, *PASSED) else None,
        "html_url": status.get("target_url"),
        "completed_at": status.get("updated_at"),
        "output": {"summary": status.get("description")},
    }


def _key(run: Json, slug: str) -> str:
    over = str(run.get("completed_at"))[:30]
    return f"github:{slug}:check:{run['id']}:{run['conclusion']}:{over}"
