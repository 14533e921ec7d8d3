"""What settings become with our entries in them, or without. Pure.

What a user wrote stays: its order, its values, its other hooks, also beside ours in one group. A
hook of ours is known by its event and its first words, such as `coord-hooks edit`, so a later setup
finds and corrects it instead of adding a second one.
"""

from __future__ import annotations

import copy

from coord_envelope.errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

SERVER = "coord"
"""What the MCP server is called in a program's settings."""
DEFAULT = "--default"
"""The option of the server with the name of its agent, where COORD_AGENT names none."""
NAMING = (DEFAULT, "--as")


def with_hooks(settings: Json, wanted: Json) -> Json:
    """The settings with the wanted hooks: {event: [group]}. Raises BadData."""
    done = copy.deepcopy(settings)
    events = _table(done, "hooks")
    for event, groups in wanted.items():
        present = events.setdefault(event, [])
        if not isinstance(present, list):
            raise BadData(f"hooks.{event} is not a list", todo="correct the file")
        for group in groups:
            (hook,) = group["hooks"]
            same = [known for known in _hooks(present) if verb(known) == verb(hook)]
            for known in same:
                known["command"] = hook["command"]
            if not same:
                present.append(copy.deepcopy(group))
    return done


def without_hooks(settings: Json, wanted: Json) -> Json:
    """The settings without our hooks, and without what they leave empty. Raises BadData."""
    done = copy.deepcopy(settings)
    if "hooks" not in done:
        return done
    events = _table(done, "hooks")
    for event, groups in wanted.items():
        verbs = {verb(hook) for group in groups for hook in group["hooks"]}
        present = events.get(event)
        if isinstance(present, list) and any(verb(hook) in verbs for hook in _hooks(present)):
            events[event] = [*_kept(present, verbs)]
            if not events[event]:
                del events[event]
                if not events:
                    del done["hooks"]
    return done


def _kept(groups: list[object], verbs: set[str]) -> Iterator[object]:
    for group in groups:
        if not (isinstance(group, dict) and any(verb(hook) in verbs for hook in _hooks([group]))):
            yield group
            continue
        hooks = [
            hook for hook in group["hooks"] if not (isinstance(hook, dict) and verb(hook) in verbs)
        ]
        if hooks:
            yield group | {"hooks": hooks}


def _hooks(groups: list[object]) -> Iterator[Json]:
    """Each hook of a list of groups; what has another form is passed over."""
    for group in groups:
        hooks = group.get("hooks") if isinstance(group, dict) else None
        if isinstance(hooks, list):
            yield from (hook for hook in hooks if isinstance(hook, dict))


def verb(hook: Json) -> str:
    """What a command of ours does: `coord-hooks edit`, `msg hook --wait`; empty for others."""
    command = hook.get("command")
    words = command.split() if isinstance(command, str) else []
    program, word, *_ = [*words, "", ""]
    program = program.rpartition("/")[2]
    if program != "coord-hooks" and (program, word) != _MAIL:
        return ""
    return f"{program} {word}{' --wait' * ('--wait' in words)}"


_MAIL = ("msg", "hook")


def with_server(settings: Json, key: str, entry: Json) -> Json:
    """The settings with our MCP server in the table `key`.

    Of a server by our name that starts our program, only what keeps it from starting as `entry`
    says is changed: the transport and the agent. Raises BadData, also if another program has our
    name.
    """
    done = copy.deepcopy(settings)
    servers = _table(done, key)
    known = servers.setdefault(SERVER, copy.deepcopy(entry))
    if not is_server(known):
        todo = "rename or remove it, then run this again"
        raise BadData(f"{key}.{SERVER} is another program's", todo=todo)
    _start(known, entry)
    _name(known, entry)
    return done


def _start(known: Json, entry: Json) -> None:
    """Give a server of ours the command, the words and the type with which it starts."""
    program, words = _command(known)
    _, wanted = _command(entry)
    started = _words(words, wanted)
    if isinstance(entry["command"], list):
        known["command"] = [program, *started]
        known.pop("args", None)
    else:
        known |= {"command": program, "args": started}
    if "type" in entry:
        known["type"] = entry["type"]
    elif known.get("type", "stdio") != "stdio":
        del known["type"]


def _command(entry: Json) -> tuple[str, list[object]]:
    """The program that an entry starts and its words, in either form."""
    command, args = entry["command"], entry.get("args")
    words = args if isinstance(args, list) else []
    return (command[0], command[1:] + words) if isinstance(command, list) else (command, words)


def _words(present: list[object], wanted: list[object]) -> list[object]:
    """The words of a user with the wanted name for the agent; all of `wanted` if they do not fit.

    They fit if they start the server on standard input and output, as these programs speak to it.
    """
    words, at = list[object](), None
    rest = iter(present)
    for word in rest:
        if str(word).partition("=")[0] in NAMING:
            at = len(words) if at is None else at
            if "=" not in str(word):
                next(rest, None)
        else:
            words.append(word)
    if wanted[0] not in words:
        return [*wanted]
    # The options of `stdio` are valid behind it only.
    at = len(words) if at is None else max(at, words.index(wanted[0]) + 1)
    return [*words[:at], *wanted[1:], *words[at:]]


def _name(known: Json, entry: Json) -> None:
    """Let the environment of a server of ours name no other agent than `entry` does."""
    if "env" in entry:
        _table(known, "env")["COORD_AGENT"] = entry["env"]["COORD_AGENT"]
        return
    for field in ("env", "environment"):
        variables = known.get(field)
        if isinstance(variables, dict) and "COORD_AGENT" in variables:
            del variables["COORD_AGENT"]
            if not variables:
                del known[field]


def without_server(settings: Json, key: str) -> Json:
    """The settings without our MCP server, and without a table that it leaves empty."""
    done = copy.deepcopy(settings)
    servers = done.get(key)
    if isinstance(servers, dict) and is_server(servers.get(SERVER)):
        del servers[SERVER]
        if not servers:
            del done[key]
    return done


def is_server(entry: object) -> bool:
    """Does this entry of an MCP server start ours?"""
    command = entry.get("command") if isinstance(entry, dict) else None
    if isinstance(command, list) and command:
        command = command[0]
    return isinstance(command, str) and command.rpartition("/")[2] == "coord-mcp"


def with_word(settings: Json, key: str, word: str) -> Json:
    """The settings with a word in the list `key`. Raises BadData."""
    done = copy.deepcopy(settings)
    words = done.setdefault(key, [])
    if not isinstance(words, list):
        raise BadData(f"{key} is not a list", todo="correct the file")
    if word not in words:
        words.append(word)
    return done


def without_word(settings: Json, key: str, word: str) -> Json:
    """The settings without a word in the list `key`, and without a list that it leaves empty."""
    done = copy.deepcopy(settings)
    words = done.get(key)
    if isinstance(words, list) and word in words:
        done[key] = [other for other in words if other != word]
        if not done[key]:
            del done[key]
    return done


def _table(settings: Json, key: str) -> Json:
    table = settings.setdefault(key, {})
    if not isinstance(table, dict):
        raise BadData(f"{key} is not an object", todo="correct the file")
    return table
