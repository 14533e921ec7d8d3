"""Child processes: running programs, becoming a command, not leaving processes behind.

Imports the envelope and the rooms above: `rules`, `store`, `streams`, `views`.
"""
