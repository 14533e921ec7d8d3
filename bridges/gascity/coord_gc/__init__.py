"""Exec providers of Gas City on a coord store."""
