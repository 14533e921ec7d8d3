"""Webhooks: what others send becomes events, and events are sent to others."""
