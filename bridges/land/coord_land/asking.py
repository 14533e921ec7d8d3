"""Asking for a commit to land: keep it where the queue finds it, then write the request.

The commit is kept by a ref of its own at the remote, so it does not matter if the branch moves or
goes. A request that finds it cannot be kept is not written.
"""

from __future__ import annotations

import os
from hashlib import sha256

from coord_envelope.errors import BadData, No
from coord_kernel.store import locate
from coord_land import draft, fold, policy
from coord_land.lander import Requests
from coord_land.repository import KEPT, Repository, plain, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


def ask(call: Call, name: str | None, target: str | None, about: Json) -> Event:
    """The event of a request for a branch or commit, or the first one for the same.

    `about` has `priority`, `close` and a `work` item or None. Raises No, BadData, Unreachable.
    """
    store = call.journal.store
    remote, branch = policy.place(store, target)
    repository = Repository(os.path.realpath(locate.root(store.path)), remote, branch)
    name = name or repository.branch()
    if name is None:
        raise No("no branch is checked out here", todo="name a branch or a commit")
    sha = repository.resolve(name)
    if sha is None:
        raise No("no such branch or commit", where=name)
    name = repository.name(name) or sha
    if name == branch:
        raise BadData(f"{branch} is the target itself", todo="name another branch")
    work = _item(call, about["work"]) if about["work"] else None
    source = Requests(store).refresh()
    requests = [
        source.get(entity) for _, entity in source.find("sha", *_between(sha, branch, name))
    ]
    number = sum(fold.ended(request) is not None for request in requests)
    body: Json = {"target": branch, "branch": name, "sha": sha}
    key = draft.requested(body, number, None)["idempotency_key"]
    body["ref"] = f"{KEPT}{sha256(key.encode()).hexdigest()[:20]}"
    body |= {"priority": about["priority"], "title": plain(repository.subject(sha))[:150]}
    body |= {"close": True} if about["close"] else {}
    known = call.journal.index.refresh().by_key("land.requested", key)
    if known:
        return known.event.annotated(dup=True)
    refs = repository.refs()
    target_of(refs, repository.target, branch)
    if refs.get(body["ref"]) != sha:
        repository.change(body["ref"], "", sha)
    call.journal.index.refresh()
    with call.transaction() as t:
        first = call.journal.index.refresh().by_key("land.requested", key)
        return t.repeat(first.event) if first else t.add(draft.requested(body, number, work))


def _item(call: Call, text: str) -> str:
    event = call.event(text)
    if event is None or event["type"] != "work.created":
        raise No("no such work item", where=text, code="not_found")
    return event.id


def _between(sha: str, target: str, branch: str) -> tuple[str, str]:
    begin = f"{sha} {target} {branch} "
    return begin, f"{begin[:-1]}!"
