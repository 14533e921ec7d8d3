"""Write each tool's `argv.py` anew, out of its Typer application: `make table`, after a change of its options."""

from __future__ import annotations

import importlib
import pprint
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from coord_kernel.cli import application, argv
from coord_kernel.cli.argv import DIGITS

if TYPE_CHECKING:
    from coord_kernel.cli.argv import Arguments, Options, Table

ROOT = Path(__file__).parent.parent
TOOLS = ("wk", "ev", "lease", "msg", "run")
BRIDGES = ("hooks",)
"""Those whose start an agent waits for."""
HEAD = '''"""What `coord_kernel.cli.argv` knows of {tool}'s command line. Made by `make table`, not by hand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.argv import Table

# fmt: off
TABLE: Table = (
'''


def table(tool: str) -> Table:
    """The commands of a tool that are plain: what each place and each option takes is one word."""
    cli = importlib.import_module(f"coord_{tool}.cli")
    app: Any = typer.main.get_command(
        application.application(tool, cli.ABOUT, cli.COMMANDS, f"coord_{tool}.options")
    )
    return {
        name: parts(command.params)
        for name, command in app.commands.items()
        if plain(command.params)
    }


def plain(parameters: Sequence[Any]) -> bool:
    places = [p for p in parameters if not is_option(p)]
    return all(map(kind, parameters)) and all(kind(p) != "many" for p in places[:-1])


def parts(parameters: Sequence[Any]) -> tuple[Options, Arguments, Sequence[str]]:
    spellings = {
        spelling: (p.name, kind(p)) for p in parameters if is_option(p) for spelling in p.opts
    }
    assert argv.COMMON.items() <= spellings.items(), "what every command has"
    spellings = {name: what for name, what in spellings.items() if name not in argv.COMMON}
    places = [(p.name, kind(p)) for p in parameters if not is_option(p)]
    return spellings, places, [p.name for p in parameters if p.required]


def is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def kind(parameter: Any) -> Any:
    """As `coord_kernel.cli.argv` knows it, or None."""
    many = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    match parameter.type.name:
        case "str":
            return "many" if many else "one"
        case "boolean" if parameter.is_flag and not parameter.secondary_opts:
            return "flag"
        case "int range" if not many and parameter.type.min is not None:
            return (
                parameter.type.min,
                10**DIGITS if parameter.type.max is None else parameter.type.max,
            )
    return None


def lines(tool: str) -> Iterator[str]:
    yield HEAD.format(tool=tool)
    yield pprint.pformat(table(tool), width=120, compact=True, sort_dicts=False)
    yield "\n)\n"


if __name__ == "__main__":
    for home, names in (("tools", TOOLS), ("bridges", BRIDGES)):
        for one in names:
            (ROOT / home / one / f"coord_{one}" / "argv.py").write_text("".join(lines(one)))
