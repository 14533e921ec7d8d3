"""Manual pages where they are installed or in a checkout, whether or not man finds them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib.util import find_spec

from coord_coord import tools
from coord_envelope.errors import No, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

_PAGE = re.compile(r"[a-z][a-z-]*\.[1-8]")
FORMATTERS = (("man",), ("mandoc", "-a"), ("groff", "-man", "-Tutf8"))


def pages() -> dict[str, str]:
    """The file of each page of this installation, by its name: wk.1; lower sections first."""
    files = [
        (name[-1], name, f"{directory}/{name}")
        for directory in _directories()
        if os.path.isdir(directory)
        for name in os.listdir(directory)
        if _PAGE.fullmatch(name)
    ]
    return {name: file for _, name, file in sorted(files)}


def page(name: str, known: dict[str, str]) -> str:
    """The file of the page that a user means: wk, wk.1, hooks or coord-hooks. Raises No."""
    bare = name.removeprefix("coord-")
    for wanted in (name, f"coord-{bare}", bare):
        matches = [file for page, file in known.items() if wanted in (page, page[:-2])]
        if matches:
            return matches[0]
    command = _command(bare)
    todo = f"see `{command} --help`" if command else "`coord man` lists the pages"
    raise No("no manual page", where=name, todo=todo, code="not_found")


def show(file: str) -> NoReturn:
    """Become the program that formats the page. Raises Unreachable if there is none."""
    for name, *options in FORMATTERS:
        program = shutil.which(name)
        if program:
            os.execv(program, [name, *options, file])
    raise Unreachable(
        "neither man, mandoc nor groff is installed", where=file, todo="install one, or read it"
    )


def _command(name: str) -> str | None:
    return next((word for word in (f"coord-{name}", name) if tools.found(word)), None)


def _directories() -> Iterator[str]:
    """Those of a checkout, where a page is beside its package, or those of the installation."""
    spec = find_spec("coord_kernel")
    home = os.path.dirname(os.path.dirname((spec and spec.origin) or ""))
    root = os.path.dirname(os.path.dirname(home))
    if os.path.isfile(f"{home}/coord.7"):
        for part in ("tools", "bridges"):
            for name in sorted(os.listdir(f"{root}/{part}")):
                yield f"{root}/{part}/{name}"
        return
    # An installation of a user has another prefix than its Python.
    prefixes = dict.fromkeys((os.path.dirname(root), sys.prefix))
    for prefix in prefixes:
        for section in "178":
            yield f"{prefix}/share/man/man{section}"
