"""ev - append, read and follow the events of a store."""
