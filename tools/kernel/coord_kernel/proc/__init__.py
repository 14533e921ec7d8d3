"""Child processes: starting them, and not outliving or being outlived by them.

Imports the envelope and the rooms above: `rules`, `store`, `streams`, `views`.
"""
