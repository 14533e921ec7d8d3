"""lease - leases: not there yet."""
