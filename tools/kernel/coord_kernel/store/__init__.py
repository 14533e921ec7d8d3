"""The store's directory: where it lies, its lock, and how its files are read and replaced.

Imports the envelope and `rules`. Does not interpret the bytes of the events.
"""
