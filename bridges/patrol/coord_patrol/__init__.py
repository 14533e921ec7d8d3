"""coord-patrol - give back the work of agents that died, wake those that are stuck."""
