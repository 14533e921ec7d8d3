"""coord-top - the whole shop on a terminal: who needs you, who works, what landed; now and then."""
