"""coord-agent - start coding agents, reach them, wake them, and let the next one go on."""
