"""coord-flow - pour recipes into work items, follow goals to their landing."""
