"""Data subjects: a random key each, and the links from entries to people."""
