"""What a bridge needs beyond the five tools: the extras of `pip install 'coord-kernel[NAME]'`."""

from __future__ import annotations

from contextlib import contextmanager

from coord_envelope import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str, *packages: str) -> Iterator[None]:
    """A block that imports these packages of an extra.

    Raises Unreachable if one of them is not installed; another module that is missing is a fault.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        todo = f"pip install 'coord-kernel[{name}]'"
        raise Unreachable(f"the package {package} is not installed", todo=todo) from None
