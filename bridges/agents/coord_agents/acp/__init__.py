"""coord-acp - connect an editor to an agent that coord supervises."""
