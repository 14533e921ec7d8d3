"""What folds make of the events, kept in SQLite and disposable at any time.

Imports the envelope and the rooms above: `rules`, `store`, `streams`.
"""
