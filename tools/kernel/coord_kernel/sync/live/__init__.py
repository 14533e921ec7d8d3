"""Sync with a remote that is a log: NATS, Redis, a relay. One store's chunks are another's intake.

log        what an engine implements, and how it is found
places     the URL of a log, checked; its engine
chunk      the unit on the wire: bytes of a file at an offset
intake     taking in chunks; pending: those that came early
outbox     what the log lacks
state      what is remembered of a log: a mark, and what it is known to have
remote     all of these as one remote; arbiter: the lines that continue its stream
exchange   one sync
mirror     the process that holds the connection, and answers commands
presence   live events, beside the log
"""
