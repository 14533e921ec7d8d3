"""Settings files as text: JSON and TOML that somebody wrote, changed and otherwise as it was. Pure.

What cannot be changed without a loss (comments in JSON, a key that is there twice) is refused.
"""

from __future__ import annotations

import json
import re
import tomllib  # 22 ms

from coord_coord.merge import SERVER, is_server
from coord_envelope.errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json

BOM = "\ufeff"


def changed_json(text: str, change: Callable[[Json], Json]) -> str:
    """The JSON text of the changed settings; the very text if nothing changes. Raises BadData.

    Indentation, line ends and byte order mark stay. An empty text has no settings yet.
    """
    settings = _parsed(text.removeprefix(BOM))
    done = change(settings)
    if done == settings:
        return text
    if not done:
        return ""
    written = json.dumps(done, indent=_indent(text), ensure_ascii=False)
    if not _is_utf8(written):  # a lone surrogate, which only an escape can hold
        written = json.dumps(done, indent=_indent(text))
    bom = BOM if text.startswith(BOM) else ""
    return bom + _ended(written, text)


def _parsed(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        settings = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite
        )
    except RecursionError:
        raise BadData("nested too deeply", todo="correct the file") from None
    except json.JSONDecodeError as error:
        if re.search(r"^\s*(//|/\*)", text, re.MULTILINE):
            what = "has comments, which are not JSON and would be lost"
        else:
            what = f"not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise BadData(what, todo="correct the file") from None
    except ValueError as error:  # a number of more digits than Python converts
        what = f"not valid JSON: {str(error).partition(';')[0]}"
        raise BadData(what, todo="correct the file") from None
    if not isinstance(settings, dict):
        raise BadData("not a JSON object", todo="correct the file")
    return settings


def _refused(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _finite(digits: str) -> float:
    if float(digits) in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is not a finite number")
    return float(digits)


def _unique(pairs: list[tuple[str, object]]) -> Json:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f"{json.dumps(twice)} is there twice", todo="remove one of them")
    return fields


def _indent(text: str) -> str | int | None:
    match = re.search(r"\n([ \t]+)\S", text)
    if match:
        return match[1]
    return 2 if "\n" in text.strip() or not text.strip() else None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ended(written: str, before: str) -> str:
    """With the line ends that the text had."""
    if not before or before.endswith("\n"):
        written += "\n"
    return written.replace("\n", "\r\n") if "\r\n" in before else written


def with_toml_server(text: str, agent: str) -> str:
    """The TOML text with our MCP server, as a table at its end. Raises BadData."""
    settings = _toml(text)
    known, ours = _server_of(settings), tomllib.loads(block(agent))["mcp_servers"][SERVER]
    if known == ours:
        return text
    line_end = "\r\n" if "\r\n" in text else "\n"
    table = block(agent).replace("\n", line_end)
    if known is None:
        apart = "" if not text else line_end if text.endswith("\n") else line_end * 2
        done = text + apart + table
    else:
        done = _BLOCK.sub(lambda _: table, text, count=1)
    return _checked(done, settings, ours)


def without_toml_server(text: str) -> str:
    """The TOML text without our MCP server. Raises BadData."""
    settings = _toml(text)
    if _server_of(settings) is None:
        return text
    return _checked(_BLOCK_APART.sub("", text, count=1), settings, None)


def block(agent: str) -> str:
    """Our MCP server in TOML."""
    return (
        f'[mcp_servers.{SERVER}]\ncommand = "coord-mcp"\nargs = ["stdio"]\n'
        f'env = {{ COORD_AGENT = "{agent}" }}\n'
    )


_PATTERN = re.escape(block("AGENT")).replace("AGENT", r'[^"\n]*').replace("\\\n", r"\r?\n")
_BLOCK, _BLOCK_APART = re.compile(_PATTERN), re.compile(rf"(?:(?<=\n)\r?\n)?{_PATTERN}")


def _checked(text: str, settings: Json, ours: Json | None) -> str:
    """The text, if it says what these settings say with our server as it shall be."""
    servers = {**settings.get("mcp_servers", {}), SERVER: ours}
    if ours is None:
        del servers[SERVER]
    wanted = {**settings, "mcp_servers": servers}
    if not servers:
        del wanted["mcp_servers"]
    try:
        same = tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        what = "mcp_servers has a form that only its author can change"
        raise BadData(what, todo=f"add, change or remove [mcp_servers.{SERVER}] by hand")
    return text


def _server_of(settings: Json) -> Json | None:
    servers = settings.get("mcp_servers", {})
    if not isinstance(servers, dict):
        raise BadData("mcp_servers is not a table", todo="correct the file")
    known = servers.get(SERVER)
    if known is not None and not is_server(known):
        todo = "rename or remove it, then run this again"
        raise BadData(f"mcp_servers.{SERVER} is another program's", todo=todo)
    return known


def _toml(text: str) -> Json:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise BadData("nested too deeply", todo="correct the file") from None
    except ValueError as error:
        what = f"not valid TOML: {str(error).partition(';')[0]}"
        raise BadData(what, todo="correct the file") from None


_OURS = re.compile(r"coord-hooks (?:settings|start) ")
_TABLE = re.compile(
    r"""(?:^|(?<=\n)(?:\r?\n)?)\[\[hooks\]\]\r?\n
    event\ =\ "[^"\n]*"\r?\n
    (?:matcher\ =\ "[^"\n]*"\r?\n)?
    command\ =\ '(?:coord-hooks|msg\ hook)\ [^'\n]*'\r?\n
    timeout\ =\ \d+\r?\n(?:\r?\n)?""",
    re.VERBOSE,
)
"""A hook of ours, as `coord-hooks settings` prints it."""


def whole(text: str, printed: str) -> str:
    """The text of a file that is ours alone. Raises BadData if another program's is there."""
    if text.strip() and not _OURS.search(text):
        raise BadData("is not a file of coord", todo="move it away, then run this again")
    return printed


def without_whole(text: str) -> str:
    """Nothing, if the file is ours."""
    return "" if _OURS.search(text) else text


def with_tables(text: str, printed: str) -> str:
    """The TOML text with our hooks as tables at its end. Raises BadData."""
    if "".join(_TABLE.findall(text)).lstrip("\n") == printed:
        return text
    kept = without_tables(text)
    apart = "" if not kept else "\n" if kept.endswith("\n") else "\n\n"
    done = kept + apart + printed
    hooks = _toml(kept).get("hooks", [])
    if not isinstance(hooks, list) or _hooked(done) != [*hooks, *_toml(printed)["hooks"]]:
        raise BadData("hooks has a form that only its author can change", todo=_BY_HAND)
    return done


def without_tables(text: str) -> str:
    """The TOML text without our hooks. Raises BadData."""
    hooks = _toml(text).get("hooks", [])
    done = _TABLE.sub("", text)
    if done == text:
        return text
    left = [hook for hook in hooks if not _OURS_HOOK.match(str(hook.get("command", "")))]
    if _hooked(done) != left:
        raise BadData("hooks has a form that only its author can change", todo=_BY_HAND)
    return done


_BY_HAND = "add, change or remove our [[hooks]] by hand"
_OURS_HOOK = re.compile(r"(?:coord-hooks|msg hook) ")


def _hooked(text: str) -> object:
    try:
        return tomllib.loads(text).get("hooks", [])
    except tomllib.TOMLDecodeError:
        return None
