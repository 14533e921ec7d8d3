"""Publish, snapshot, subscribe: the same three calls on every backend (spec/bus.md).

Imports the envelope and every room but `cli`.
"""
