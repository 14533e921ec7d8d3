"""Sync with a remote that is a log: NATS, Redis, a relay. One store's chunks are another's intake.

log        what an engine implements, and how it is found
chunk      the unit on the wire: bytes of a file at an offset
"""
