"""Text without control characters and bidirectional marks. Imports nothing: a hook waits for it."""

from __future__ import annotations

_CODES = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x61C, 0x200E, 0x200F, 0xFEFF),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
_ESCAPES = {code: f"\\u{{{code:x}}}" for code in _CODES}
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _CODES}


def visible(text: str) -> str:
    """The text with control characters and bidirectional marks as `\\u{…}`."""
    return text.translate(_ESCAPES)


def shown(text: str, most: int) -> str:
    """As `visible`, cut to so many characters."""
    line = visible(text[: most + 1])
    return line if len(line) <= most else f"{line[:most]}…"


def printable(lines: list[str]) -> bytes:
    """The lines as `visible`, in UTF-8, each with a line feed, which is the only one in it."""
    return "".join(f"{visible(line)}\n" for line in lines).encode("utf-8", "replace")


def escape_json(raw: bytes) -> bytes:
    """The same JSON with those characters as \\uXXXX: only strings can hold them."""
    return raw.decode("utf-8", "replace").strip().translate(_JSON_ESCAPES).encode()
