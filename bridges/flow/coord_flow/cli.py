"""The commands of coord-flow: filters that cook formulas, and the controller that follows them."""

from __future__ import annotations

from coord_envelope.errors import BadData, Fault, Usage
from coord_flow import groups as g
from coord_kernel.cli import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_flow import options as o
    from coord_flow.cook import Order
    from coord_flow.graph import Cooked
    from coord_flow.shape import Problems
    from coord_kernel.cli.call import Call

AGENT = "bridge:flow"


def cook(call: Call, pouring: g.Pouring, file: o.File) -> None:
    """Print a formula as operations for `wk apply`.

    A root, and an item for each step, below it, that waits for what the step needs. The same
    formula with the same variables is the same pour: applied again, nothing is written twice. To
    pour it again, give another --key. Fails, and prints no operation, if the formula has a fault.
    """
    from coord_flow.operations import operations

    order = _order(pouring)
    made = _cooked(call, file, order, _problems(file))
    if made:
        call.put(operations(made, order))


def check(call: Call, files: o.Files) -> None:
    """Name every fault of formulas, with its step.

    Variables need no value for that. Expansions and aspects are checked by themselves. Prints
    nothing if all is well; names that no variable declares are left to whoever does the step, and
    are warned of.
    """
    from coord_flow.cook import checked
    from coord_flow.source import Source

    for file in files:
        try:
            source = Source(file)
        except Fault as fault:
            call.fail(fault)
            continue
        problems = _problems(file)
        for step, name in checked(source.data, source.read, problems):
            call.warn(f"{file}: {step}: {{{{{name}}}}} is not declared, and is left as it is")
        _report(call, problems)


def draw(call: Call, pouring: g.Variables, file: o.File) -> None:
    """Draw the graph of a formula as text.

    A line for each step: the round in which it can be begun, its id, its title, and what it needs.
    """
    from coord_flow.draw import lines

    order = _order(pouring)
    order.lax = True
    made = _cooked(call, file, order, _problems(file))
    if made:
        call.out.write(1, "".join(f"{line}\n" for line in lines(made)).encode("utf-8", "replace"))


def _order(pouring: g.Variables | g.Pouring) -> Order:
    from coord_flow.cook import Order

    given = {}
    for pair in pouring.var or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise Usage("not NAME=VALUE", where=f"--var {pair}")
        given[name] = text
    order = Order(given)
    order.preset = pouring.preset
    if isinstance(pouring, g.Pouring):
        if "" in (pouring.key, pouring.parent):
            raise Usage("empty value", where="--parent" if pouring.parent == "" else "--key")
        order.key, order.wisp = pouring.key, pouring.wisp
        order.parent = pouring.parent
    return order


def _problems(file: str) -> Problems:
    from coord_flow.shape import Problems

    return Problems(file)


def _cooked(call: Call, file: str, order: Order, problems: Problems) -> Cooked | None:
    """The formula; None if it has faults, which are reported."""
    from coord_flow.cook import cooked
    from coord_flow.source import Source

    source = Source(file)
    made = cooked(source.data, order, source.read, problems)
    _report(call, problems)
    return None if problems else made


def _report(call: Call, problems: Problems) -> None:
    for step, what, todo in problems:
        where = f"{problems.where}: {step}" if step else problems.where
        call.fail(BadData(what, where=where, todo=todo))


COMMANDS = (cook, check, draw)
ABOUT = "Pour recipes into work items, and follow goals to their landing."


def main() -> None:
    process.run("coord-flow", ABOUT, COMMANDS, "coord_flow.options", {})
