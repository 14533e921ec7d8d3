"""lease - hold files, environments, ports for a time."""
