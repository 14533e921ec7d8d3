"""coord-slack - threads of Slack as conversations with agents."""
