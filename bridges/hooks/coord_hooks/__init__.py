"""coord-hooks - hooks for coding agents: settings to paste, and the commands they run."""
