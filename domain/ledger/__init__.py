"""Entries, append-only: the proof of everything that was decided."""
