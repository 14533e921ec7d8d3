"""The events that a merge queue writes. Pure. Those that end a request are mail to who asked."""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.secrets import masked
from coord_land.repository import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope.codec import Json
    from coord_kernel.controller import Act
    from coord_land.fold import Request

_WHY = {
    "conflict": "It conflicts with {target}",
    "empty": "It changes nothing in {target}",
    "policy": "With it {target} would have no queue",
    "git": "git cannot merge it into {target}",
    "gone": "Its commit {sha} is not in the repository",
    "gate": "It does not pass: {gate}. {target} does, without it",
}
_TODO = {
    "conflict": "Merge {target} into it, and add it again.",
    "empty": "There is nothing to do if it was merged already.",
    "policy": "Correct it, and add it again.",
    "git": "Correct it, and add it again.",
    "gone": "Push it, and add it again.",
    "gate": "Correct it, and add it again.",
}


def draft(act: Act, target: str, person: str) -> Json:
    """The event of an act, with its key. `person`: the address that a hold is sent to."""
    # The name of a file or a branch may look like a credential: the end is written all the same.
    event: Json = masked(_DRAFTS[act.kind](target=target, person=person, **act.about))
    return event


def requested(body: Json, number: int, work: str | None) -> Json:
    """The event of a request, the `number`th for the same after those that are over."""
    key = f"land:{body['target']}:{body['branch']}:{body['sha']}:{number}"
    refs = {"refs": {"work_id": work}} if work else {}
    return {"type": "land.requested", "body": body, "idempotency_key": key, **refs}


def withdrawn(request: Request, **about: str) -> Json:
    """The event by which a request leaves that is no longer wanted."""
    return _end("withdrawn", request, about)


def _withdraw(request: Request, by: str, **_: Any) -> Json:
    later = ids.short("land", by)
    about = {"why": "superseded", "by": by, "text": f"{later} is for the same branch."}
    return withdrawn(request, **about, subject=f"withdrawn: {_title(request)}")


def _landed(request: Request, commit: str, **_: Any) -> Json:
    text = f"{_named(request)} is commit {commit[:12]} of {request['target']}."
    about = {"commit": commit, "subject": f"landed: {_title(request)}", "text": text}
    return _end("landed", request, about)


def _reject(request: Request, why: str, base: str, **about: Any) -> Json:
    gate, files, runs = about.get("gate"), about.get("files"), about.get("runs") or []
    known = {"target": request["target"], "sha": request["sha"][:12], "gate": gate and gate.name}
    lines = [f"{_named(request)} did not land. {_WHY[why].format(**known)}."]
    lines += [f"({about['note']}.)"] if about.get("note") and not files else []
    lines += ["", *(f"  {plain(file)}" for file in files)] if files else []
    lines += ["", *(f"  run logs {ids.short('run', run)}" for run in runs)] if runs else []
    body: Json = {"why": why, "base": base}
    body |= {"gate": gate.id, "name": plain(gate.name)} if gate else {}
    body |= {"files": [plain(file)[:1000] for file in files]} if files else {}
    body |= {"runs": runs} if runs else {}
    text = "\n".join((*lines, "", _TODO[why].format(**known)))
    body |= {"subject": f"rejected: {_title(request)}", "text": text}
    return _end("rejected", request, body)


def _end(how: str, request: Request, about: Json) -> Json:
    body = {"target": request["target"], "request": request["id"], **about}
    return {
        "type": f"land.{how}",
        "body": body,
        "to": [request["by"]],
        "idempotency_key": f"end:{request['id']}",
        **({"refs": {"work_id": request["work"]}} if "work" in request else {}),
    }


def _batched(target: str, base: str, requests: list[str], **_: Any) -> Json:
    body = {"target": target, "base": base, "requests": requests}
    return _keyed("land.batched", body, f"batch:{target}:{base}:{requests[0]}")


def _tested(target: str, outcome: str, more: Json, **about: Any) -> Json:
    gate, run = about["gate"], more.get("run")
    body = {"target": target, "base": about["base"], "commit": about["commit"], "gate": gate.id}
    body |= {"attempt": about["attempt"], "outcome": outcome, "name": plain(gate.name)}
    body |= {name: value for name, value in more.items() if name != "run"}
    body |= {"epoch": about["epoch"]} if about["epoch"] else {}
    body["requests"] = about["requests"]
    refs = {"refs": {"run_id": run}} if run else {}
    return _keyed("land.tested", body, _of_test("tested", about)) | refs


def _held(target: str, person: str, base: str, **about: Any) -> Json:
    gate, outcomes, epoch = about["gate"], about["outcomes"], about["epoch"]
    text = (
        f"{gate.name}: {', '.join(outcomes)} on {target} itself ({base[:12]}).\n"
        "Nothing lands until the gate or the target changes, or you say so:\n\n"
        f"  coord-land resume --target {target}"
    )
    body = {"target": target, "base": base, "gate": gate.id, "name": plain(gate.name)}
    body |= {"outcomes": outcomes, "subject": f"the queue of {target} is held", "text": text}
    return _keyed("land.held", body, f"held:{base}:{gate.id}:{epoch}") | {"to": [person]}


def asked(target: str, about: Json, remote: str, ref: str, until: str) -> Json:
    """The event that asks for a hosted check."""
    gate = about["gate"]
    body = {"target": target, "base": about["base"], "commit": about["commit"], "gate": gate.id}
    body |= {"attempt": about["attempt"], "event": gate.event, "by": gate.by, "where": gate.where}
    body |= {"pass": gate.passes, "remote": remote, "ref": ref, "until": until}
    return _keyed("land.asked", body, _of_test("asked", about))


def _of_test(what: str, about: Json) -> str:
    return f"{what}:{about['base']}:{about['gate'].id}:{about['commit']}:{about['attempt']}"


def _keyed(kind: str, body: Json, key: str) -> Json:
    return {"type": kind, "body": body, "idempotency_key": key}


def _title(request: Request) -> str:
    return (plain(request["title"]) or plain(request["branch"]))[:150]


def _named(request: Request) -> str:
    return f"{plain(request['branch'])} ({ids.short('land', request['id'])})"


_DRAFTS: dict[str, Callable[..., Json]] = {
    "landed": _landed,
    "withdraw": _withdraw,
    "reject": _reject,
    "batch": _batched,
    "tested": _tested,
    "hold": _held,
}
