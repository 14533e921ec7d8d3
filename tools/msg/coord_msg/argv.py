"""What `coord_kernel.cli.argv` knows of msg's command line. Made by `make table`, not by hand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.argv import Table

# fmt: off
TABLE: Table = (
{'send': ({'--to': ('to', 'many'),
           '--thread': ('thread', 'one'),
           '--work': ('work', 'one'),
           '--expires': ('expires', 'one'),
           '--visibility': ('visibility', 'one'),
           '--max-deliveries': ('max_deliveries', (1, 1000000000)),
           '--subject': ('subject', 'one'),
           '--body': ('body', 'one'),
           '--attach': ('attach', 'many'),
           '--key': ('key', 'one'),
           '--force': ('force', 'flag'),
           '--allow-secret': ('allow_secret', 'flag')},
          [], []),
 'recv': ({'-f': ('follow', 'flag'),
           '--follow': ('follow', 'flag'),
           '--wait': ('wait', 'one'),
           '--max': ('max_', (1, 1000000000)),
           '--ack': ('ack', 'flag'),
           '--text': ('text', 'flag'),
           '--visibility': ('visibility', 'one'),
           '--require': ('require', 'one'),
           '--cursor': ('cursor', 'one'),
           '--ack-fd': ('ack_fd', (0, 1000000000))},
          [('address', 'one')], []),
 'ack': ({}, [('ids', 'many')], []),
 'nack': ({'--delay': ('delay', 'one'), '--reason': ('reason', 'one')}, [('ids', 'many')], []),
 'reply': ({'--subject': ('subject', 'one'),
            '--body': ('body', 'one'),
            '--attach': ('attach', 'many'),
            '--key': ('key', 'one'),
            '--force': ('force', 'flag'),
            '--allow-secret': ('allow_secret', 'flag')},
           [('id_', 'one')], ['id_']),
 'ls': ({'--from': ('from_', 'one'),
         '--all': ('all_', 'flag'),
         '-n': ('lines', (0, 1000000000)),
         '--lines': ('lines', (0, 1000000000)),
         '--at': ('at', 'one')},
        [('address', 'one')], []),
 'show': ({'--text': ('text', 'flag'), '--at': ('at', 'one')}, [('ids', 'many')], []),
 'thread': ({'--text': ('text', 'flag'), '--at': ('at', 'one')}, [('id_', 'one')], ['id_']),
 'dead': ({'--at': ('at', 'one')}, [('queue', 'one')], []),
 'requeue': ({}, [('ids', 'many')], []),
 'join': ({}, [('groups', 'many')], []),
 'leave': ({}, [('groups', 'many')], []),
 'save': ({}, [('id_', 'one'), ('dir_', 'one')], ['id_']),
 'hook': ({'--event': ('event', 'one')}, [('program', 'one')], ['program']),
 'watch': ({}, [], [])}
)
