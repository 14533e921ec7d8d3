"""Publish, snapshot, subscribe: the same three calls on every backend (spec/bus.md).

Imports the envelope and the rooms above.
"""
