"""A command: a function of a `Call` and its options, which returns nothing or an exit status.

Options that go together stand in a `Group`, so that a function has few parameters:

    class Fields(Group):            # in the tool's groups.py, which imports no Typer
        desc: str | None = None
        kind: str | None = None

    def new(call: Call, title: o.Title = None, fields: g.Fields = Fields()) -> None: ...

    Fields = {"desc": Desc, "kind": Kind}        # in its options.py: what they are for Typer
"""

from __future__ import annotations

import sys

from coord_envelope.errors import Usage
from coord_kernel.cli.call import Call, FilterOptions
from coord_kernel.cli.complaints import report_as

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coord_kernel.cli.groups import Group

    Values = dict[str, Any]
    Command = Callable[..., int | None]


class Elsewhere:
    """A command in another module, which is imported when the command is run or described."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name

    def __getattr__(self, attribute: str) -> Any:
        function = getattr(__import__(self.__module__, fromlist=[""]), self.__name__)
        return function if attribute == "__wrapped__" else getattr(function, attribute)

    def __call__(self, call: Call, **values: Any) -> Any:
        return self.__wrapped__(call, **values)


Elsewhere.__doc__ = property(lambda self: self.__wrapped__.__doc__)  # type: ignore[assignment]


def elsewhere(module: str, *names: str) -> list[Any]:
    """Commands that a tool's `cli` lists without importing their module: 0.3 ms each."""
    return [Elsewhere(module, name) for name in names]


def name_of(command: Command) -> str:
    """What a command function is called on a command line."""
    return command.__name__.rstrip("_").replace("_", "-")


def groups(command: Command) -> Iterator[tuple[str, type[Group]]]:
    """The parameters of a command that are groups of options, by their annotation `g.NAME`."""
    for name, annotation in command.__annotations__.items():
        if isinstance(annotation, str) and annotation.startswith("g."):
            yield name, getattr(sys.modules[command.__module__].g, annotation[2:])


def perform(command: Command, values: Values) -> int:
    """Run a command with the values of its options, and of those all have; the exit status."""
    command = getattr(command, "__wrapped__", command)
    report_as(values.pop("errors", None) or "text")
    call = Call(values.pop("as_", None), values.pop("output", None))
    call.out.coloured = values.pop("color", None) or "auto"
    if call.out.coloured not in ("auto", "always", "never"):
        raise Usage(
            f"not a valid value: --color {call.out.coloured}", todo="use auto, always or never"
        )
    call.out.tool = command.__module__.partition(".")[0].removeprefix("coord_")
    call.out.command, call.out.call = name_of(command), call
    _refuse_empty_ids(command, values)
    for name, group in groups(command):
        values[name] = group.taken(values)
    if "wanted" in command.__annotations__:
        values["wanted"] = call.filter(FilterOptions.taken(values))
    status = command(call, **values) or call.status
    call.out.close()
    return status


def _refuse_empty_ids(command: Command, values: Values) -> None:
    # An unset variable of a script: to go on with the other ids would hide it.
    for name, annotation in command.__annotations__.items():
        if annotation.startswith("o.") and annotation.endswith(("Id", "Ids")):
            given = values.get(name)
            if given is not None and not all(
                map(str.strip, [given] if isinstance(given, str) else given)
            ):
                raise Usage("empty id", todo="is a variable unset?")
