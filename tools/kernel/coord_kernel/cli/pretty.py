"""JSON in lines, as other programs print it for people: indented by two."""

from __future__ import annotations

from coord_envelope import codec


def pretty(value: object, indent: str = "") -> str:
    """The text of a value, without a newline at its end."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{_plain(str(key))}: {pretty(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + ",\n".join(inner + pretty(each, inner) for each in value) + f"\n{indent}]"
    return _plain(value)


def _plain(value: object) -> str:
    return codec.dumps(value).decode()
