"""wk - work items: not there yet."""
