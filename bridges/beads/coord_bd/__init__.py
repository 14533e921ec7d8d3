"""A `bd` that is this store: for agents, prompts and programs that know beads."""
