"""coord-hooks - hooks for coding agents: what to paste, and what it runs."""
