"""Templates: what others wrote is text, without control characters, and escaped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Undefined
from markupsafe import Markup, escape

from coord_envelope import VERSION, ids, world
from coord_kernel.cli.escape import visible
from coord_kernel.cli.words import age_ms, who

HERE = Path(__file__).parent
LONGEST = 20_000
"""Characters of a text that are shown."""
_LINK = re.compile(r"\bhttps?://[^\s<>\"'`)\]]{1,500}")
_TICKS = re.compile(r"`([^`]*)`")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def plain(text: object) -> str:
    """One line without control characters; what cannot be encoded is replaced."""
    return visible(str(text)).encode("utf-8", "replace").decode()


def _shown(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def lines(text: object) -> Markup:
    """A text of several lines, as it is."""
    whole = str(text).replace("\r\n", "\n").expandtabs(8)
    cut = whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}\n…"
    return Markup("\n").join(escape(plain(line)) for line in cut.split("\n"))


def prose(text: object) -> Markup:
    """A text of several lines, whose addresses are links."""
    whole = lines(text)
    link = Markup('<a href="{0}" rel="noopener noreferrer nofollow">{0}</a>')
    parts, end = [], 0
    for found in _LINK.finditer(whole):
        parts += [Markup(whole[end : found.start()]), link.format(Markup(found[0]))]
        end = found.end()
    parts.append(Markup(whole[end:]))
    return Markup("").join(parts)


def ticks(text: object) -> Markup:
    """What is between backticks as code."""
    return Markup(_TICKS.sub(r"<code>\1</code>", str(escape(plain(text)))))


def clock(ts: object) -> str:
    """A stamp, to the second."""
    text = str(ts)
    return f"{text[:10]} {text[11:19]} UTC" if len(text) >= 20 else plain(text)


def ago(ts: object, now_ms: int) -> str:
    """How long ago a stamp is."""
    try:
        ms = now_ms - world.parse_ts(str(ts))
    except (ValueError, OverflowError):
        return "at an unknown time"
    return f"{age_ms(ms)} ago" if ms >= 0 else f"in {age_ms(-ms)}"


def cut(text: object, most: int) -> str:
    """The beginning of a text."""
    whole = plain(text)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def anchor(name: object) -> str:
    """A name as a part of a URL that begins with #."""
    text = str(name)
    safe = _UNSAFE.sub("-", text)
    same = safe == text.replace(":", "-")
    return (
        safe
        if same
        else f"{safe}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:6]}"
    )


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "who": who,
        "age": age_ms,
        "ago": ago,
        "clock": clock,
        "short": lambda full: ids.short("wk", str(full)),
        "lines": lines,
        "prose": prose,
        "ticks": ticks,
        "cut": cut,
        "anchor": anchor,
    }
    return made


ENVIRONMENT = _environment()
FILES = {
    name: ((HERE / "static" / name).read_bytes(), kind)
    for name, kind in (
        ("coord.css", "text/css; charset=utf-8"),
        ("coord.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    )
}
"""Our own files: bytes and type. All a page loads."""
STAMP = hashlib.sha256(VERSION.encode() + b"".join(data for data, _ in FILES.values())).hexdigest()[
    :8
]
"""Changes with every file, so that they may be kept for ever."""


def render(name: str, context: dict[str, Any]) -> str:
    """The HTML of a template."""
    return ENVIRONMENT.get_template(f"{name}.html").render(context)
