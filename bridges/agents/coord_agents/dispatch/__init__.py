"""coord-dispatch - start an agent for each ready work item, no more than allowed at once."""
