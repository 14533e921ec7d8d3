"""msg - mail between agents and people."""
