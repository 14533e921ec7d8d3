"""Programs that are driven by messages, a JSON object on each line of their pipes.

protocol   what they have in common; streams, rpc, server, acp: each of their protocols, pure
driver     a program, its protocol, and who gives it lines
link       the socket at which a driver is given them
"""

READY = "ready"
"""What a driver prints when its program takes input, as `coord` of a line of its own."""
