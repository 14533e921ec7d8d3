"""What `coord_kernel.cli.argv` knows of hooks's command line. Made by `make table`, not by hand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.argv import Table

# fmt: off
TABLE: Table = (
{'settings': ({'--as': ('as_', 'one'),
               '--output': ('output', 'one'),
               '-o': ('output', 'one'),
               '--errors': ('errors', 'one')},
              [('program', 'one')], ['program']),
 'prime': ({'--as': ('as_', 'one'),
            '--output': ('output', 'one'),
            '-o': ('output', 'one'),
            '--errors': ('errors', 'one')},
           [], []),
 'start': ({'--as': ('as_', 'one'),
            '--output': ('output', 'one'),
            '-o': ('output', 'one'),
            '--errors': ('errors', 'one')},
           [], []),
 'edit': ({'--as': ('as_', 'one'),
           '--output': ('output', 'one'),
           '-o': ('output', 'one'),
           '--errors': ('errors', 'one')},
          [], []),
 'end': ({'--as': ('as_', 'one'),
          '--output': ('output', 'one'),
          '-o': ('output', 'one'),
          '--errors': ('errors', 'one')},
         [], [])}
)
