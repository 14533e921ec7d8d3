"""What `coord_kernel.cli.argv` knows of hooks's command line. Made by `make table`, not by hand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.argv import Table

# fmt: off
TABLE: Table = (
{'settings': ({}, [('program', 'one')], ['program']),
 'prime': ({}, [], []),
 'start': ({}, [], []),
 'edit': ({}, [], []),
 'end': ({}, [], [])}
)
