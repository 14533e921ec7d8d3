"""coord-relay - a server for stores that sync live: a log of chunks, over WebSocket and HTTP."""
