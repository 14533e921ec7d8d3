"""The store's directory: where it lies, its lock, and how its files are read and replaced.

Imports the envelope and `rules`. Nothing here knows what a file's bytes mean.
"""
