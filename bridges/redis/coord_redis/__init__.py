"""The engine of `redis://` and `rediss://`: a log in one Redis stream."""
