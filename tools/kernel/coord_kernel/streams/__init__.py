"""Segments as streams of events: reading, merging, redacting, following. Never writes an event.

Imports the envelope, `rules` and `store`.
"""
