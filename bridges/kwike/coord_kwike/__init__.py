"""The four verbs of Kwik-E-Mart, done by ev."""
