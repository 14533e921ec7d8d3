"""What `coord_envelope.argv` knows of msg's command line. Made by `make table`, not by hand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.argv import Table

# fmt: off
TABLE: Table = (
{'send': ({'--to': ('to', 'many'),
           '--subject': ('subject', 'one'),
           '--body': ('body', 'one'),
           '--thread': ('thread', 'one'),
           '--work': ('work', 'one'),
           '--key': ('key', 'one'),
           '--allow-secret': ('allow_secret', 'flag'),
           '--as': ('as_', 'one'),
           '--output': ('output', 'one'),
           '-o': ('output', 'one'),
           '--errors': ('errors', 'one')},
          [], []),
 'recv': ({'-f': ('follow', 'flag'),
           '--follow': ('follow', 'flag'),
           '--ack': ('ack', 'flag'),
           '--as': ('as_', 'one'),
           '--output': ('output', 'one'),
           '-o': ('output', 'one'),
           '--errors': ('errors', 'one')},
          [], []),
 'ack': ({'--as': ('as_', 'one'),
          '--output': ('output', 'one'),
          '-o': ('output', 'one'),
          '--errors': ('errors', 'one')},
         [('ids', 'many')], [])}
)
