"""Publish, snapshot, subscribe: the same three verbs for every backend (spec/bus.md).

Imports the envelope and every room but `cli`.
"""
