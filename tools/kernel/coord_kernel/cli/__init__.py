"""The face of all commands: arguments, standard input, output, and how a failure is printed.

Imports the envelope and every other room. Only tools and bridges import this room.
"""
