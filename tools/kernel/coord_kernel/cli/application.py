"""Command functions as a Typer application: parsing, help, completion, usage errors.

The only module that imports Typer (73 ms). The parameters of a command are annotated with names
from its tool's `options` module, which is not imported before: so the functions stand alone, and
each declaration is written once.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

from coord_envelope import VERSION
from coord_envelope.errors import Usage
from coord_envelope.filter import Filter
from coord_kernel.cli import complaints, intent
from coord_kernel.cli.argv import MOST
from coord_kernel.cli.call import Call
from coord_kernel.cli.command import groups, name_of, perform
from coord_kernel.store.disk import write_all

As = Annotated[
    str | None, typer.Option("--as", metavar="AGENT", help="Act as AGENT, over $COORD_AGENT.")
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORM", help="Print as jsonl, table, brief or id."),
]
Color = Annotated[
    str | None,
    typer.Option("--color", metavar="WHEN", help="Colour for people: auto, always or never."),
]
Errors = Annotated[
    str | None, typer.Option("--errors", metavar="FORM", help="Print failures as text or json.")
]

Command = Callable[..., int | None]
_Globs = list[str] | None
FILTER: dict[str, Any] = {
    "type_": Annotated[
        _Globs, typer.Option("--type", metavar="GLOB", help="Only this type; repeatable.")
    ],
    "not_type": Annotated[
        _Globs, typer.Option("--not-type", metavar="GLOB", help="Not this type; repeatable.")
    ],
    "agent": Annotated[
        _Globs, typer.Option("--agent", metavar="AGENT", help="Only by this agent; repeatable.")
    ],
    "not_agent": Annotated[
        _Globs, typer.Option("--not-agent", metavar="AGENT", help="Not by this agent; repeatable.")
    ],
    "work": Annotated[
        str | None, typer.Option("--work", metavar="ID", help="Only about this work item.")
    ],
    "thread": Annotated[
        str | None, typer.Option("--thread", metavar="ID", help="Only of this thread.")
    ],
    "since": Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only since TIME: a date, or 10m 2h 3d ago."),
    ],
}
"""The options of a command that has a parameter `wanted`."""
COMMON: dict[str, Any] = {"as_": As, "output": Output, "color": Color, "errors": Errors}


def run(
    name: str, about: str, commands: Sequence[Command], options: str, argv: Sequence[str]
) -> int:
    """Parse argv, run the command, return the exit status. Raises Usage, and as the command."""
    own = list(itertools.takewhile(lambda word: word != "--", argv))
    if "--errors=json" in own or ("--errors", "json") in itertools.pairwise(own):
        complaints.report_as("json")  # usage errors, too
    words = [*argv[1:2], "--help"] if argv[:1] == ["help"] else list(argv)
    command = typer.main.get_command(application(name, about, commands, options))
    _refuse_unknown(name, words, [name_of(function) for function in commands])
    try:
        return command.main(words, prog_name=name, standalone_mode=False) or 0
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            write_all(2, f"{error}\n".encode())
            return Usage.status
        if hasattr(error, "format_message"):  # click's, wherever this typer keeps its click
            raise _usage(name, words, error) from None
        raise


def _refuse_unknown(name: str, words: list[str], known: list[str]) -> None:
    if words and not words[0].startswith("-") and words[0] not in known:
        instead = intent.command(name, words[0], known)
        todo = f"use `{instead}`" if instead else f"see `{name} --help`"
        raise Usage(f"No such command: {words[0]}", todo=todo)


def _usage(name: str, words: Sequence[str], error: Any) -> Usage:
    """Click's failure in our words."""
    context, word = getattr(error, "ctx", None), getattr(error, "option_name", None)
    command = [name, *itertools.takewhile(lambda word: not word.startswith("-"), words[:1])]
    todo = f"see `{' '.join(command)} --help`"
    kind, parameter = type(error).__name__, getattr(error, "param", None)
    if kind == "NoSuchOption" and context and word:
        known = [spelled for option in context.command.params for spelled in option.opts]
        instead = intent.option(word, [spelled for spelled in known if spelled.startswith("-")])
        return Usage(f"No such option: {word}", todo=f"use {instead}" if instead else todo)
    if kind == "MissingParameter" and parameter:
        return Usage(f"Missing argument: {parameter.make_metavar(context)}", todo=todo)
    if kind == "BadParameter" and parameter and hasattr(parameter.type, "max"):
        value = error.message.partition(" is not ")[0].strip("'")
        least, most = parameter.type.min, parameter.type.max
        bounds = f"from {least} to {most}" if most is not None else f"{least} or more"
        return Usage(f"not a valid number: {max(parameter.opts, key=len)} {value}", todo=bounds)
    message: str = error.format_message().rstrip(".")
    extra = re.fullmatch(r"Got unexpected extra argument\(s\) \((.*)\)", message, re.DOTALL)
    return Usage(f"Unexpected argument: {extra[1]}" if extra else message, todo=todo)


