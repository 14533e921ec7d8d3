"""What coord.pyz does when Python runs it: unpack once, then execute the command.

The shell's part before the archive finds what is unpacked without Python. This part also serves
`python3 coord.pyz`, where there is no shell.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
NATIVE = ("orjson", "rpds")
"""Packages that are nothing without their compiled part."""


def main() -> None:
    archive, *words = sys.argv
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets here, too
        fail(f"Python {VERSION} is too old; use Python 3.11 or later")
    if words[:1] == ["link"]:
        link(archive, words[1:])
    home = unpacked(archive)
    name = os.path.basename(archive)
    if name.endswith(".pyz"):
        name = words.pop(0) if words and words[0] in os.listdir(f"{home}/bin") else "coord"
    python = f"{home}/bin/python"  # not by the first line of the script: maybe without a shell
    os.execv(python, [python, f"{home}/bin/{name}", *words])


def unpacked(archive: str) -> str:
    """The virtual environment of this archive for this Python, made if it is not there."""
    with zipfile.ZipFile(archive) as packed:
        build = packed.read("build").decode()
        refused = []
        for cache in caches():
            home = f"{cache}/{build}-{VERSION}"
            try:
                os.makedirs(cache, mode=0o700, exist_ok=True)
                if os.lstat(cache).st_uid != os.getuid():
                    raise PermissionError(f"{cache}: belongs to another user")
                if not os.path.isdir(home):
                    unpack(packed, cache, home)
            except OSError as error:
                refused.append(str(error))
                continue
            return home
    return fail(f"no place to unpack to ({'; '.join(refused)}); set XDG_CACHE_HOME to a directory")


def caches() -> list[str]:
    """Where to unpack, the best first. The last one serves where there is no home: a Lambda."""
    homes = [os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")]
    found = [f"{home}/coord" for home in homes[: 1 if homes[0] else 2] if os.path.isabs(home)]
    return [*found, f"{tempfile.gettempdir()}/coord-{os.getuid()}"]


def unpack(packed: zipfile.ZipFile, cache: str, home: str) -> None:
    """Make `home` whole or not at all; several processes may try at once."""
    making = tempfile.mkdtemp(dir=cache, prefix=".making-")
    try:
        tree = f"{making}/home"
        packages = f"{tree}/lib/python{VERSION}/site-packages"
        for entry in packed.infolist():
            part, _, path = entry.filename.partition("/")
            if part == "packages" and usable(path):
                write(packed, entry, f"{packages}/{path}")
            elif part in ("bin", "share"):
                write(packed, entry, f"{tree}/{entry.filename}", f"{home}/bin/python")
        for name in NATIVE:
            files = os.listdir(f"{packages}/{name}")
            if not any(file.endswith(tuple(EXTENSION_SUFFIXES)) for file in files):
                suffix = EXTENSION_SUFFIXES[0]
                fail(f"not built for this Python ({suffix}); run `make pyz` on such a machine")
        python = os.path.realpath(sys.executable)
        os.symlink(python, f"{tree}/bin/python")
        with open(f"{tree}/pyvenv.cfg", "w", encoding="utf-8") as file:
            file.write(f"home = {os.path.dirname(python)}\nversion = {VERSION}\n")
        try:
            os.rename(tree, home)
        except OSError:
            if not os.path.isdir(home):  # else another process was first
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def usable(path: str) -> bool:
    """Is it for this Python, as far as its name tells?"""
    return not path.endswith(".so") or path.endswith(tuple(EXTENSION_SUFFIXES[:-1]))


def write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, python: str = "") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = packed.read(entry)
    with open(path, "wb") as file:
        file.write(data.replace(b"@PYTHON@", python.encode(), 1) if python else data)
    os.chmod(path, 0o755 if python and "/bin/" in path else 0o644)


def link(archive: str, words: list[str]) -> None:
    """`coord.pyz link DIR`: a link for each command."""
    if len(words) != 1 or not os.path.isdir(words[0]):
        fail("link needs one directory, such as ~/.local/bin", 2)
    with zipfile.ZipFile(archive) as packed:
        names = [n.partition("/")[2] for n in packed.namelist() if n.startswith("bin/")]
    paths = [os.path.join(words[0], name) for name in names]
    for path in paths:
        if os.path.lexists(path) and os.path.realpath(path) != os.path.realpath(archive):
            fail(f"{path} exists and is not a link to this file; remove it first", 73)
    for path in paths:
        if not os.path.lexists(path):
            os.symlink(os.path.realpath(archive), path)
            print(path)
    sys.exit()


def fail(words: str, status: int = 69) -> str:
    sys.stderr.write(f"coord.pyz: {words}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
