"""Pure rules over events: which came after which, and who holds a claim.

Imports the envelope only. No file, no clock, no environment: `now` is an argument.
"""
