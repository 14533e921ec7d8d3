"""coord-notify - tell people what concerns them on the channel that they read."""
