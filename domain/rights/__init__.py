"""Data subject requests: access and erasure, over the inventory of holdings."""
