"""Formula files: TOML, or JSON, and those beside them by name."""

from __future__ import annotations

import os
import tomllib

from coord_envelope import codec
from coord_envelope.errors import BadData, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

ENDINGS = (".formula.toml", ".toml", ".formula.json", ".json")
LONGEST = 16 << 20
"""Bytes of a file."""


class Source:
    """A formula file, and the directory in which those that it names are found."""

    def __init__(self, path: str) -> None:
        """Raises BadData, Unreachable, OSError."""
        self.path = path
        self.directory = os.path.dirname(path) or "."
        self.data = _parsed(path)
        self._read: dict[str, Json] = {}

    def read(self, name: str) -> Json:
        """The formula of this name beside the file. Raises ValueError with the reason."""
        if name not in self._read:
            if not name or "/" in name or "\0" in name or name.startswith("."):
                raise ValueError(f"not the name of a formula: {name!r}")
            paths = (os.path.join(self.directory, name + ending) for ending in ENDINGS)
            path = next(filter(os.path.isfile, paths), None)
            if path is None:
                raise ValueError(f"no formula {name!r} in {self.directory}")
            try:
                self._read[name] = _parsed(path)
            except (BadData, OSError) as error:
                raise ValueError(f"{name}: {error}") from None
        return self._read[name]


def _parsed(path: str) -> Json:
    if path == "-":
        data = _bytes(0, "standard input")
    else:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unreachable("no such file", where=path) from None
        try:
            data = _bytes(fd, path)
        finally:
            os.close(fd)
    try:
        if path.endswith(".json"):
            value = codec.loads(data)
        else:
            value = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as reason:
        kind = "JSON" if path.endswith(".json") else "TOML"
        raise BadData(f"not {kind}: {reason}", where=path) from None
    if not isinstance(value, dict):
        raise BadData("not a formula", where=path)
    _inlined(value, os.path.dirname(path) or ".", path)
    return value


def _bytes(fd: int, where: str) -> bytes:
    found = bytearray()
    try:
        while chunk := os.read(fd, 1 << 16):
            found += chunk
            if len(found) > LONGEST:
                raise BadData(f"longer than {LONGEST:,} bytes", where=where)
    except OSError as error:
        error.filename = where
        raise
    return bytes(found)


def _inlined(value: object, directory: str, path: str) -> None:
    """Put the texts of `description_file` where they are named: files below the directory."""
    if isinstance(value, list):
        for each in value:
            _inlined(each, directory, path)
    if not isinstance(value, dict):
        return
    for each in value.values():
        _inlined(each, directory, path)
    name = value.get("description_file")
    if isinstance(name, str) and name:
        full = os.path.realpath(os.path.join(directory, name))
        home = os.path.realpath(directory)
        if os.path.commonpath((full, home)) != home:
            raise BadData(f"description_file is outside of {directory}: {name}", where=path)
        try:
            with open(full, encoding="utf-8") as file:
                value["description"] = file.read(LONGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise BadData(f"description_file: {error}", where=path) from None