def application(name: str, about: str, commands: Sequence[Command], options: str) -> typer.Typer:
    """The Typer application of a tool."""
    declared = importlib.import_module(options)
    section = getattr(declared, "SECTION", 1)
    manual = f"See {name}({section}), or `coord man {name}`."
    app = typer.Typer(
        name=name,
        help=about,
        epilog=manual,
        no_args_is_help=True,
        suggest_commands=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )

    def version(asked: bool) -> None:
        if asked:
            print(f"{name} (coord-kernel) {VERSION}")
            raise typer.Exit

    asked = typer.Option(
        False, "--version", is_eager=True, callback=version, help="Print the version."
    )

    @app.callback()
    def top(version: bool = asked) -> None: ...

    examples = _examples(options.rpartition(".")[0])
    for function in map(inspect.unwrap, commands):
        lines = "\n".join(f"  {line}" for line in examples.get(name_of(function), ()))
        epilog = f"\b\nExamples:\n{lines}\n\n{manual}"
        app.command(name_of(function), epilog=epilog)(_declared(function, declared))
    return app


def _examples(package: str) -> dict[str, Sequence[str]]:
    """Command → examples of it, of a package that has any."""
    try:
        found: dict[str, Sequence[str]] = importlib.import_module(f"{package}.examples").EXAMPLES
    except ModuleNotFoundError:
        return {}
    return found


def _declared(function: Command, options: object) -> Callable[..., int | None]:
    """The function as Typer wants it: annotations resolved, groups and common options expanded."""
    parameters = [*_own(function, options), *_parameters(COMMON)]
    if any(name.endswith("_COMPLETE") for name in os.environ):
        _complete(function.__module__.partition(".")[0].removeprefix("coord_"), parameters)

    def command(**values: Any) -> int:
        return perform(function, {name: _bounded(value) for name, value in values.items()})

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def _complete(tool: str, parameters: Iterable[inspect.Parameter]) -> None:
    """Have a shell complete the parameters for which something knows the values."""
    from coord_kernel.cli.complete import completer

    for parameter in parameters:
        for declared in getattr(parameter.annotation, "__metadata__", ()):
            declared.autocompletion = completer(tool, parameter.name, declared.metavar or "")


def _bounded(value: Any) -> Any:
    """A number beyond any list's length means all of it."""
    return min(value, MOST) if isinstance(value, int) else value


def _own(function: Command, options: object) -> Iterator[inspect.Parameter]:
    names = {**vars(sys.modules[function.__module__]), "o": options, "Call": Call, "Filter": Filter}
    hints = typing.get_type_hints(function, names, include_extras=True)
    spelled = dict(groups(function))
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "wanted":
            yield from _parameters(FILTER)
        elif name in spelled:
            group = spelled[name]
            yield from _parameters(getattr(options, group.__name__), group)
        elif name != "call":
            yield parameter.replace(annotation=hints[name], kind=_KEYWORD)


def _parameters(declared: dict[str, Any], group: object = None) -> Iterator[inspect.Parameter]:
    for name, annotation in declared.items():
        default = getattr(group, name, None)
        yield inspect.Parameter(name, _KEYWORD, default=default, annotation=annotation)


_KEYWORD = inspect.Parameter.KEYWORD_ONLY
