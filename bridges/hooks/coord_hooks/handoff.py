"""What a session would hand over to the next one, written while it still can: `handoff.written`.

A session that dies says nothing, so this is written at the end of each turn, for each item that the
session holds. It says what is known without asking the model: the item, its last comment or the
answer that ended the turn, the branch, the commit, the files that are not committed. Nothing is
released. What was written already is not written again.
"""

from __future__ import annotations

import os
import re

from coord_envelope import codec
from coord_envelope.errors import Refused
from coord_envelope.secrets import refuse_secret
from coord_hooks import fold
from coord_kernel.rules import holder
from coord_kernel.views.view import View
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_hooks.fold import HandOver
    from coord_kernel import Journal
    from coord_wk.items import Detail

GOAL, PART, NAME, FILES = 500, 2_000, 400, 50
"""Most bytes of the goal, of each other part and of a file's name; the most files."""
PARTS = ("done", "next", "verify")
ANSWERS = ("last_assistant_message", "prompt_response")
"""Where programs give the answer that ended a turn."""
PATIENCE_S = 2
"""How long git may take: the hook at the end of Codex has 3 s."""
_LABEL = re.compile(r"[\s#*>-]*(done|next|left|to do|verify|test)\b[*\s]*:[*\s]*(.*)", re.I)
_OTHERS = {"left": "next", "to do": "next", "test": "verify"}


def write(journal: Journal, actor: Json, fields: Json) -> None:
    """Write what the session hands over, an event for each item that it holds. Raises Fault."""
    items = Items.current(View(journal.store, Items.fold))
    held = [items.detail(item) for item in items.owned(actor["agent_id"])]
    held = [item for item in held if _is_of(actor, item)]
    if held:
        said, tree, before = answered(fields), _tree(), View(journal.store, fold).refresh()
        drafts = [draft(actor, item, said, tree, before.get(item["work_id"])) for item in held]
        journal.append(actor, drafts)


def _is_of(actor: Json, item: Detail) -> bool:
    claim = item.get("claim")
    return claim is not None and holder.same(actor, claim["agent"], claim["session"])


def answered(fields: Json) -> str:
    """The answer that ended the turn; "" if there is none, or it seems to hold a credential."""
    said = next((text for name in ANSWERS if isinstance(text := fields.get(name), str)), "")
    try:
        refuse_secret(said.encode("utf-8", "replace"))
    except Refused:
        return ""
    return said


def draft(actor: Json, item: Detail, said: str, tree: Json, before: HandOver | None = None) -> Json:
    """The event about one item. Pure; the key names the session, the commit and the content.

    Where the agent says nothing, as at the end of a session, what it said `before` stands.
    """
    import zlib  # 1 ms

    claim, session = item["claim"], actor.get("session_id", "")
    assert claim  # it is held
    by = [comment for comment in item.get("comments", []) if comment["by"] == actor["agent_id"]]
    since = [comment for comment in by if comment["ts"] >= claim["ts"]]
    body: Json = {"session": session} if session else {}
    body |= {"claim": claim["id"], "goal": _cut(item["title"], GOAL)}
    told = parts(said) | (parts(since[-1]["text"]) if since else {})
    if not said and before and before["body"].get("claim") == claim["id"]:
        told = {name: before["body"][name] for name in PARTS if name in before["body"]} | told
    body |= told | tree
    number = zlib.crc32(codec.dumps(body))
    key = f"handoff:{session}:{tree.get('head', '')}:{claim['id']}:{number:08x}"
    refs = {"work_id": item["work_id"]}
    return {"type": "handoff.written", "refs": refs, "body": body, "idempotency_key": key}


def parts(text: str) -> Json:
    """`done`, `next` and `verify` of a text: lines that begin so, with what follows. Pure.

    A text without such a line is all `done`.
    """
    part, found = "done", dict[str, list[str]]()
    for line in text.strip().split("\n"):
        label = _LABEL.match(line)
        if label:
            word = label[1].lower()
            part, line = _OTHERS.get(word, word), label[2]
        found.setdefault(part, []).append(line)
    joined = {name: _cut("\n".join(lines).strip(), PART) for name, lines in found.items()}
    return {name: text for name, text in joined.items() if text}


def _tree() -> Json:
    """The state of the work tree that is the current directory; {} if git does not tell."""
    import subprocess  # 18 ms, once a turn of a session that holds an item

    argv = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z"]
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return state(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else {}


def state(text: str) -> Json:
    """{branch?, head?, dirty?, more?} of `git status --porcelain=v2 --branch -z`. Pure."""
    tree: Json = {}
    dirty, records = list[str](), iter(text.split("\0"))
    for record in records:
        kind, _, rest = record.partition(" ")
        if record.startswith("# branch.oid ") and "(" not in record:
            tree["head"] = record.split(" ")[2]
        elif record.startswith("# branch.head ") and "(" not in record:
            tree["branch"] = _cut(record.split(" ", 2)[2], NAME)
        elif kind in ("1", "u", "2"):
            dirty.append(rest.split(" ", {"1": 7, "u": 9, "2": 8}[kind])[-1])
            if kind == "2":  # a rename: its old name is a record of its own
                next(records, None)
        elif kind == "?":
            dirty.append(rest)
    if dirty:
        tree["dirty"] = [_cut(name, NAME) for name in sorted(dirty)[:FILES]]
    if len(dirty) > FILES:
        tree["more"] = len(dirty) - FILES
    return tree


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
