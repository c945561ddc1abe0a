"""Newsletters: written, sent to whoever says yes at the moment of sending, and unsubscribed."""
