"""Measurements of the running site. They are read, not asserted: `make bench`."""
