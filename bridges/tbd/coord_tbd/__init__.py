"""A `tbd` that is this store: for agents and prompts that know tbd."""
