"""Writing events: one transaction under one lock, for durable and for live streams.

Imports the envelope and the rooms above: `rules`, `store`, `streams`, `views`, `proc`.
"""
