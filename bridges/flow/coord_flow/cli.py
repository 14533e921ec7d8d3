"""The commands of coord-flow: filters that cook formulas, and the controller that follows them."""

from __future__ import annotations

from coord_envelope.errors import BadData, Fault, No, Unreachable, Usage
from coord_flow import groups as g
from coord_kernel.cli import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json
    from coord_flow import options as o
    from coord_flow.cook import Order
    from coord_flow.graph import Cooked
    from coord_flow.shape import Problems
    from coord_kernel.cli.call import Call
    from coord_wk.items import Items


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
        try:
            undeclared = checked(source.data, source.read, problems)
        except BadData as fault:
            call.fail(fault, file)
            continue
        for step, name in undeclared:
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


def squash(call: Call, ids: o.Ids, note: o.Note = None) -> None:
    """End poured formulas: one comment with what their steps said.

    It is on the root's parent, or without one on the root. The root and its steps are closed as
    done, also those that somebody holds.
    """
    from coord_flow.wisps import squash as ended

    _end(call, ids, lambda items, root: ended(items, root, note or ""))


def burn(call: Call, ids: o.Ids, note: o.Note = None) -> None:
    """End poured formulas: close their root and steps as cancelled."""
    from coord_flow.wisps import burn as ended

    _end(call, ids, lambda items, root: ended(items, root, note or ""))


def _end(call: Call, ids: Sequence[str], operations: Callable[[Items, str], list[Json]]) -> None:
    from coord_kernel.cli.tools import Tools
    from coord_kernel.store import locate
    from coord_kernel.views.view import View
    from coord_wk.items import Items

    store = call.journal.store
    tools = Tools(call.actor()["agent_id"], locate.root(store.path))
    for text in ids:
        try:
            items = Items.current(View(store, Items.fold))
            root = items.resolve(text)
            if "formula" not in items.detail(root).get("fields", {}):
                raise No("is not the root of a poured formula", where=text, code="wrong_state")
            lines = operations(items, root) if items.is_open(root) else []
            if not lines:
                call.warn(f"{text}: is closed")
            call.put(tools.run("wk", "apply", "--atomic", lines=lines) if lines else ())
        except (No, Usage, BadData) as fault:
            call.fail(fault, fault.where or text)


def run(
    call: Call,
    once: o.Once = False,
    dry_run: o.DryRun = False,
    programs: o.Programs = None,
    store: o.Store = None,
) -> None:
    """Open gates, land convoys, close what is done, and follow mirrored items.

    Stays in the foreground; prints what it writes. Acts as bridge:flow. Runs no program but those
    in the directory that --programs names. Several at once do everything once.
    """
    import os

    from coord_flow.elsewhere import Elsewhere
    from coord_flow.flow import Flow
    from coord_kernel.cli.turns import serve

    if programs is not None and not os.path.isdir(programs):
        raise Unreachable("no such directory", where=f"--programs {programs}")
    elsewhere = Elsewhere(store or ())
    flow = Flow(call, elsewhere, programs)
    if dry_run:
        call.put(flow.rows())
        return
    serve(call, flow, once, lambda: elsewhere)


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
    try:
        made = cooked(source.data, order, source.read, problems)
    except BadData as fault:
        call.fail(fault, file)
        return None
    _report(call, problems)
    return None if problems else made


def _report(call: Call, problems: Problems) -> None:
    for step, what, todo in problems:
        where = f"{problems.where}: {step}" if step else problems.where
        call.fail(BadData(what, where=where, todo=todo))


COMMANDS = (cook, check, draw, squash, burn, run)
ABOUT = "Pour recipes into work items, and follow goals to their landing."


def main() -> None:
    process.run("coord-flow", ABOUT, COMMANDS, "coord_flow.options", {})
