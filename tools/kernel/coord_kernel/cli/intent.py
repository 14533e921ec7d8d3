"""What to use here for the command or option of another program, or for a misspelled one.

Only what does the same is suggested.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

COMMANDS = {
    "wk": {
        "add create make task issue": "wk new",
        "list filter all": "wk ls",
        "find query grep": "wk search TEXT",
        "get view info cat describe details": "wk show",
        "history events blame": "wk log",
        "set modify change rename label tag priority": "wk update ID",
        "hold": "wk update ID --hold WHY",
        "defer snooze": "wk update ID --defer-until TIME",
        "assign": "wk update ID --assignee AGENT",
        "start take begin pick grab": "wk claim",
        "next available unblocked": "wk ready",
        "done finish finished complete completed resolve": "wk close",
        "delete del remove rm cancel drop discard": "wk close --resolution cancelled",
        "duplicate dup": "wk close --dup-of ID",
        "wontfix wont-fix": "wk close --resolution wontfix",
        "hand-off give delegate pass transfer": "wk handoff ID --to AGENT",
        "idle untouched old": "wk stale",
        "unclaim unassign stop pause give-back return yield": "wk release",
        "block blocked-by depend depends deps dependency link needs": "wk dep ITEM BLOCKER",
        "unblock undep unlink": "wk dep ITEM BLOCKER --rm",
        "blocked": "wk ls --status blocked",
        "note comments say remark": "wk comment",
        "children graph parts epic": "wk tree",
        "stats count summary": "wk status",
        "my me claimed": "wk mine",
        "batch": "wk apply",
        "attach artifacts": "wk artifact",
        "follow tail monitor": "wk watch",
        "init": "ev init",
        "sync pull push": "ev sync",
        "send mail": "msg send",
        "inbox": "msg recv",
    },
    "ev": {
        "add append create new publish pub send post write log-event record": "ev emit",
        "log ls list last recent head": "ev tail",
        "read cat dump all history export": "ev replay",
        "get view info": "ev show",
        "find search grep": "ev replay --grep REGEX",
        "follow subscribe sub listen stream": "ev tail -f",
        "pull push fetch clone exchange": "ev sync",
        "check fsck validate doctor": "ev verify",
        "delete rm remove hide erase": "ev redact",
        "status count stat": "ev stats",
        "who users members agent": "ev agents",
        "react on trigger": "ev consume",
    },
    "lease": {
        "lock take claim hold reserve add create new": "lease acquire",
        "unlock free drop delete rm remove return done": "lease release",
        "list status leases who locks": "lease ls",
        "extend refresh keep heartbeat prolong": "lease renew",
        "view info": "lease show",
        "break force": "lease steal",
        "run exec do": "lease with RESOURCE -- CMD",
        "check verify": "lease guard",
        "follow tail": "lease watch",
    },
    "msg": {
        "inbox get receive check fetch pull": "msg recv",
        "list all log history": "msg ls",
        "write create new add post mail compose push publish": "msg send",
        "done delete rm remove archive close": "msg ack",
        "mark-read seen": "msg read",
        "find grep query": "msg search TEXT",
        "return reject release": "msg nack",
        "answer respond": "msg reply",
        "view cat info open": "msg show",
        "register subscribe": "msg join",
        "unsubscribe": "msg leave",
        "retry redeliver": "msg requeue",
        "download attachments": "msg save",
        "follow tail": "msg watch",
    },
    "run": {
        "start submit create new add queue enqueue spawn": "run request",
        "list jobs ps": "run ls",
        "get view info status inspect describe": "run show",
        "kill stop delete rm remove abort": "run cancel",
        "again rerun restart redo": "run retry",
        "background bg nohup": "run exec --detach",
        "clean clear gc purge": "run prune --older TIME",
        "log output tail cat": "run logs",
        "wait follow": "run attach",
        "work serve": "run worker",
        "do sh": "run exec",
        "result check": "run poll",
    },
}
"""Tool → words of other programs → what does it here."""
OPTIONS = {
    "--json --jsonl": "-o jsonl",
    "--format --out --output-format": "-o",
    "--table": "-o table",
    "--ids --quiet --porcelain": "-o id",
    "--limit --count --number --head": "-n|--max",
    "--max": "-n",
    "--message --text": "--note|--body|--reason",
    "--comment": "--note",
    "--why": "--reason",
    "--description": "--desc",
    "--type --issue-type": "--kind",
    "--tag --labels --add-label": "--label",
    "--remove-label": "--rm-label",
    "--depends-on --deps": "--blocked-by",
    "--assign": "--assignee",
    "--follow --watch --stream": "-f",
    "--duration": "--ttl",
    "--remove --delete": "--rm",
    "--idempotency-key": "--key",
    "--actor --as-agent": "--as",
}
"""Options of other programs → what stands for them here, of which a command has one or none."""


def command(tool: str, word: str, known: Collection[str]) -> str | None:
    """What to use for this word in place of a command, `known` being those there are."""
    meant = _looked_up(COMMANDS.get(tool, {}), word.lower())
    if meant:
        return meant
    near = nearest(word.lower(), known)
    return near and f"{tool} {near}"


def option(word: str, known: Collection[str]) -> str | None:
    """What to use for this option, `known` being those that the command has."""
    for meant in (_looked_up(OPTIONS, word) or "").split("|"):
        if meant.partition(" ")[0] in known:
            return meant
    return nearest(word, known)


def _looked_up(table: dict[str, str], word: str) -> str | None:
    return next((meant for words, meant in table.items() if word in words.split()), None)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The only name that it begins, or from which it differs by a slip or two of the fingers."""
    letters = len(word.strip("-"))
    near = [
        name
        for name in known
        if (letters > 2 and name.startswith(word))
        or distance(word, name) <= min(letters - 1, 1 + (letters > 5))
    ]
    return near[0] if len(near) == 1 else None


def distance(one: str, other: str) -> int:
    """Characters to insert, delete, replace, or swap with the next, until both are equal."""
    before, last = list[int](), list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]
